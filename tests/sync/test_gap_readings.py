"""On the other side of each gap too the tables become equal to the API, with a refresh and a 413 in mid-walk."""

from __future__ import annotations

import pytest

from tests import truth
from tests.harness import OpenBench

# The gaps that a walk or its rows can feel. Under an arbitrary order (G6) a walk may skip rows that are there all the
# time, and nothing in its pages tells: equality is no promise there.
READINGS = [("G2", "bound"), ("G3", "token"), ("G4", "410"), ("G8", "dies"), ("G25", "hidden"), ("G26", "summary")]


@pytest.mark.parametrize(("gap", "reading"), READINGS)
async def test_the_tables_equal_the_api_under_the_other_reading(open_bench: OpenBench, gap: str, reading: str) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "20"}, gaps={gap: reading}, activities=45)
    await bench.add()
    bench.sandbox.faults.add({"endpoint": "/events/{event_id}/participants", "nth": 3, "error": "token_expired"})
    bench.sandbox.faults.add({"endpoint": "/events/{event_id}/activities", "nth": 2, "error": "payload_too_large"})
    result = await bench.sync()
    assert (result.exit_code, {stream.status for stream in result.streams}) == (0, {"certified"})
    truth.assert_equal(bench.url, bench.sandbox.truth())
