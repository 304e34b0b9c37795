"""A crash at any moment: the next run goes on where the last committed page left off, and the end equals the API."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import UUID

import pytest

from syncd.store.history import RunFilter, list_runs, show_run
from syncd.sync.round import RoundResult, Watch
from syncd.sync.run import Progress
from tests import truth
from tests.harness import PARTICIPANTS, Bench, OpenBench, ShiftedClock, environment

KILLS = 10
SEED = int(os.environ.get("SYNCD_TEST_SEED", "20260501"))


def pages_of(bench: Bench, stream: str = "participants") -> int:
    """Pages of the stream that are committed."""
    pages = "SELECT count(*) FROM syncd.walk_pages JOIN syncd.walks USING (walk_id) WHERE stream = %s"
    return int(bench.value(pages, stream))


# --- cancelled ------------------------------------------------------------------------------------------------------


class Cancelling:
    """Cancels the round as soon as it has committed a page, or `after` so many pages."""

    def __init__(self, after: int = 1) -> None:
        self._left = after
        self.task: asyncio.Task[RoundResult] | None = None

    def note(self, _: Progress) -> None:
        """A page has been committed."""
        self._left -= 1
        if self._left == 0 and self.task:
            self.task.cancel()

    async def run(self, bench: Bench) -> RoundResult | None:
        """The round's result; None when it was cancelled."""
        self.task = asyncio.create_task(bench.sync(watch=Watch(page=self.note)))
        try:
            return await self.task
        except asyncio.CancelledError:
            return None


@pytest.mark.fault(94)
async def test_a_round_that_is_cancelled_after_every_page_goes_on_as_one_round(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=100)
    await bench.add()
    tries = 0
    while (result := await Cancelling().run(bench)) is None:
        tries += 1
        assert tries < 100
    # One page a try: 5 single calls, 10 pages of participants, 3 of activities.
    assert tries == 18
    assert (result.exit_code, len(result.streams)) == (0, 7)
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert bench.value("SELECT count(*) FROM syncd.runs") == 1
    assert bench.query("SELECT DISTINCT outcome, generation FROM syncd.walks") == [("certified", 1)]
    assert pages_of(bench) == 10
    # The next page may be here and the one behind it on its way at each cancellation: asked twice, stored once.
    assert len(bench.calls()) <= 18 + 2 * tries
    assert bench.value("SELECT count(*) FROM syncd.leases WHERE owner IS NOT NULL") == 0


@pytest.mark.parametrize("page", [1, 5, 9, 10])
async def test_a_walk_that_is_cut_off_at_any_page_ends_equal(open_bench: OpenBench, page: int) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=100)
    await bench.add()
    assert await Cancelling(after=2 + page).run(bench) is None  # event and roles come first
    assert pages_of(bench) == page
    result = await bench.sync()
    assert result.exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert len(bench.calls(PARTICIPANTS)) <= 10 + 2
    books = {stream.stream: stream.counts for stream in result.streams}
    assert (books["participants"].seen, books["participants"].inserted) == (100, 100)


