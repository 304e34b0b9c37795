"""`syncd limits`: what is left of each token's call budget, and who spent it."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import click

from syncd.cli.command import Command
from syncd.cli.connection import chosen_names, read
from syncd.cli.session import NOTHING_YET, Session, pass_session
from syncd.cli.text import Listing, Part
from syncd.cli.waits import tell_wait

if TYPE_CHECKING:
    from syncd.store.database import Database
    from syncd.store.spending import Spender, TokenReport

HEADERS = (
    *("INSTALLATION", "TOKEN", "HEADROOM", "LIMIT", "USED", "RESET"),
    *("HOUR", "MINUTE", "REFUSED", "LOWEST", "LAST CALL", "SPENT BY"),
)
MOST_SPENDERS = 3


@click.command(cls=Command, example="syncd limits\nsyncd limits revento/evt_1 --json")
@click.argument("names", nargs=-1, metavar="[INSTALLATION]...")
@pass_session
def limits(session: Session, names: tuple[str, ...]) -> None:
    """Show each token's call budget, and who spent it.

    HEADROOM: calls the server would still take within its hour; USED: those it has taken, whoever made them; HOUR,
    MINUTE: our calls in the last hour and minute; REFUSED: those of the last hour that were answered with 429; LOWEST:
    the least headroom of the last day. With --json each endpoint and each hour is told.
    """
    from syncd.store.spending import report_tokens

    async def ask(database: Database) -> list[TokenReport]:
        return await report_tokens(database, await chosen_names(database, names))

    found = read(session, ask)
    documents = [
        {field.name: getattr(each, field.name) for field in fields(each)}
        | {"headroom": each.headroom, "used": each.used, "lowest_of_day": each.lowest_of_day}
        for each in found
    ]
    listing = Listing(HEADERS, [_row(each) for each in found], spare=("SPENT BY", "RESET", "USED", "LOWEST"))
    waiting: list[Part] = [sentence for each in found if (sentence := tell_wait(each.installation, each))]
    session.answer({"tokens": documents}, *([listing, *waiting] if found else []))
    if not found:
        session.note(NOTHING_YET)


def _row(token: TokenReport) -> tuple[object, ...]:
    return (
        token.installation,
        token.token_fingerprint,
        "-" if token.headroom is None else token.headroom,
        token.limit,
        token.used,
        token.reset_at,
        token.calls_last_hour,
        token.calls_last_minute,
        token.refused_last_hour,
        token.lowest_of_day,
        token.last_call_at,
        ", ".join(_spender(each) for each in token.spent_by[:MOST_SPENDERS]),
    )


def _spender(spender: Spender) -> str:
    """`participants 42 live`: the endpoint by its last word that is no id."""
    word = next((part for part in reversed(spender.endpoint.split("/")) if part and "{" not in part), spender.endpoint)
    return f"{word} {spender.calls:,} {spender.kind}"
