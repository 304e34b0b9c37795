"""The warehouse equals the API: every row, every column, at the promised number of calls, and nothing twice."""

from __future__ import annotations

from math import ceil

import pytest

from tests import truth
from tests.harness import Bench


async def test_a_first_sync_makes_the_tables_equal_to_the_api(bench: Bench) -> None:
    result = await bench.sync()
    assert (result.exit_code, result.state) == (0, "succeeded")
    truth.assert_equal(bench.url, bench.sandbox.truth())
