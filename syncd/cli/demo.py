"""`syncd demo`: what a newcomer sees."""

from __future__ import annotations

import asyncio
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from syncd.cli.command import Command
from syncd.cli.session import Session, pass_session
from syncd.cli.signals import run
from syncd.cli.text import Listing, count

if TYPE_CHECKING:
    from syncd.demo import Stage
    from syncd.sandbox import SandboxSettings
    from syncd.store.embedded import Server
    from syncd.sync.round import RoundResult
    from syncd.sync.run import Progress

FAULTS = ("outage", "cut", "slow", "refused")
FULLEST = (
    "SELECT activity_title, starts_at_local, committed_sign_ups, capacity FROM bi.dim_activities "
    "ORDER BY committed_sign_ups DESC NULLS LAST LIMIT 5"
)


@click.command(
    cls=Command, example="syncd demo\nsyncd demo --once --events 1 --participants 5000\nsyncd demo --fault outage"
)
@click.option("--once", is_flag=True, help="End after the first sync; implied where stdout is no terminal.")
@click.option("--events", type=click.IntRange(1, 50), default=3, show_default=True, help="Events in the sandbox.")
@click.option("--participants", type=click.IntRange(1, 100_000), default=900, show_default=True, help="Per event.")
@click.option("--activities", type=click.IntRange(1, 20_000), default=200, show_default=True, help="Per event.")
@click.option("--fault", "faults", type=click.Choice(FAULTS), multiple=True, help="Let the API fail in this way.")
@pass_session
def demo(
    session: Session, *, once: bool, events: int, participants: int, activities: int, faults: tuple[str, ...]
) -> int:
    """See syncd work, without an account.

    A sandbox of the Revento API, a PostgreSQL of its own, and syncd between them. What it starts it stops at the end;
    the tables stay in a home of their own until the next demo empties them.
    """
    from syncd import logs
    from syncd.demo import LIFE_S, default_home, stage_database
    from syncd.sandbox import SandboxSettings

    once = once or session.json or not sys.stdout.isatty()
    logs.configure("auto", session.level or "warning", sys.stderr)
    world = SandboxSettings(
        events=events, participants=participants, activities=activities, life_s=0 if once else LIFE_S
    )
    session.note("Starting a PostgreSQL of its own …")
    server = None
    try:
        with stage_database(default_home()) as server:
            return run(_play(session, server, world, faults, once=once))
    finally:
        if server is not None:
            session.note(*_farewell(server))


async def _play(
    session: Session, server: Server, world: SandboxSettings, faults: tuple[str, ...], *, once: bool
) -> int:
    from syncd.demo import set_up
    from syncd.sync.outcome import worst
    from syncd.sync.round import Watch
    from syncd.web.service import daemon

    async with set_up(server, world, faults, Watch(page=lambda page: _tell_change(session, page))) as stage:
        session.note(*_opening(stage, server, world), "Copying …")
        began = time.monotonic()
        rounds = await stage.first_sync(Watch(page=lambda page: _tell_page(session, page)))
        took_s = time.monotonic() - began
        code = worst(each.exit_code for each in rounds)
        rows = await stage.row_counts()
        session.answer(_document(stage, rounds, rows, took_s, code), *_summary(stage, rounds, rows, took_s))
        if not once:
            session.note(*_invitation(stage, server))
            async with daemon(stage.app, *stage.bind):
                await asyncio.Event().wait()
    return code


# --- what is said, in order -------------------------------------------------------------------------------------------


def _opening(stage: Stage, server: Server, world: SandboxSettings) -> Iterator[str]:
    yield f"PostgreSQL {server.version} is ready on port {server.port}, its files are in {server.home}"
    yield (
        f"A sandbox of the Revento API is ready at {stage.sandbox.api_url}: {count(world.events, 'event')} with "
        f"{count(world.participants, 'participant')} and {world.activities:,} activities each, and the real limits: "
        f"{world.limits.per_hour} calls an hour, {world.limits.per_minute} a minute, {world.limits.in_flight} at once"
    )


def _tell_page(session: Session, page: Progress) -> None:
    if page.page_number % 10 == 0:
        session.note(f"  {page.installation} {page.stream}: page {page.page_number}")


def _tell_change(session: Session, page: Progress) -> None:
    """While the demo runs on, only what has changed is news."""
    changed = page.counts.inserted + page.counts.updated
    if changed:
        session.note(
            f"{time.strftime('%H:%M:%S')}  {page.installation}  {page.stream}: {count(changed, 'row')} changed"
        )


def _summary(
    stage: Stage, rounds: Sequence[RoundResult], rows: dict[str, int], took_s: float
) -> Iterator[str | Listing]:
    refused = sum(1 for call in stage.sandbox.log() if call["status"] == 429)
    certified = sum(stream.status == "certified" for each in rounds for stream in each.streams)
    yield ""
    yield (
        f"Copied {count(len(rounds), 'event')} in {took_s:.1f} s: {count(sum(rows.values()), 'row')}, "
        f"{count(len(stage.sandbox.log()), 'call')}, {refused} refused for going too fast; "
        f"{certified} of {sum(len(each.streams) for each in rounds)} streams certified complete"
    )
    for each in rounds:
        for stream in each.streams:
            if stream.status != "certified":
                yield f"{each.installation} {stream.stream}: {stream.status}, {stream.reason}"
    yield ""
    yield Listing(("table", "rows"), [(name, number) for name, number in rows.items() if number])


def _invitation(stage: Stage, server: Server) -> Iterator[str]:
    event_id = stage.sandbox.event_ids[0]
    yield ""
    yield "It goes on: the sandbox's world changes every few seconds, and syncd keeps the tables fresh."
    yield "In another terminal:"
    yield f"  {_syncd(server)} status"
    yield f"  {_syncd(server)} limits"
    yield f'  {_syncd(server)} db psql -c "{FULLEST}"'
    yield "Change something, and see it arrive within two minutes:"
    yield (
        f"  curl -X PATCH {stage.sandbox.control_url}/events/{event_id}/activities/{stage.activity_id()} "
        '-d \'{"title": "Hello, syncd"}\''
    )
    yield "A BI tool connects with the URL that `db url` prints, and finds the views in schema bi."
    yield ""
    yield "Ctrl-C ends it. Changes as they arrive:"


def _farewell(server: Server) -> Iterator[str]:
    yield ""
    yield "The demo has ended, and everything it started is stopped."
    yield "The tables stay until the next demo; to look at them:"
    yield f"  {_syncd(server)} db start"
    yield f'  {_syncd(server)} db psql -c "{FULLEST}"'
    yield f"  {_syncd(server)} db stop"


def _syncd(server: Server) -> str:
    from syncd.demo import CONFIG_FILE

    return f"{shlex.quote(sys.argv[0])} --config {shlex.quote(str(server.home / CONFIG_FILE))}"


def _document(
    stage: Stage, rounds: Sequence[RoundResult], rows: dict[str, int], took_s: float, code: int
) -> dict[str, object]:
    return {
        "exit": code,
        "seconds": round(took_s, 3),
        "calls": len(stage.sandbox.log()),
        "refused_calls": sum(1 for call in stage.sandbox.log() if call["status"] == 429),
        "events": {each.installation: each.state for each in rounds},
        "rows": rows,
    }
