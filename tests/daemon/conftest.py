"""Benches for the tests of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.harness import Bench, OpenBench, benches


@pytest.fixture
async def open_bench(database_url: str) -> AsyncIterator[OpenBench]:
    """Open benches; all are closed at the end."""
    async with benches(database_url) as start:
        yield start


@pytest.fixture
async def bench(open_bench: OpenBench) -> Bench:
    """A small world whose first event is connected."""
    bench = await open_bench()
    await bench.add()
    return bench
