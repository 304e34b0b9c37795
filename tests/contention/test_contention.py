"""A share of `python -m tests.contention`: eight processes, two tokens, a minute at many times its speed."""

from __future__ import annotations

import pytest

from tests.contention.trial import Trial, play
from tests.harness import OpenBench

TRIAL = Trial(59, speed=10, latency_s=5, kills=((5, 0),))


@pytest.mark.slow
@pytest.mark.fault(63)
@pytest.mark.case("RV-20")
async def test_no_call_of_eight_processes_is_one_too_many(open_bench: OpenBench) -> None:
    """One token's driver is killed in mid-call; the other token's calls are not fewer for it."""
    killed, other = sorted((await play(open_bench, TRIAL)).values(), key=lambda its: -its.kills)
    for its in (killed, other):
        print(its)
        assert set(its.statuses) == {200}
        assert its.most_in_flight <= 5
        assert its.most_in_a_minute <= 30
    assert (killed.kills, other.kills) == (1, 0)
    assert other.share >= 0.5, "a busy machine may leave some"
