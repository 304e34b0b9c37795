"""A server whose `/activities` lists summaries (contracts/revento.md G26): the warehouse holds the whole ones."""

from __future__ import annotations

from typing import Any

import pytest

from tests import truth
from tests.harness import ACTIVITIES, EVENT, Bench

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
    bench.sandbox.faults.add({"endpoint": PROGRAM, "status": 503, "times": None})
    (activities,) = (await bench.sync(streams=["activities"])).streams
    assert activities.status == "failed"
    truth.assert_equal(bench.url, bench.sandbox.truth())
