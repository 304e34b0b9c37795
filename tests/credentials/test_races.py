"""Two processes that need a new token at the same instant spend one refresh token."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process

import pytest

from tests.harness import TOKEN, Bench, OpenBench, environment


@pytest.mark.fault(46)
@pytest.mark.fault(47)
@pytest.mark.parametrize(
    "races", [2, pytest.param(50, marks=pytest.mark.slow), pytest.param(1_000, marks=pytest.mark.slow)]
)
async def test_of_two_processes_one_refreshes(open_bench: OpenBench, races: int) -> None:
    """The sandbox kills a grant whose spent token is shown again, so the last round tells of all of them."""
    bench = await open_bench()
    await bench.add()
    racers = await asyncio.gather(*(start(bench) for _ in range(2)))
    try:
        for race in range(races):
            bench.sandbox.tokens.expire_event(bench.event_id)
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write(b"go\n")
            assert [await said(racer) for racer in racers] == ["0", "0"], f"race {race}"
    finally:
        for racer in racers:
            racer.kill()
            await racer.communicate()
    refreshes = [entry["status"] for entry in bench.sandbox.log() if entry["endpoint"] == TOKEN]
    assert refreshes == [200] * races, "one for each, and none with a token that was spent"
    assert (await bench.sync()).exit_code == 0


async def start(bench: Bench) -> Process:
    racer = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.credentials.racer", bench.names[0],
        stdin=PIPE, stdout=PIPE, env={"PATH": os.environ["PATH"], **environment(bench.url, bench.sandbox)},
    )  # fmt: skip
    assert await said(racer) == "ready"
    return racer


async def said(racer: Process) -> str:
    assert racer.stdout is not None
    return (await asyncio.wait_for(racer.stdout.readline(), 60)).decode().strip()
