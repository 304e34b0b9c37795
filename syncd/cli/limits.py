"""`syncd limits`: what is left of each token's call budget, and who spent it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import click

from syncd.cli.command import Command
from syncd.cli.connection import chosen_names, read
from syncd.cli.session import NOTHING_YET, Session, pass_session
from syncd.cli.text import Listing

if TYPE_CHECKING:
    from syncd.store.database import Database
    from syncd.store.reports import TokenReport

HEADERS = ("INSTALLATION", "TOKEN", "HEADROOM", "LIMIT", "RESET", "HOUR", "MINUTE", "REFUSED", "LAST CALL")


@click.command(cls=Command, example="syncd limits\nsyncd limits revento/evt_1 --json")
@click.argument("names", nargs=-1, metavar="[INSTALLATION]...")
@pass_session
def limits(session: Session, names: tuple[str, ...]) -> None:
    """Show each token's call budget, and who spent it.

    HEADROOM: calls the server would still take within its hour; HOUR, MINUTE: our calls in the last hour and minute;
    REFUSED: those of the last hour that were answered with 429.
    """
    from syncd.store.reports import report_tokens

    async def ask(database: Database) -> list[TokenReport]:
        return await report_tokens(database, await chosen_names(database, names))

    found = read(session, ask)
    documents = [
        {field.name: getattr(each, field.name) for field in fields(each)} | {"headroom": each.headroom}
        for each in found
    ]
    session.answer(
        {"tokens": documents}, *([Listing(HEADERS, [_row(each) for each in found], spare=("RESET",))] if found else [])
    )
    if not found:
        session.note(NOTHING_YET)


def _row(token: TokenReport) -> tuple[object, ...]:
    return (
        token.installation,
        token.token_fingerprint,
        "-" if token.headroom is None else token.headroom,
        token.limit,
        token.reset_at,
        token.calls_last_hour,
        token.calls_last_minute,
        token.refused_last_hour,
        token.last_call_at,
    )
