"""A clean run under the limits of the contract, in real time: no refusal, no wait that the budget does not demand."""

from __future__ import annotations

from math import ceil

import pytest

from syncd.sandbox import Limits
from tests import truth
from tests.harness import OpenBench

PER_MINUTE = 30
SLACK_S = 1.0


@pytest.mark.slow
@pytest.mark.case("RV-20")
async def test_a_first_sync_under_the_limits_of_the_contract(open_bench: OpenBench) -> None:
    limits = {"REVENTO__LIMITS__PER_HOUR": "500", "REVENTO__LIMITS__PER_MINUTE": str(PER_MINUTE)}
    bench = await open_bench(limits, participants=1500, activities=100, limits=Limits(500, PER_MINUTE, 5))
    await bench.add()
    assert (await bench.sync(deadline_s=300)).exit_code == 0
    calls = bench.calls()
    assert {call["status"] for call in calls} == {200}
    assert len(calls) == ceil(1500 / 50) + ceil(100 / 50) + 5
    truth.assert_equal(bench.url, bench.sandbox.truth())

    arrived = [call["at"] for call in calls]
    answered = [call["at"] + call["duration_ms"] / 1000 for call in calls]
    demanded = [0.0] * PER_MINUTE + [at + 60 for at in answered[:-PER_MINUTE]]
    late_s = [at - max(before, due) for at, before, due in zip(arrived[1:], answered, demanded[1:], strict=False)]
    assert max(late_s) < SLACK_S, "a call waited longer than for its predecessor and for room in the minute"
    assert max(arrived) - min(arrived) > 59, "the budget did demand a wait"
