"""`syncd serve`."""

from __future__ import annotations

import click

from syncd.cli.command import Command
from syncd.cli.session import Session, pass_session
from syncd.cli.signals import run


@click.command(cls=Command, json=False, example="syncd serve\ncurl http://127.0.0.1:8440/readyz")
@pass_session
def serve(session: Session) -> None:
    """Keep every active installation fresh until told to stop.

    Logs go to stderr; /livez and /readyz answer on http.bind. SIGINT or SIGTERM stops it cleanly: pages under way are
    stored whole or asked for again.
    """
    from syncd.bind import parse_bind
    from syncd.main import open_app, prepare_database
    from syncd.web.service import serve as serve_app

    settings = session.settings(log_at="info")
    url = prepare_database(settings)

    async def work() -> None:
        async with open_app(settings, url, "serve") as app:
            await serve_app(app, *parse_bind(settings.http.bind))

    run(work())
