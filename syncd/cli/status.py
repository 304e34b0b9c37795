"""`syncd status`: how fresh each stream is, against what is promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.command import Command
from syncd.cli.connection import chosen_names, read
from syncd.cli.session import NOTHING_YET, Session, pass_session
from syncd.cli.text import Listing, Part, count, show_age
from syncd.cli.waits import tell_wait
from syncd.cli.watch import EVERY_S, Look, read_interval, watch

if TYPE_CHECKING:
    from syncd.store.database import Database
    from syncd.store.reports import InstallationReport, StreamReport

STALE = 6


@click.command(cls=Command, example="syncd status --watch\nsyncd status --fail-on-stale || notify-somebody")
@click.argument("names", nargs=-1, metavar="[INSTALLATION]...")
@click.option("--fail-on-stale", is_flag=True, help="Exit with 6 if a stream is older than promised.")
@click.option("--watch", "is_watched", is_flag=True, help="Look again and again, until Ctrl-C or until stale.")
@click.option("--every", metavar="2s", callback=read_interval, help="How often to look with --watch.")
@pass_session
def status(session: Session, names: tuple[str, ...], fail_on_stale: bool, is_watched: bool, every: float | None) -> int:
    """Show how fresh each stream is.

    Its age, what is promised, when it was last certified and is due next, and why it is late. --watch redraws it on a
    terminal; elsewhere, and with --json, each look is a block or a document of its own. With --fail-on-stale it ends
    at the first look that finds a stale stream.
    """
    from syncd.store.reports import report_installations

    async def look(database: Database) -> Look:
        found = await report_installations(database, await chosen_names(database, names))
        is_stale = any(stream.is_stale for each in found for stream in each.streams)
        documents = {"installations": [document(each) for each in found]}
        return Look(documents, text(found), is_last=fail_on_stale and is_stale)

    if every is not None and not is_watched:
        raise click.UsageError("--every goes with --watch")
    if is_watched:
        seen = read(session, lambda database: watch(session, partial(look, database), every or EVERY_S))
    else:
        seen = read(session, look)
        session.answer(seen.document, *seen.parts)
    if not seen.parts:
        session.note(NOTHING_YET)
    return STALE if seen.is_last else 0


def document(installation: InstallationReport) -> dict[str, Any]:
    """The installation as JSON; each stream says whether it is stale."""
    values = {field.name: getattr(installation, field.name) for field in fields(installation)}
    streams = [
        {field.name: getattr(stream, field.name) for field in fields(stream)} | {"is_stale": stream.is_stale}
        for stream in installation.streams
    ]
    return values | {"streams": streams}


def text(found: Sequence[InstallationReport]) -> list[Part]:
    """A line for each stream, and a sentence."""
    if not found:
        return []
    rows = [(each.name, *_row(stream)) for each in found for stream in each.streams]
    listing = Listing(
        ("INSTALLATION", "STREAM", "STATE", "AGE", "PROMISED", "CERTIFIED", "NEXT DUE", "REASON"),
        rows,
        spare=("CERTIFIED", "NEXT DUE", "PROMISED"),
    )
    driven = [f"{each.name} is being driven by {each.driver}" for each in found if each.driver]
    waiting = [sentence for each in found if (sentence := tell_wait(each.name, each))]
    return [listing, summary([stream for each in found for stream in each.streams]), *driven, *waiting]


def _row(stream: StreamReport) -> tuple[object, ...]:
    return (
        stream.stream,
        stream.state,
        show_age(stream.age_s) if stream.age_s is not None else "-",
        show_age(stream.promised_s),
        stream.last_certified_at,
        "now" if stream.due_in_s <= 0 else f"in {show_age(stream.due_in_s)}",
        stream.reason,
    )


def summary(streams: Sequence[StreamReport]) -> str:
    """`All 21 streams fresh`, or how many are not."""
    words = {"held": "held", "late": "late", "never": "never certified", "skipped": "skipped"}
    numbers = {state: sum(stream.state == state for stream in streams) for state in words}
    others = [f"{number} {words[state]}" for state, number in numbers.items() if number]
    if not others:
        return f"All {count(len(streams), 'stream')} fresh"
    fresh = len(streams) - sum(numbers.values())
    return f"{fresh} of {count(len(streams), 'stream')} fresh, {', '.join(others)}"