async def test_a_fresh_round_takes_nothing_up(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=100)
    await bench.add()
    assert await Cancelling(after=5).run(bench) is None
    mark = bench.mark()
    assert (await bench.sync(fresh=True)).exit_code == 0
    assert len(bench.calls(PARTICIPANTS, mark)) == 10
    assert len(bench.calls(since=mark)) == 5 + 10 + 3
    assert bench.query("SELECT state FROM syncd.runs ORDER BY started_at") == [("interrupted",), ("succeeded",)]
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(31)
@pytest.mark.parametrize(("age", "is_sent"), [("22:59:00", True), ("23:00:00", False)])
async def test_a_cursor_that_is_nearly_a_day_old_is_not_sent(open_bench: OpenBench, age: str, is_sent: bool) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=100)
    await bench.add()
    assert await Cancelling(after=5).run(bench) is None
    issued_at = f"to_char((now() - interval '{age}') AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    older = f"jsonb_set(position::jsonb, '{{issued_at}}', to_jsonb({issued_at}))::text"
    bench.execute(f"UPDATE syncd.positions SET position = {older} WHERE position LIKE '%cursor%'")
    mark = bench.mark()
    assert (await bench.sync()).exit_code == 0
    asked = bench.calls(PARTICIPANTS, mark)
    assert ("cursor" in asked[0]["query"]) is is_sent
    outcomes = bench.query("SELECT outcome, generation FROM syncd.walks WHERE stream = 'participants' ORDER BY 2")
    assert outcomes == ([("certified", 1)] if is_sent else [("abandoned", 1), ("certified", 2)])
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(31, 52)
@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0])
async def test_a_walk_is_resumed_though_the_drivers_clock_is_wrong(open_bench: OpenBench, ahead_s: float) -> None:
    """The database's clock alone tells how old a cursor is."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=100)
    await bench.add()
    bench.app = replace(bench.app, clock=ShiftedClock(ahead_s))
    assert await Cancelling(after=5).run(bench) is None
    mark = bench.mark()
    assert (await bench.sync()).exit_code == 0
    assert "cursor" in bench.calls(PARTICIPANTS, mark)[0]["query"]
    truth.assert_equal(bench.url, bench.sandbox.truth())


# --- killed ---------------------------------------------------------------------------------------------------------


class Drivers:
    """Processes that sync the installation, one after the other."""

    def __init__(self, server: Process) -> None:
        self._server = server

    async def start(self) -> int:
        """The process id of a new one."""
        assert self._server.stdin
        self._server.stdin.write(b"\n")
        return await self._line()

    async def ended(self) -> int:
        """How it has ended: its exit code, or minus the signal."""
        return await self._line()

    async def _line(self) -> int:
        assert self._server.stdout
        return int(await asyncio.wait_for(self._server.stdout.readline(), 60))


@asynccontextmanager
async def drivers(bench: Bench, name: str, **environ: str) -> AsyncIterator[Drivers]:
    """A server of such processes, which ends with the block; `environ` changes their settings."""
    changes = {"REVENTO__PAGE_SIZE": "5", "DAEMON__LEASE_S": "1", "LOG__LEVEL": "error"} | environ
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.sync.driver", name),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **environment(bench.url, bench.sandbox, **changes)},
    )
    try:
        yield Drivers(server)
    finally:
        assert server.stdin
        server.stdin.close()
        await asyncio.wait_for(server.wait(), 60)


@pytest.mark.slow
@pytest.mark.fault(94)
@pytest.mark.fault(96)
async def test_kill_9_at_ten_moments_of_a_walk(open_bench: OpenBench) -> None:
    """A hundred pages; each new process goes on within two pages of the last commit, and the end equals the API."""
    bench = await open_bench(participants=500, activities=10, latency_s=0.005)
    installation = await bench.add()
    rng = random.Random(SEED)
    moments = sorted((rng.uniform(2, 98), rng.uniform(0, 0.012)) for _ in range(KILLS))
    print(f"seed {SEED}: killed at calls {[(round(call), round(wait_s, 4)) for call, wait_s in moments]}")
    made = committed = 0
    asked_again = []
    async with drivers(bench, installation.name) as its:
        for call, wait_s in moments:
            process_id = await its.start()
            await asked(bench, max(int(call), made + 2))
            await asyncio.sleep(wait_s)
            os.kill(process_id, signal.SIGKILL)
            assert await its.ended() == -signal.SIGKILL
            made, before = len(bench.calls(PARTICIPANTS)), made
            committed, already = pages_of(bench), committed
            asked_again.append((made - before) - (committed - already))
        await its.start()
        assert await its.ended() == 0
    assert max(asked_again) <= 2, asked_again
    assert len(bench.calls(PARTICIPANTS)) - 100 <= 2 * KILLS
    assert pages_of(bench) == 100
    assert bench.query("SELECT DISTINCT outcome, generation FROM syncd.walks") == [("certified", 1)]
    assert bench.query("SELECT state, exit_code FROM syncd.runs") == [("succeeded", 0)]
    truth.assert_equal(bench.url, bench.sandbox.truth())


async def asked(bench: Bench, count: int) -> None:
    """Wait until the listing has been asked for so often."""
    deadline = time.monotonic() + 30
    while len(bench.calls(PARTICIPANTS)) < count:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


async def test_a_round_is_not_taken_up_by_another_trigger_or_after_an_hour(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=30)
    await bench.add()
    assert await Cancelling(after=3).run(bench) is None
    bench.execute("UPDATE syncd.runs SET heartbeat_at = heartbeat_at - interval '61 minutes'")
    result = await bench.sync()
    assert isinstance(result.run_id, UUID)
    assert bench.query("SELECT state FROM syncd.runs ORDER BY started_at") == [("interrupted",), ("succeeded",)]
    # The cursor is good for a day all the same: the walk goes on, though in another run.
    assert len(bench.calls(PARTICIPANTS)) <= 3 + 2
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(94)
@pytest.mark.parametrize("again", [["roles"], ["roles", "participants"]])
async def test_a_round_is_not_taken_up_by_one_that_would_leave_streams_undone(
    open_bench: OpenBench, again: list[str]
) -> None:
    """It would end as if it had done all. The walk itself goes on where it was, in whatever round."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=30)
    await bench.add()
    assert await Cancelling(after=3).run(bench) is None
    await bench.sync(streams=again)
    states = bench.query("SELECT state, cardinality(streams) FROM syncd.runs ORDER BY started_at")
    assert states == [("interrupted", 7), ("succeeded", len(again))]
    assert await Cancelling(after=2).run(bench) is None
    unfinished = ["participants", "threads", "locations", "activities", "waves"]
    await bench.sync(streams=unfinished[1:] if "participants" in again else unfinished)
    truth.assert_equal(bench.url, bench.sandbox.truth())


