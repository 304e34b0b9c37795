"""A crash at any moment: the next run goes on where the last committed page left off, and the end equals the API."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from syncd.sync.round import RoundResult, Watch
from syncd.sync.run import Progress
from tests import truth
from tests.harness import PARTICIPANTS, Bench, OpenBench, environment

DRIVER = "import sys; from tests.sync.driver import main; main(sys.argv[1])"
KILLS = 10
SEED = random.SystemRandom().randrange(10**6) if os.environ.get("SYNCD_TEST_RANDOM") else 20260501


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
    # One page a try: 5 single calls, 10 pages of participants, 3 of activities; the last page's certificate ends it.
    assert tries in (17, 18)
    assert (result.exit_code, len(result.streams)) == (0, 7)
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert bench.value("SELECT count(*) FROM syncd.runs") == 1
    assert bench.query("SELECT DISTINCT outcome, generation FROM syncd.walks") == [("certified", 1)]
    assert pages_of(bench) == 10
    # The next page was on its way at each cancellation: asked twice, stored once.
    assert len(bench.calls(PARTICIPANTS)) <= 10 + tries
    assert bench.value("SELECT count(*) FROM syncd.leases WHERE owner IS NOT NULL") == 0


@pytest.mark.parametrize("page", range(1, 11))
async def test_a_walk_that_is_cut_off_at_any_page_ends_equal(open_bench: OpenBench, page: int) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=100)
    await bench.add()
    assert await Cancelling(after=2 + page).run(bench) is None  # event and roles come first
    assert pages_of(bench) == page
    asked = len(bench.calls(PARTICIPANTS))
    result = await bench.sync()
    assert result.exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert asked <= page + 1
    assert len(bench.calls(PARTICIPANTS)) - asked == 10 - page
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
async def test_a_cursor_that_is_nearly_a_day_old_is_not_sent(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=100)
    await bench.add()
    assert await Cancelling(after=5).run(bench) is None
    old = "jsonb_set(position::jsonb, '{issued_at}', to_jsonb((now() - interval '23 hours')::text))::text"
    bench.execute(f"UPDATE syncd.positions SET position = {old} WHERE position LIKE '%%cursor%%'")
    mark = bench.mark()
    assert (await bench.sync()).exit_code == 0
    asked = bench.calls(PARTICIPANTS, mark)
    assert len(asked) == 10
    assert "cursor" not in asked[0]["query"]
    outcomes = bench.query("SELECT outcome, generation FROM syncd.walks WHERE stream = 'participants' ORDER BY 2")
    assert outcomes == [("abandoned", 1), ("certified", 2)]
    truth.assert_equal(bench.url, bench.sandbox.truth())


# --- killed ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def driver(bench: Bench, name: str) -> AsyncIterator[Process]:
    """A process that syncs the installation; killed on leaving if it has not ended."""
    changes = {"REVENTO__PAGE_SIZE": "5", "DAEMON__LEASE_S": "1", "LOG__LEVEL": "error"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DRIVER, name),
        env={**os.environ, **environment(bench.url, bench.sandbox, **changes)},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


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
    for call, wait_s in moments:
        async with driver(bench, installation.name) as process:
            await calls(bench, max(int(call), made + 2), process)
            await asyncio.sleep(wait_s)
            process.send_signal(signal.SIGKILL)
        made, before = len(bench.calls(PARTICIPANTS)), made
        committed, already = pages_of(bench), committed
        asked_again.append((made - before) - (committed - already))
    async with driver(bench, installation.name) as process:
        assert await asyncio.wait_for(process.wait(), 60) == 0
    assert max(asked_again) <= 2, asked_again
    assert len(bench.calls(PARTICIPANTS)) - 100 <= 2 * KILLS
    assert pages_of(bench) == 100
    assert bench.query("SELECT DISTINCT outcome, generation FROM syncd.walks") == [("certified", 1)]
    assert bench.query("SELECT state, exit_code FROM syncd.runs") == [("succeeded", 0)]
    truth.assert_equal(bench.url, bench.sandbox.truth())


async def calls(bench: Bench, count: int, process: Process) -> None:
    """Wait until the listing has been asked so often, by a process that has not ended."""
    deadline = time.monotonic() + 30
    while len(bench.calls(PARTICIPANTS)) < count:
        assert process.returncode is None, f"the process ended with {process.returncode}"
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
    assert len(bench.calls(PARTICIPANTS)) <= 4
    truth.assert_equal(bench.url, bench.sandbox.truth())
