"""`syncd deletes`: rows that are gone at the source, and wait for a person because there are suspiciously many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import click

from syncd.cli.command import Group
from syncd.cli.connection import chosen_names, read
from syncd.cli.session import NOT_CONFIRMED, Session, pass_session
from syncd.cli.signals import run
from syncd.cli.sync import stream_option
from syncd.cli.text import Listing, Part, count

if TYPE_CHECKING:
    from syncd.main import App
    from syncd.model import Installation
    from syncd.sources.base import Stream
    from syncd.store.database import Database
    from syncd.store.removals import PendingReport

NOTHING_PENDING = "nothing is held"
# More keys than these are for --json.
SHOWN_KEYS = 3


@click.group(cls=Group, example="syncd deletes list\nsyncd deletes accept revento/evt_1 --stream participants")
def deletes() -> None:
    """Decide on rows that are gone at the source.

    Rows that complete walks no longer meet are hidden by themselves, unless they are suspiciously many: then they are
    held until somebody decides.
    """


@deletes.command("list", example="syncd deletes list\nsyncd deletes list revento/evt_1 --json")
@click.argument("name", metavar="[INSTALLATION]", required=False)
@pass_session
def list_all(session: Session, name: str | None) -> None:
    """List what is held, since when, and a few of the keys; what was rejected too."""
    found = _pending(session, [name] if name else [])
    session.answer({"deletes": found}, *([_listing(found)] if found else []))
    if not found:
        session.note(NOTHING_PENDING)


@deletes.command(example="syncd deletes accept revento/evt_1\nsyncd deletes accept evt_1 --stream participants --yes")
@click.argument("name", metavar="INSTALLATION")
@stream_option
@click.option("--rejected", is_flag=True, help="Also what was rejected before.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def accept(session: Session, name: str, streams: tuple[str, ...], rejected: bool, yes: bool) -> int:
    """Hide the rows that are held now, and delete their personal data.

    A row that the source lists again comes back by itself, and its personal data with it.
    """
    from syncd.sync import removals

    pending = [each for each in _pending(session, [name]) if not streams or each.stream in streams]
    number = sum(each.held + (each.rejected if rejected else 0) for each in pending)
    question = f"hide {count(number, 'row')} of {name}, and delete their personal data?"
    if number and not yes and not session.confirms(question):
        session.note("nothing was done")
        return NOT_CONFIRMED

    async def settle(app: App, installation: Installation, stream: Stream) -> int:
        shown = max((each.latest for each in pending if each.stream == stream.name), default=None)
        if shown is None:
            return 0
        return await removals.accept(app.database, installation, stream, rejected=rejected, shown=shown)

    _answer(session, "accepted", _settle(session, name, streams, settle))
    return 0


@deletes.command(example="syncd deletes reject revento/evt_1 --stream participants")
@click.argument("name", metavar="INSTALLATION")
@stream_option
@pass_session
def reject(session: Session, name: str, streams: tuple[str, ...]) -> None:
    """Keep the rows that are held now.

    They stay, and are not held again, for as long as the source does not list them; `accept --rejected` hides them.
    """
    from syncd.sync import removals

    async def settle(app: App, installation: Installation, stream: Stream) -> int:
        return await removals.reject(app.database, installation, stream)

    _answer(session, "rejected", _settle(session, name, streams, settle))


def _pending(session: Session, names: Sequence[str]) -> list[PendingReport]:
    from syncd.sources import SOURCES
    from syncd.store.removals import report_pending

    async def ask(database: Database) -> list[PendingReport]:
        tables = {name: source.schema for name, source in SOURCES.items()}
        return await report_pending(database, tables, await chosen_names(database, names))

    return read(session, ask)


def _listing(found: Sequence[PendingReport]) -> Listing:
    rows = [
        (one.installation, one.stream, one.table, one.held, one.rejected or None, one.live, one.since, _keys(one))
        for one in found
    ]
    headers = ("INSTALLATION", "STREAM", "TABLE", "HELD", "REJECTED", "OF", "SINCE", "KEYS")
    return Listing(headers, rows, spare=("STREAM", "SINCE"))


def _keys(report: PendingReport) -> str:
    more = report.held + report.rejected - SHOWN_KEYS
    return ", ".join(report.keys[:SHOWN_KEYS]) + (f" and {more:,} more" if more > 0 else "")


def _settle(
    session: Session,
    name: str,
    streams: Sequence[str],
    settle: Callable[[App, Installation, Stream], Awaitable[int]],
) -> dict[str, dict[str, object]]:
    """What was done to each stream of the installation."""
    from syncd import main

    settings = session.settings()
    url = main.prepare_database(settings)

    async def settling() -> dict[str, dict[str, object]]:
        async with main.open_app(settings, url, "deletes") as app:
            (installation,) = await main.chosen(app, [name])
            chosen = main.chosen_streams(installation, streams)
            done = {stream.name: await settle(app, installation, stream) for stream in chosen}
            return {stream: {"installation": installation.name, "rows": rows} for stream, rows in done.items() if rows}

    return run(settling())


def _answer(session: Session, what: str, done: dict[str, dict[str, object]]) -> None:
    documents = [{"stream": stream, **each} for stream, each in done.items()]
    parts: list[Part] = [f"{one['installation']} {one['stream']}: {one['rows']:,} rows {what}" for one in documents]
    session.answer({what: documents}, *parts)
    if not documents:
        session.note(NOTHING_PENDING)
