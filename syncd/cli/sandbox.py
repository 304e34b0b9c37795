"""`syncd sandbox`: the remote APIs alone, on loopback."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.command import Command
from syncd.cli.session import Session, pass_session
from syncd.cli.signals import run
from syncd.cli.text import facts
from syncd.errors import ConfigError

if TYPE_CHECKING:
    from syncd.sandbox import Sandbox, SandboxSettings

COUNT = click.IntRange(min=0)
PORT = click.IntRange(0, 65535)
SECONDS = click.FloatRange(min=0)


@click.command(
    cls=Command,
    example="syncd sandbox --port 8081 --control-port 8082 --events 1\n"
    """curl -s localhost:8082/connect -d '{"event_id": "evt_…"}' > token.json""",
)
@click.option("--port", type=PORT, metavar="N", default=0, help="Port of the API and the OAuth host; 0: any free one.")
@click.option(
    "--control-port", type=PORT, metavar="N", default=0, help="Port for whoever drives the sandbox; 0: any free one."
)
@click.option("--seed", type=int, metavar="N", default=1, show_default=True, help="The same seed makes the same world.")
@click.option("--events", type=COUNT, metavar="N", default=3, show_default=True, help="In the world.")
@click.option("--participants", type=COUNT, metavar="N", default=900, show_default=True, help="Per event.")
@click.option("--activities", type=COUNT, metavar="N", default=200, show_default=True, help="Per event.")
@click.option(
    "--per-hour", type=COUNT, metavar="N", default=500, show_default=True, help="Calls per token; 0: no limit."
)
@click.option(
    "--per-minute", type=COUNT, metavar="N", default=30, show_default=True, help="Calls per token; 0: no limit."
)
@click.option(
    "--in-flight", type=COUNT, metavar="N", default=5, show_default=True, help="Calls at once per token; 0: no limit."
)
@click.option("--life", "life_s", type=SECONDS, default=0, metavar="SECONDS", help="Change something this often.")
@click.option("--latency", "latency_s", type=SECONDS, default=0, metavar="SECONDS", help="Time that each reply takes.")
@click.option(
    "--access-token-life",
    "access_token_s",
    type=SECONDS,
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="Before it must be refreshed.",
)
@click.option(
    "--refresh-token-life",
    "refresh_token_s",
    type=SECONDS,
    default=7_776_000,
    metavar="SECONDS",
    help="Unused; 90 days by default.",
)
@click.option(
    "--cursor-life",
    "cursor_s",
    type=SECONDS,
    default=86_400,
    show_default=True,
    metavar="SECONDS",
    help="Of a page's cursor.",
)
@click.option("--scope", "scopes", multiple=True, help="Grant these scopes only; may be repeated.")
@click.option(
    "--cursor-binding",
    type=click.Choice(["grant", "token"]),
    default="grant",
    show_default=True,
    help="What a cursor dies with.",
)
@click.option("--limit-in-cursor", is_flag=True, help="A cursor dies when the page size changes.")
@click.option(
    "--reuse",
    type=click.Choice(["revoke", "grace"]),
    default="revoke",
    show_default=True,
    help="Of a refresh token that was spent.",
)
@pass_session
def sandbox(session: Session, /, **options: Any) -> None:
    """Simulate the remote APIs on this machine.

    Runs until Ctrl-C, and keeps nothing: each start makes the world anew.
    """
    run(_serve(session, _settings(options)))


def _settings(options: dict[str, Any]) -> SandboxSettings:
    try:
        from syncd.sandbox import Limits, SandboxSettings
    except ModuleNotFoundError as error:
        raise ConfigError(f"the sandbox needs {error.name}", hint="pip install 'syncd[demo]'") from error
    limits = Limits(*(options.pop(name) for name in ("per_hour", "per_minute", "in_flight")))
    if not options["scopes"]:
        del options["scopes"]
    return SandboxSettings(limits=limits, **options)


async def _serve(session: Session, settings: SandboxSettings) -> None:
    from syncd.sandbox import Sandbox

    try:
        async with Sandbox(settings) as running:
            _introduce(session, running)
            await asyncio.Event().wait()
    except OSError as error:
        raise ConfigError(
            f"cannot listen: {error.strerror or error}", hint="choose another --port or --control-port"
        ) from error


def _introduce(session: Session, running: Sandbox) -> None:
    urls = {name: getattr(running, name) for name in ("api_url", "auth_url", "control_url")}
    rows = [*urls.items(), *(("event", event_id) for event_id in running.event_ids)]
    settings = running.settings
    client = {"client_id": settings.client_id, "client_secret": settings.client_secret}
    session.answer({**urls, "event_ids": running.event_ids, **client}, facts(rows))
    if session.json or not running.event_ids:
        return
    session.note(
        "",
        "Get credentials, and add the event to a warehouse:",
        "  umask 077",
        f"""  curl -s {running.control_url}/connect -d '{{"event_id": "{running.event_ids[0]}"}}' > token.json""",
        "  syncd installations add revento --environment sandbox --credentials token.json \\",
        f"    --api-url {running.api_url} \\",
        f"    --auth-url {running.auth_url}",
        "Ctrl-C stops the sandbox.",
    )
