"""What a person or a program sees while rounds run: JSON lines, a live table, or a line every ten seconds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import click
from structlog.contextvars import get_contextvars

from syncd.cli.session import Session
from syncd.cli.text import Listing, console_of, count, render, show_time, write_json
from syncd.clock import Clock
from syncd.model import Counts
from syncd.sync.round import Watch

if TYPE_CHECKING:
    from rich.table import Table

    from syncd.model import Installation
    from syncd.store.leases import Holder
    from syncd.sync.run import Progress

LINE_EVERY_S = 10.0
# A shorter wait is pacing, not news.
WORTH_TELLING_S = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """What a run has done so far to one stream, and what it waits for."""

    installation: str
    stream: str
    pages: int = 0
    rows: int = 0
    counts: Counts = field(default_factory=Counts)
    waits: str = ""


class Display(Protocol):
    """Who is told."""

    def page(self, progress: Progress) -> None:
        """A page was committed."""

    def held(self, installation: str, owner: str, until: datetime) -> None:
        """Somebody else drives the installation."""

    def pause(self, installation: str, stream: str, until: datetime) -> None:
        """No call leaves before `until`: the budget is spent, or the API asked for a pause."""


def watch(display: Display) -> Watch:
    """The display as the engine knows it."""

    def waiting(installation: Installation, holder: Holder) -> None:
        display.held(installation.name, holder.owner, holder.until)

    return Watch(page=display.page, waiting=waiting)


@dataclass(frozen=True, slots=True)
class TellingClock:
    """A clock that tells the display of every pause worth it."""

    clock: Clock
    display: Display

    def now(self) -> datetime:
        """The wall clock."""
        return self.clock.now()

    def monotonic(self) -> float:
        """The monotonic clock."""
        return self.clock.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds."""
        if delay_s >= WORTH_TELLING_S:
            # bound by the round for its log lines
            where = get_contextvars()
            until = self.now() + timedelta(seconds=delay_s)
            self.display.pause(where.get("installation", ""), where.get("stream", ""), until)
        await self.clock.sleep(delay_s)


@contextmanager
def shown(session: Session) -> Iterator[Display]:
    """The display that suits the session, for as long as the block runs."""
    if session.json:
        yield JsonLines()
    elif session.is_quiet:
        yield Board()
    elif sys.stderr.isatty():
        with LiveTable().running() as table:
            yield table
    else:
        yield TextLines()


class JsonLines:
    """One document a page or a wait, on stdout."""

    def page(self, progress: Progress) -> None:
        """Write the page with its books."""
        counts = progress.counts
        self._write(
            installation=progress.installation,
            stream=progress.stream,
            page=progress.page_number,
            seen=counts.seen,
            inserted=counts.inserted,
            updated=counts.updated,
            unchanged=counts.unchanged,
            removed=progress.removed,
        )

    def held(self, installation: str, owner: str, until: datetime) -> None:
        """Write who drives it."""
        self._write(installation=installation, held_by=owner, held_until=until)

    def pause(self, installation: str, stream: str, until: datetime) -> None:
        """Write until when."""
        self._write(installation=installation, stream=stream, waiting_until=until)

    def _write(self, **values: object) -> None:
        write_json({"type": "progress", **values})


class Board:
    """Keeps the latest line of each stream, and shows nothing."""

    def __init__(self) -> None:
        self.lines: dict[tuple[str, str], Line] = {}

    def page(self, progress: Progress) -> None:
        """Add the page to its stream's line."""
        line = self._line(progress.installation, progress.stream)
        counts = line.counts + progress.counts
        self._put(replace(line, pages=line.pages + 1, rows=counts.seen, counts=counts, waits=""))

    def held(self, installation: str, owner: str, until: datetime) -> None:
        """Note who drives it."""
        self._put(replace(self._line(installation, ""), waits=f"held by {owner} until {_clock_time(until)}"))

    def pause(self, installation: str, stream: str, until: datetime) -> None:
        """Note until when."""
        self._put(replace(self._line(installation, stream), waits=f"waits until {_clock_time(until)}"))

    def _line(self, installation: str, stream: str) -> Line:
        return self.lines.get((installation, stream)) or Line(installation, stream)

    def _put(self, line: Line) -> None:
        if line.stream:
            self.lines.pop((line.installation, ""), None)
        self.lines[line.installation, line.stream] = line


class TextLines(Board):
    """A line of text every ten seconds for each installation."""

    def __init__(self) -> None:
        super().__init__()
        self._told_at: dict[str, float] = {}

    def _put(self, line: Line) -> None:
        super()._put(line)
        now = monotonic()
        if now - self._told_at.get(line.installation, -LINE_EVERY_S) >= LINE_EVERY_S:
            self._told_at[line.installation] = now
            click.echo(sentence(line), err=True)


def sentence(line: Line) -> str:
    """`revento/evt_1 participants: page 12, 600 rows, 3 new, 1 changed`."""
    counts = line.counts
    books = (
        f"{count(line.pages, 'page')}, {count(line.rows, 'row')}, {counts.inserted:,} new, {counts.updated:,} changed"
    )
    said = ", ".join(part for part in (books if line.pages else "", line.waits) if part)
    return f"{f'{line.installation} {line.stream}'.strip()}: {said}"


class LiveTable(Board):
    """A table on the terminal that changes in place, and makes room for the result at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._console = console_of(sys.stderr)

    @contextmanager
    def running(self) -> Iterator[LiveTable]:
        """Show the table while the block runs."""
        from rich.live import Live

        with Live(get_renderable=self._table, console=self._console, transient=True):
            yield self

    def _table(self) -> Table:
        lines = list(self.lines.values())[-max(self._console.height - 3, 1) :]
        rows = [
            (
                each.installation,
                each.stream,
                *((each.pages, each.rows, each.counts.inserted, each.counts.updated) if each.pages else [None] * 4),
                each.waits,
            )
            for each in lines
        ]
        headers = ("INSTALLATION", "STREAM", "PAGES", "ROWS", "NEW", "CHANGED", "")
        return render(Listing(headers, rows, spare=("CHANGED", "NEW")), self._console.width)


def _clock_time(at: datetime) -> str:
    return show_time(at).partition(" ")[2]