async def test_a_round_is_taken_up_by_one_that_does_all_it_left_undone(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=30)
    await bench.add()
    assert await Cancelling(after=3).run(bench) is None
    await bench.sync(streams=["participants", "threads", "locations", "activities", "waves"])
    assert bench.query("SELECT state, cardinality(streams) FROM syncd.runs") == [("succeeded", 7)]


@pytest.mark.fault(94)
@pytest.mark.parametrize("status", ["failed", "held"])
async def test_a_round_is_not_taken_up_past_what_failed_or_is_held_in_it(open_bench: OpenBench, status: str) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=30)
    await bench.add()
    assert await Cancelling(after=6).run(bench) is None
    bench.execute(f"UPDATE syncd.run_streams SET status = '{status}' WHERE stream = 'roles'")
    await bench.sync(streams=["participants", "threads", "locations", "activities", "waves"])
    assert bench.query("SELECT state FROM syncd.runs ORDER BY started_at") == [("interrupted",), ("succeeded",)]


async def test_a_run_whose_driver_has_died_is_not_told_as_running(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=30)
    await bench.add()
    assert await Cancelling(after=3).run(bench) is None
    bench.execute("UPDATE syncd.runs SET state = 'running', ended_at = NULL")
    lease = "UPDATE syncd.leases SET owner = %s, until = clock_timestamp() + interval '10 s'"
    (owner,) = bench.query("SELECT owner FROM syncd.runs")[0]
    told = []
    for driver in (owner, "another", None):
        bench.execute(lease.replace("%s", f"'{driver}'" if driver else "NULL"))
        (run,) = await list_runs(bench.app.database, RunFilter((), (), None, 9))
        history = await show_run(bench.app.database, run.run_id)
        found = await list_runs(bench.app.database, RunFilter((), ("running",), None, 9))
        told.append((run.state, history.run.state, len(found)))
    assert told == [("running", "running", 1), *[("interrupted", "interrupted", 0)] * 2]
    (walk,) = [walk for walk in history.walks if walk.outcome == "open"]
    assert (walk.pages, walk.rows) == (1, 10), "what an open walk has come to so far"


async def test_a_reader_of_the_output_that_goes_away_is_no_stream_s_failure(open_bench: OpenBench) -> None:
    bench = await open_bench()
    await bench.add()

    def broken(_: Progress) -> None:
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    with pytest.raises(BrokenPipeError):
        await bench.sync(watch=Watch(page=broken))
    assert bench.query("SELECT state FROM syncd.runs") == [("interrupted",)]
    assert bench.value("SELECT count(*) FROM syncd.stream_status WHERE status = 'failed'") == 0
