"""Whole rounds through a proxy that cuts what passes at bytes of a seeded choice: the end equals the API."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests import truth
from tests.harness import PARTICIPANTS, Bench, OpenBench
from tests.http_proxy import HttpProxy, Strike, http_proxy
from tests.sync.test_resume import SEED, pages_of

PAGE_SIZE = {"REVENTO__PAGE_SIZE": "10"}


@asynccontextmanager
async def through(bench: Bench, name: str) -> AsyncIterator[HttpProxy]:
    """A proxy between the application and the sandbox, for one installation."""
    async with http_proxy(bench.sandbox.api_url) as proxy:
        bench.execute("UPDATE syncd.installations SET api_url = %s WHERE name = %s", proxy.url, name)
        yield proxy


def some_cuts(rng: random.Random, size: int) -> list[Strike]:
    """A handful, after one another, of which most meet a reply of the round."""
    gaps = [rng.randrange(size // 4) for _ in range(rng.randint(1, 6))]
    return [Strike(gap, rng.choice(("end", "reset")), rng.choice(("replies",) * 4 + ("requests",))) for gap in gaps]


@pytest.mark.fault(3)
@pytest.mark.fault(4)
@pytest.mark.parametrize("rounds", [2, pytest.param(120, marks=pytest.mark.slow)])
async def test_rounds_that_are_cut_end_equal(open_bench: OpenBench, rounds: int) -> None:
    bench = await open_bench(PAGE_SIZE)
    installation = await bench.add()
    bench.hurry()
    rng = random.Random(SEED)
    async with through(bench, installation.name) as proxy:
        assert (await bench.sync()).exit_code == 0
        size, struck = proxy.passed["replies"], 0
        for n in range(rounds):
            row = rng.choice(bench.sandbox.truth()["events"][0]["participants"])
            bench.sandbox.world.patch(bench.event_id, "participants", row["id"], {"nickname": f"Ćma {n}"})
            cuts = some_cuts(rng, size)
            proxy.strike(*cuts)
            assert (await bench.sync(fresh=True)).exit_code == 0, (SEED, n, cuts)
            struck += len(proxy.struck)
            truth.assert_equal(bench.url, bench.sandbox.truth())
        lost = bench.value("SELECT count(*) FROM syncd.requests WHERE error_code = 'connection'")
        assert bench.query("SELECT DISTINCT outcome, generation FROM syncd.walks") == [("certified", 1)]
    assert (struck >= rounds, lost) == (True, struck), "each cut costs one attempt, and no page"


@pytest.mark.fault(5)
async def test_a_page_that_ends_with_its_connection_is_never_taken_in_part(open_bench: OpenBench) -> None:
    """No length and no coding tells that it was cut: its stream fails, and the next round brings the rest."""
    bench = await open_bench(PAGE_SIZE)
    await bench.add()
    bench.app.client.headers["Accept-Encoding"] = "identity"
    cuts = (0, random.Random(SEED).randrange(1, 3000))
    for cut in cuts:
        bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 2, "eof_delimited": True, "cut_after_bytes": cut})
        result = await bench.sync(fresh=True)
        failed = {one.stream: one.status for one in result.streams if one.status != "certified"}
        assert failed == {"participants": "failed"}, cut
        taken = "SELECT status, error_code FROM syncd.requests WHERE endpoint = %s AND bytes = %s"
        assert bench.query(taken, PARTICIPANTS, cut) == [(200, None)], "nothing on the wire tells"
        assert bench.value("SELECT count(*) FROM revento.participants WHERE NOT _syncd_is_stub") == 10
    assert pages_of(bench) == len(cuts), "the first page of each walk"
    assert (await bench.sync(fresh=True)).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(8)
async def test_a_reply_that_stalls_holds_up_only_its_own_installation(open_bench: OpenBench) -> None:
    bench = await open_bench(PAGE_SIZE, events=2)
    slow, other = await bench.add(), await bench.add(bench.sandbox.event_ids[1])
    bench.hurry()
    async with through(bench, slow.name) as proxy:
        proxy.strike(Strike(2000, "stall"))
        held = asyncio.create_task(bench.sync(slow))
        while not proxy.struck:
            await asyncio.sleep(0.005)
        assert (await bench.sync(other)).exit_code == 0
        assert not held.done()
        await proxy.close()
        assert (await held).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert bench.query("SELECT error_code FROM syncd.requests WHERE error_code IS NOT NULL") == [("connection",)]
