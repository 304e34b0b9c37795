"""`syncd sync` and `syncd backfill`: one round now, watched to its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

import click

from syncd.cli.command import Command
from syncd.cli.options import wait_option
from syncd.cli.result import Outcome, Problem, document, outcome, problems, text
from syncd.cli.session import NOTHING_YET, Session, pass_session
from syncd.cli.signals import run
from syncd.cli.text import write_error
from syncd.errors import ConfigError

if TYPE_CHECKING:
    from syncd.config import Settings
    from syncd.main import App
    from syncd.model import Installation
    from syncd.sync.round import Order


@dataclass(frozen=True, slots=True)
class Asked:
    """What to copy: all installations when there are no names, all streams when there are no streams."""

    command: str
    names: Sequence[str]
    streams: Sequence[str]
    wait: bool
    fresh: bool = False
    dry: bool = False


def _read_streams(_ctx: click.Context, _param: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    if names:
        from syncd.sources import SOURCES

        known = list(dict.fromkeys(stream.name for source in SOURCES.values() for stream in source.streams))
        for name in names:
            if name not in known:
                raise ConfigError(f"there is no stream {name!r}", hint=f"there are: {', '.join(known)}")
    return names


stream_option = click.option(
    "--stream",
    "-s",
    "streams",
    multiple=True,
    metavar="NAME",
    callback=_read_streams,
    help="Only this stream; may be repeated.",
)


@click.command(cls=Command, example="syncd sync\nsyncd sync revento/evt_1 --stream participants --json")
@click.argument("names", nargs=-1, metavar="[INSTALLATION]...")
@stream_option
@click.option("--dry-run", "dry", is_flag=True, help="Tell what it would do, and write nothing.")
@wait_option
@pass_session
def sync(session: Session, names: tuple[str, ...], streams: tuple[str, ...], dry: bool, wait: bool) -> int:
    """Run one round now.

    Copies each stream of these installations, or of all, and certifies it. A round that was cut off within the last
    hour goes on where it stood. With --dry-run all counts, and the exit code, are those of a round that began now at
    the first pages; its calls are made and recorded.
    """
    return work(session, Asked("sync", names, streams, wait, dry=dry))


@click.command(cls=Command, example="syncd backfill revento/evt_1 --stream participants --from-scratch")
@click.argument("name", metavar="INSTALLATION")
@stream_option
@click.option("--from-scratch", is_flag=True, help="Forget the saved positions and begin at each first page.")
@wait_option
@pass_session
def backfill(session: Session, name: str, streams: tuple[str, ...], from_scratch: bool, wait: bool) -> int:
    """Copy an installation's streams whole.

    Goes on from the saved positions, unless --from-scratch.
    """
    return work(session, Asked("backfill", [name], streams, wait, from_scratch))


def work(session: Session, asked: Asked) -> int:
    """Run the rounds that are asked for, watched to their end, and answer with their result."""
    from syncd import main

    settings = session.settings()
    url = main.prepare_database(settings)
    ended = run(_rounds(session, settings, url, asked))
    session.answer(document(ended), *text(ended))
    if asked.dry:
        session.note("dry run: nothing was written")
    for problem in problems(ended):
        _tell(session, problem)
    return ended.exit_code


def _tell(session: Session, problem: Problem) -> None:
    if session.json:
        return
    if problem.is_steady:
        session.note(f"skipped: {problem.sentence}", *([f"hint: {hint}"] if (hint := problem.failure.hint) else []))
    else:
        write_error(problem.sentence, problem.failure.hint)


async def _rounds(session: Session, settings: Settings, url: str, asked: Asked) -> Outcome:
    from syncd import main
    from syncd.cli.progress import TellingClock, shown, watch

    began_at, began = datetime.now(UTC), monotonic()
    async with main.open_app(settings, url, asked.command) as app:
        orders = await _orders(session, app, asked)
        with shown(session) as display:
            telling = replace(app, clock=TellingClock(app.clock, display))
            results = await (telling.preview if asked.dry else telling.sync)(orders, watch(display))
    names = [order.installation.name for order in orders]
    return outcome(dict(zip(names, results, strict=True)), began_at, monotonic() - began, is_dry=asked.dry)


async def _orders(session: Session, app: App, asked: Asked) -> list[Order]:
    from syncd.main import chosen, chosen_streams

    return [
        app.order(
            installation,
            asked.command,
            chosen_streams(installation, asked.streams),
            wait=asked.wait,
            fresh=asked.fresh,
        )
        for installation in _unpaused(session, asked, await chosen(app, list(dict.fromkeys(asked.names))))
    ]


def _unpaused(session: Session, asked: Asked, installations: Sequence[Installation]) -> list[Installation]:
    """Those that are not paused; one that was asked for by name is kept, and then refused."""
    if not installations:
        session.note(NOTHING_YET)
    working = [each for each in installations if asked.names or each.state != "paused"]
    for each in installations:
        if each not in working:
            session.note(f"{each.name}: left out, it is paused")
    return working
