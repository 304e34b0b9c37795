"""A driver that is gone or stands still, a process of its own: another takes over in time, a late one is shut out."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from contextlib import suppress

import pytest

from tests import truth
from tests.harness import PARTICIPANTS, Bench, OpenBench
from tests.sync.test_resume import SEED, asked, drivers
from tests.tcp_proxy import Pair, Reader, TcpProxy, Ways, Writer, running

LEASE_S = 2


class Partition(TcpProxy):
    """Passes everything on while `is_whole` is set, and holds it back while it is not: no connection ends."""

    def __init__(self) -> None:
        super().__init__()
        self.is_whole = asyncio.Event()
        self.is_whole.set()

    async def ways(self, client: Pair, server: Pair) -> Ways:
        """Both are cut at once."""
        return [self._pass(client[0], server[1]), self._pass(server[0], client[1])]

    async def _pass(self, reader: Reader, writer: Writer) -> None:
        while piece := await reader.read(65536):
            await self.is_whole.wait()
            writer.write(piece)
            await writer.drain()


# All that a driver writes: rows, ledger, walks, positions, runs, lease.
WRITTEN = """
    SELECT (SELECT array_agg((participant_key, xmin::text) ORDER BY 1) FROM revento.participants)::text,
        (SELECT array_agg((walk_id, page_number, xmin::text) ORDER BY 1, 2) FROM syncd.walk_pages)::text,
        (SELECT array_agg((walk_id, xmin::text) ORDER BY 1) FROM syncd.walks)::text,
        (SELECT array_agg((stream, xmin::text) ORDER BY 1) FROM syncd.positions)::text,
        (SELECT array_agg((run_id, xmin::text) ORDER BY 1) FROM syncd.runs)::text,
        (SELECT array_agg((owner, epoch, xmin::text) ORDER BY 1) FROM syncd.leases)::text
"""


async def a_bench(open_bench: OpenBench) -> Bench:
    """Forty pages of people, and a second application that waits no longer than it must."""
    bench = await open_bench(
        {"REVENTO__PAGE_SIZE": "5", "DAEMON__LEASE_S": str(LEASE_S)}, participants=200, activities=10, latency_s=0.005
    )
    await bench.add()
    return bench


async def taken_over(bench: Bench, *, fresh: bool = False) -> float:
    """Seconds until somebody else calls the API for the installation, from now on; its round is ended whole."""
    calls, started = len(bench.calls()), time.monotonic()
    rescue = asyncio.create_task(bench.sync(fresh=fresh))
    while len(bench.calls()) <= calls:
        assert not rescue.done()
        await asyncio.sleep(0.005)
    elapsed_s = time.monotonic() - started
    assert (await rescue).exit_code == 0
    return elapsed_s


@pytest.mark.slow
@pytest.mark.fault(94)
async def test_a_driver_that_was_killed_is_replaced_within_two_leases(open_bench: OpenBench) -> None:
    bench = await a_bench(open_bench)
    async with drivers(bench, bench.names[0], DAEMON__LEASE_S=str(LEASE_S)) as its:
        process_id = await its.start()
        await asked(bench, 10)
        os.kill(process_id, signal.SIGKILL)
        assert await its.ended() == -signal.SIGKILL
        assert await taken_over(bench) < 2 * LEASE_S
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(96)
@pytest.mark.fault(97)
@pytest.mark.parametrize("moment", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in range(1, 20))])
async def test_a_driver_that_was_stopped_is_replaced_and_writes_nothing_when_it_goes_on(
    open_bench: OpenBench, moment: int
) -> None:
    """SIGSTOP at any moment of a walk, within a page's transaction too; SIGCONT when another has ended the round, which
    goes on with the same walk or begins another: then not even the ledger would refuse what comes late."""
    rng = random.Random(SEED + moment)
    bench = await a_bench(open_bench)
    async with drivers(bench, bench.names[0], DAEMON__LEASE_S=str(LEASE_S)) as its:
        process_id = await its.start()
        try:
            await asked(bench, rng.randrange(2, 35))
            await asyncio.sleep(rng.uniform(0, 0.012))
            os.kill(process_id, signal.SIGSTOP)
            await asyncio.sleep(0.05)  # what it sent may still be under way
            assert await taken_over(bench, fresh=moment % 2 == 0) < 2 * LEASE_S
            truth.assert_equal(bench.url, bench.sandbox.truth())
            before, calls = bench.query(WRITTEN), len(bench.calls(PARTICIPANTS))
            os.kill(process_id, signal.SIGCONT)
            assert await its.ended() == 1, "it was told that another has taken over"
        finally:
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
    assert bench.query(WRITTEN) == before
    assert len(bench.calls(PARTICIPANTS)) <= calls + 2, "the page that it was waiting for, and the one behind that"
    assert (await bench.sync()).exit_code == 0


@pytest.mark.slow
@pytest.mark.fault(96)
@pytest.mark.fault(97)
@pytest.mark.parametrize("moment", range(10))
async def test_a_driver_that_is_cut_off_from_the_database_is_replaced_and_writes_nothing_when_it_is_back(
    open_bench: OpenBench, moment: int
) -> None:
    """It goes on asking the API until its queue is full, and knows of nothing: no connection of its own has ended."""
    rng = random.Random(SEED + moment)
    bench = await a_bench(open_bench)
    name = bench.names[0]
    async with (
        running(Partition(), bench.url) as network,
        drivers(bench, name, DAEMON__LEASE_S=str(LEASE_S), DATABASE__URL=network.url) as its,
    ):
        process_id = await its.start()
        try:
            await asked(bench, rng.randrange(2, 35))
            await asyncio.sleep(rng.uniform(0, 0.012))
            network.is_whole.clear()
            await asyncio.sleep(0.05)
            assert await taken_over(bench, fresh=moment % 2 == 0) < 2 * LEASE_S
            truth.assert_equal(bench.url, bench.sandbox.truth())
            before, calls = bench.query(WRITTEN), len(bench.calls(PARTICIPANTS))
            network.is_whole.set()
            assert await its.ended() == 1, "it was told that another has taken over"
        finally:
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
    assert bench.query(WRITTEN) == before
    assert len(bench.calls(PARTICIPANTS)) <= calls + 2
    assert (await bench.sync()).exit_code == 0
