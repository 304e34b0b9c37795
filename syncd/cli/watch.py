"""Looking again and again: redrawn in place on a terminal, elsewhere one block or document after another."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

import click

from syncd.cli.session import NOTHING_YET, Session
from syncd.cli.text import Listing, Part, console_of, render, show_time, write_error, write_json
from syncd.errors import DatabaseError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen; `is_last` ends the watch."""

    document: object
    parts: Sequence[Part]
    is_last: bool = False


class Display(Protocol):
    """Where looks are shown."""

    def show(self, look: Look) -> None:
        """This is how it stands now."""

    def fail(self, error: DatabaseError) -> None:
        """Nothing can be seen now."""


async def watch(session: Session, look: Callable[[], Awaitable[Look]], every_s: float) -> Look:
    """Look until a look is the last, and return that one. A database that is gone is waited for."""
    import asyncio

    with _display(session, every_s) as display:
        while True:
            try:
                seen = await look()
                display.show(seen)
                if seen.is_last:
                    break
            except DatabaseError as error:
                display.fail(error)
            await asyncio.sleep(every_s)
    if isinstance(display, Screen):  # it has gone with all that stood on it
        session.answer(seen.document, *seen.parts)
    return seen


def read_interval(_context: click.Context, _parameter: click.Parameter, value: str | None) -> float | None:
    """Seconds of a text such as 2s or 1m."""
    from syncd.config_types import parse_duration

    try:
        return None if value is None else parse_duration(value).total_seconds()
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@contextmanager
def _display(session: Session, every_s: float) -> Iterator[Display]:
    if session.json:
        yield Documents()
        return
    console = console_of(sys.stdout)
    if not console.is_terminal or console.is_dumb_terminal:
        yield Blocks(session)
        return
    from rich.live import Live

    with Live(console=console, screen=True, auto_refresh=False) as live:
        yield Screen(console, live, every_s)


class Documents:
    """One JSON document a look; one with `error` and `hint` where there was nothing to see."""

    def show(self, look: Look) -> None:
        """Write its document."""
        write_json(look.document)

    def fail(self, error: DatabaseError) -> None:
        """Write why there is none."""
        write_json({"error": str(error), "hint": error.hint})


@dataclass(frozen=True, slots=True)
class Blocks:
    """One block of text a look, under its time."""

    session: Session

    def show(self, look: Look) -> None:
        """Write its block."""
        self.session.answer(look.document, _now(), *look.parts, "")

    def fail(self, error: DatabaseError) -> None:
        """Write on stderr why there is none."""
        write_error(str(error), error.hint)


@dataclass(slots=True)
class Screen:
    """The terminal's other screen, which makes room for the shell's at the end."""

    console: Console
    live: Live
    every_s: float
    parts: Sequence[Part] = ()

    def show(self, look: Look) -> None:
        """Draw it over the last one."""
        self.parts = look.parts or [NOTHING_YET]
        self._draw(f"{_now()}, every {self.every_s:.0f}s; Ctrl-C ends")

    def fail(self, error: DatabaseError) -> None:
        """Say it above the last look, which stays."""
        self._draw(f"{_now()}: {error}; trying again every {self.every_s:.0f}s")

    def _draw(self, headline: str) -> None:
        from rich.console import Group
        from rich.text import Text

        width = self.console.width
        drawn = [
            render(part, width) if isinstance(part, Listing) else Text(part) for part in (headline, "", *self.parts)
        ]
        self.live.update(Group(*drawn), refresh=True)


def _now() -> str:
    return show_time(datetime.now(UTC))
