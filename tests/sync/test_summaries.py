"""A server whose `/activities` lists summaries (contracts/revento.md G26): the warehouse holds the whole ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests import truth
from tests.harness import ACTIVITIES, EVENT, Bench, OpenBench

PROGRAM = EVENT + "/program"
ACTIVITY = ACTIVITIES + "/{activity_id}"


def listed(bench: Bench) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = bench.sandbox.truth()["events"][0]["activities"]
    return found


def summarise(bench: Bench) -> None:
    """From now on the listing, one page in this world, leaves out most of each activity."""
    short = [
        {name: row[name] for name in ("id", "title", "status", "start_time", "updated_at")} for row in listed(bench)
    ]
    bench.sandbox.faults.add({"endpoint": ACTIVITIES, "set": {"data": short}, "times": None})


@pytest.mark.parametrize("program_fits", [True, False])
async def test_summaries_cost_calls_and_no_value(bench: Bench, program_fits: bool) -> None:
    summarise(bench)
    if not program_fits:
        bench.sandbox.faults.add({"endpoint": PROGRAM, "error": "payload_too_large", "times": None})
    assert (await bench.sync()).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    alone = [row for row in listed(bench) if not program_fits or row["thread"] is None]
    assert (len(bench.calls(PROGRAM)), len(bench.calls(ACTIVITY))) == (1, len(alone))
    brought = bench.query(
        """SELECT endpoint, count(*) FROM revento.activities JOIN syncd.requests ON request_id = _syncd_request_id
           GROUP BY 1 ORDER BY 1"""
    )
    rest = len(listed(bench)) - len(alone)
    assert brought == [(ACTIVITY, len(alone)), (PROGRAM, rest)][: 2 if rest else 1]


async def test_a_listing_that_turns_into_summaries_changes_no_row(bench: Bench) -> None:
    await bench.sync()
    summarise(bench)
    result = await bench.sync(streams=["activities"])
    (activities,) = result.streams
    assert (activities.status, activities.counts.unchanged) == ("certified", len(listed(bench)))
    truth.assert_equal(bench.url, bench.sandbox.truth())


async def test_a_walk_that_cannot_read_the_whole_ones_fails_and_keeps_what_is_stored(bench: Bench) -> None:
    await bench.sync()
    bench.hurry()
    summarise(bench)
    for endpoint in (PROGRAM, ACTIVITY):
        bench.sandbox.faults.add({"endpoint": endpoint, "status": 503, "times": None})
    (activities,) = (await bench.sync(streams=["activities"])).streams
    assert activities.status == "failed"
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(43)
@pytest.mark.parametrize("unknown", [6, None])
async def test_what_is_listed_is_never_gone_though_nobody_knows_it_alone(bench: Bench, unknown: int | None) -> None:
    """A 404 for what the listing names is a contradiction: nothing is hidden for it, and it is told."""
    await bench.sync()
    summarise(bench)
    bench.sandbox.faults.add({"endpoint": PROGRAM, "error": "payload_too_large", "times": None})
    for _ in range(3):
        bench.sandbox.faults.add({"endpoint": ACTIVITY, "error": "resource_not_found", "times": unknown})
        (activities,) = (await bench.sync(streams=["activities"])).streams
        assert activities.counts.seen == len(listed(bench))
        assert activities.counts.rejected == (unknown or len(listed(bench)))
        assert activities.status == ("certified" if unknown else "incomplete")
    witnesses = "SELECT outcome, is_witness FROM syncd.walks WHERE stream = 'activities' ORDER BY started_at"
    assert bench.query(witnesses)[1:] == [("certified" if unknown else "abandoned", False)] * 3
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(63)
async def test_a_page_of_many_calls_has_them_on_record_before_it_is_stored(bench: Bench) -> None:
    """Whoever takes over from a driver that is killed within such a page counts on five lost calls (RV-20)."""
    summarise(bench)
    bench.sandbox.faults.add({"endpoint": PROGRAM, "error": "payload_too_large", "times": None})
    bench.sandbox.faults.add({"endpoint": ACTIVITY, "nth": 14, "delay_s": 3600})
    round_ = asyncio.create_task(bench.sync(streams=["activities"]))
    async with asyncio.timeout(20):
        while len(bench.calls(ACTIVITY)) < 14:
            await asyncio.sleep(0.005)
    stored = {request_id for (request_id,) in bench.query("SELECT request_id::text FROM syncd.requests")}
    round_.cancel()
    await asyncio.gather(round_, return_exceptions=True)
    assert len([call for call in bench.calls() if call["request_id"] not in stored]) <= 5
    served = sorted(call["request_id"] for call in bench.calls())
    assert bench.value("SELECT array_agg(request_id::text ORDER BY request_id::text) FROM syncd.requests") == served


async def test_a_page_of_one_call_has_no_transaction_for_its_record(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "5"})
    await bench.add()

    def store_requests(*_: object) -> None:
        raise AssertionError("they are stored with their pages")

    monkeypatch.setattr("syncd.store.requests.store_requests", store_requests)
    assert (await bench.sync()).exit_code == 0
