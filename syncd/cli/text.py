"""How answers look: JSON documents, listings that fit the terminal, times and ages."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from uuid import UUID

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

GAP = 2
# A last column of sentences may be folded, but into no less than this.
NARROWEST_SENTENCE = 24
# Wide enough that no line off a terminal is ever folded.
UNFOLDED = 100_000
STYLES = {
    **dict.fromkeys(("fresh", "certified", "succeeded", "active", "healthy", "ok", "equal"), "green"),
    **dict.fromkeys(
        ("incomplete", "partial", "interrupted", "cancelled", "paused", "never", "held", "warning"), "yellow"
    ),
    **dict.fromkeys(("late", "failed", "refused", "needs_consent", "suspended", "wrong", "differs"), "red"),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """Rows under headers. On a narrow terminal the columns in `spare` are left out, in that order, until it fits.

    A column in which no row has anything is left out everywhere.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]
    spare: Sequence[str] = ()


Part = str | Listing


def facts(pairs: Iterable[tuple[str, object]]) -> Listing:
    """Names and values without headers; what has no value is left out."""
    return Listing(("", ""), [pair for pair in pairs if pair[1] not in {None, ""}])


# --- values -----------------------------------------------------------------------------------------------------------


def visible(text: str) -> str:
    """The text with what would move a terminal's cursor or forge a line escaped."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def show_time(at: datetime | None) -> str:
    """`2026-05-09 14:22:31Z`, in UTC; empty for None."""
    return "" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def show_age(age_s: float | None) -> str:
    """The two largest units: `45s`, `12m 5s`, `3h 2m`, `2d 4h`; empty for None."""
    if age_s is None:
        return ""
    seconds = max(int(age_s), 0)
    for size_s, unit, below_s, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size_s:
            rest = seconds % size_s // below_s
            return f"{seconds // size_s}{unit}" + (f" {rest}{below}" if rest else "")
    return f"{seconds}s"


def count(number: int, noun: str) -> str:
    """`1 row`, `2,087 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case datetime():
            return show_time(value)
        case _:
            return visible(str(value))


# --- writing ----------------------------------------------------------------------------------------------------------


def write_json(document: object) -> None:
    """Write one document as one line on stdout, at once."""
    sys.stdout.write(json.dumps(document, default=_json_value) + "\n")
    sys.stdout.flush()


def _json_value(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case UUID() | Path():
            return str(value)
        case frozenset() | set():
            return sorted(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def write_text(stream: TextIO, *parts: Part) -> None:
    """Write sentences and listings; folded to the terminal's width on a terminal, never elsewhere."""
    if not any(isinstance(part, Listing) for part in parts) and not stream.isatty():
        stream.writelines(f"{part}\n" for part in parts)
        return
    from rich.text import Text

    console = console_of(stream)
    with console.capture() as captured:
        for part in parts:
            console.print(render(part, console.width) if isinstance(part, Listing) else Text(part))
    stream.writelines(f"{line.rstrip()}\n" for line in captured.get().splitlines())


def write_error(message: str, hint: str | None) -> None:
    """Write what went wrong, and what to do, on stderr."""
    import click

    click.echo(
        f"{click.style('error:', fg='red', bold=True) if _in_color(sys.stderr) else 'error:'} {message}", err=True
    )
    if hint:
        click.echo(f"hint: {hint}", err=True)


def _in_color(stream: TextIO) -> bool:
    import os

    return stream.isatty() and not os.environ.get("NO_COLOR")


def console_of(stream: TextIO) -> Console:
    """A console that takes nothing in a text for markup, and neither colours nor folds off a terminal."""
    from rich.console import Console

    is_terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=is_terminal,
        width=None if is_terminal else UNFOLDED,
        markup=False,
        highlight=False,
        emoji=False,
    )


def render(listing: Listing, width: int) -> Table:
    """The listing as a table without lines."""
    from rich.table import Table
    from rich.text import Text

    cells = [[_cell(value) for value in row] for row in listing.rows]
    kept = _fitting(listing, cells, width)
    table = Table(
        box=None, pad_edge=False, padding=(0, GAP, 0, 0), header_style="bold", show_header=any(listing.headers)
    )
    for column in kept:
        is_number = any(type(row[column]) is int for row in listing.rows)
        table.add_column(
            listing.headers[column],
            justify="right" if is_number else "left",
            no_wrap=column != len(listing.headers) - 1,
            overflow="fold",
        )
    for row in cells:
        table.add_row(*(Text(row[column], style=STYLES.get(row[column], "")) for column in kept))
    return table


def _fitting(listing: Listing, cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """Indexes of the columns to show."""
    last = len(listing.headers) - 1
    widths = [max(len(text) for text in column) for column in zip(listing.headers, *cells, strict=True)]
    widths[last] = min(widths[last], max(NARROWEST_SENTENCE, len(listing.headers[last])))
    kept = [index for index in range(last + 1) if not cells or any(row[index] for row in cells)]
    for name in listing.spare:
        if sum(widths[index] + GAP for index in kept) - GAP <= width:
            break
        kept = [index for index in kept if listing.headers[index] != name]
    return kept
