"""The real client in a clean run earns no note."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.sandbox import Limits, Sandbox
from tests.harness import Bench, OpenBench


def earned(sandbox: Sandbox) -> list[dict[str, Any]]:
    """The requests that have notes."""
    return [entry for entry in sandbox.log() if entry["notes"]]


async def clean_round(bench: Bench) -> int:
    """One round that reaches every stream; how many calls it took."""
    before = len(bench.sandbox.log())
    assert (await bench.sync()).state == "succeeded"
    return len(bench.sandbox.log()) - before


@pytest.mark.parametrize("gaps", [{}, {"G3": "token", "G8": "dies"}])
async def test_rounds_and_a_refresh_leave_no_note(open_bench: OpenBench, gaps: dict[str, str]) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, gaps=gaps)
    await bench.add()
    assert await clean_round(bench) >= 14
    bench.sandbox.tokens.expire_event(bench.event_id)
    assert await clean_round(bench) >= 16
    assert [entry["status"] for entry in bench.sandbox.log()].count(401) >= 1
    await clean_round(bench)
    assert earned(bench.sandbox) == []


async def test_under_the_real_limits_the_client_stays_within_them(open_bench: OpenBench) -> None:
    bench = await open_bench(
        {"REVENTO__LIMITS__PER_HOUR": "500", "REVENTO__LIMITS__PER_MINUTE": "30"}, limits=Limits(), latency_s=0.01
    )
    await bench.add()
    await clean_round(bench)
    assert max(entry["in_flight"] for entry in bench.calls()) <= 5
    assert earned(bench.sandbox) == []


async def test_a_lost_reply_and_a_server_that_is_down_for_a_moment_are_met_without_a_note(bench: Bench) -> None:
    bench.hurry()
    for fault in ({"preset": "cut_body"}, {"status": 503}, {"preset": "foreign_id"}, {"error": "token_expired"}):
        bench.sandbox.faults.add(fault)
    await bench.sync()
    assert [fault["fired"] for fault in bench.sandbox.faults.listing()] == [1, 1, 1, 1]
    assert earned(bench.sandbox) == []
