"""`syncd cursor`: where each stream goes on, and beginning it anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from syncd.cli.command import Group
from syncd.cli.connection import chosen_names, read
from syncd.cli.driving import waiting, with_app
from syncd.cli.options import wait_option
from syncd.cli.session import NOTHING_YET, Session, pass_session
from syncd.cli.sync import stream_option
from syncd.cli.text import Listing, Part, count, show_age

if TYPE_CHECKING:
    from syncd.main import App
    from syncd.store.cursors import CursorReport, PositionReport
    from syncd.store.database import Database
    from syncd.sync.reset import GivenUp

# Enough of a grant to tell it from another; --json has the whole.
SHOWN_OF_GRANT = 8


@click.group(cls=Group, example="syncd cursor show\nsyncd cursor reset revento/evt_1 --stream participants")
def cursor() -> None:
    """Look at where streams go on, or begin them anew."""


@cursor.command(example="syncd cursor show\nsyncd cursor show revento/evt_1 --stream participants --json")
@click.argument("names", nargs=-1, metavar="[INSTALLATION]...")
@stream_option
@pass_session
def show(session: Session, names: tuple[str, ...], streams: tuple[str, ...]) -> None:
    """Show where each stream goes on: at its first page, or in the middle of a walk.

    RUNS OUT: no walk goes on at the cursor after that; BOUND TO: what it is good for alone. The cursor itself is shown
    by a short name.
    """
    from syncd.store.cursors import report_positions

    async def ask(database: Database) -> list[PositionReport]:
        return await report_positions(database, await chosen_names(database, names), streams)

    found = read(session, ask)
    session.answer({"positions": found}, *([_listing(found)] if found else []))
    if not found:
        session.note("no such stream" if streams else NOTHING_YET)


def _listing(found: Sequence[PositionReport]) -> Listing:
    headers = (
        "INSTALLATION", "STREAM", "GOES ON", "STORED", "WALK", "CURSOR", "AGE", "RUNS OUT", "LIMIT", "CERTIFIED",
        "BOUND TO",
    )  # fmt: skip
    spare = ("WALK", "CURSOR", "STORED", "AGE", "CERTIFIED", "INSTALLATION")
    return Listing(headers, [_row(each) for each in found], spare)


def _row(at: PositionReport) -> tuple[object, ...]:
    pages = at.walk.pages if at.walk else 0
    cursor = at.cursor
    return (
        at.installation,
        at.stream,
        f"page {pages + 1}" if at.goes_on == "cursor" else "first page",
        count(pages, "page") if pages else None,
        f"generation {at.walk.generation}" if at.walk else None,
        cursor.fingerprint if cursor else None,
        show_age(cursor.age_s) if cursor else None,
        cursor.usable_until if cursor else None,
        at.limit,
        at.last_certified_at,
        _bound_to(cursor) if cursor else None,
    )


def _bound_to(cursor: CursorReport) -> str:
    """What the cursor is good for alone; or why it is good for nothing."""
    if cursor.unusable:
        return f"nothing: {cursor.unusable}"
    bounds = [f"grant {cursor.grant_id[:SHOWN_OF_GRANT]}", cursor.query]
    bounds += [f"token {cursor.token}"] if cursor.outlives_token is False else []
    bounds += [f"limit {cursor.limit}"] if cursor.outlives_limit is False else []
    return ", ".join(bounds)


@cursor.command(example="syncd cursor reset revento/evt_1\nsyncd cursor reset evt_1 --stream participants --no-wait")
@click.argument("name", metavar="INSTALLATION")
@stream_option
@wait_option
@pass_session
def reset(session: Session, name: str, streams: tuple[str, ...], wait: bool) -> None:
    """Let the next walks of these streams, or of all, begin at the first page.

    A walk under way is abandoned; the rows that it has stored stay.
    """
    from syncd import main
    from syncd.main.by_hand import reset_positions

    async def resetting(app: App) -> tuple[str, list[GivenUp]]:
        (installation,) = await main.chosen(app, [name])
        chosen = main.chosen_streams(installation, streams)
        return installation.name, await reset_positions(app, installation, chosen, waiting(session), wait=wait)

    installation, given_up = with_app(session, "cursor reset", resetting)
    parts: list[Part] = [f"{installation} {each.stream}: {_told(each)}" for each in given_up]
    session.answer({"installation": installation, "reset": given_up}, *parts)
    if not given_up:
        session.note("nothing to reset: the next walks begin at the first page anyway")


def _told(given_up: GivenUp) -> str:
    if given_up.pages:
        return f"a walk was given up behind {count(given_up.pages, 'page')}; the next one begins at the first page"
    return f"the page size of {given_up.limit} was forgotten" if given_up.limit else "its position was forgotten"
