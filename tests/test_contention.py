"""Processes that contend for one token, hand it over and die with it are never told that they were too fast."""

from __future__ import annotations

import pytest

from tests.contention import LIMITS, contest


@pytest.mark.fault(62)
@pytest.mark.fault(63)
async def test_no_call_is_refused_whoever_dies(database_url: str) -> None:
    found = await contest(database_url, seconds=900, speed=90, latency_s=5, hold_s=0.5, kills=2)
    assert (found.refused, found.kills) == (0, 2)
    assert found.most_in_flight <= LIMITS.in_flight
    assert sum(map(len, found.arrivals.values())) > LIMITS.per_minute, "the budget was spent, and spent again"
