"""`python -m tests.kills.large`: a walk of 100,000 participants is killed twenty times at random, with one refresh and
one 413 in it, under each reading of what a cursor survives."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

import psycopg

from syncd import logs
from tests import truth
from tests.harness import PARTICIPANTS, Bench, OpenBench, benches, environment
from tests.kills import oracles
from tests.kills.lives import KILLED, Life, Lives, lives
from tests.kills.run import databases
from tests.kills.story import PAGES_PER_KILL

PAGE = 50
# The certificate of so many rows thinks for longer than a transaction may be idle under the shortest lease.
LEASE_S = "3"
# Of the calls of a walk that nothing disturbs: where the token runs out, and where a page is too large.
REFRESHED_AT, TOO_LARGE_AT = 0.3, 0.7
READINGS: tuple[Mapping[str, str], ...] = (
    {"G2": "free", "G3": "grant"},
    {"G2": "free", "G3": "token"},
    {"G2": "bound", "G3": "grant"},
    {"G2": "bound", "G3": "token"},
)


@dataclass
class Figures:
    """What was measured under one reading. `refetched`: pages that were served for one cursor more than once, `most`
    of them after one kill; `broke_off`: processes that ended by themselves, which only a busy machine should bring."""

    reading: Mapping[str, str]
    kills: int = 0
    broke_off: int = 0
    pages: int = 0
    refetched: int = 0
    most: int = 0
    restarts: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    @property
    def deaths_of_cursors(self) -> int:
        """How often a cursor is refused in a walk: by the refresh, by the smaller page."""
        return (self.reading["G3"] == "token") + (self.reading["G2"] == "bound")


async def kill_at_random(
    open_bench: OpenBench, its: Lives, reading: Mapping[str, str], *, participants: int, kills: int, seed: int
) -> Figures:
    """Kill so many processes at moments that the seed draws, spread over the walk; the next one goes on."""
    bench = await open_bench(gaps=reading, participants=participants, activities=10, latency_s=0.002)
    await bench.add()
    oracles.watch(bench)
    calls = participants // PAGE
    for share, error in ((REFRESHED_AT, "token_expired"), (TOO_LARGE_AT, "payload_too_large")):
        bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": round(calls * share), "error": error})
    figures, rng, began = Figures(reading), Random(seed), time.monotonic()
    moments = sorted((rng.uniform(2, calls - 2), rng.uniform(0, 0.02)) for _ in range(kills))
    environ = environment(
        bench.url, bench.sandbox, REVENTO__PAGE_SIZE=str(PAGE), DAEMON__LEASE_S=LEASE_S, LOG__LEVEL="error"
    )
    for call, wait_s in moments:
        while not await _killed(bench, await its.start(environ, bench.names[0]), round(call), wait_s):
            figures.broke_off += 1
        figures.kills += 1
        again = _refetched(bench)
        figures.most, figures.refetched = max(figures.most, again - figures.refetched), again
    if (code := await its.live(environ, bench.names[0])) != 0:
        figures.violations.append(f"the last process ended with {code}")
    again = _refetched(bench)
    figures.most, figures.refetched = max(figures.most, again - figures.refetched), again
    figures.seconds = time.monotonic() - began
    figures.pages = sum(status == 200 for _, status in _calls(bench))
    figures.restarts = oracles.walks_given_up(bench)
    figures.violations += _wrong(bench, figures, kills)
    return figures


def _wrong(bench: Bench, figures: Figures, kills: int) -> Iterator[str]:
    yield from oracles.always(bench)
    yield from oracles.at_rest(bench)
    if figures.broke_off > kills // 2:
        yield f"{figures.broke_off} processes broke off by themselves"
    if figures.refetched > PAGES_PER_KILL * (kills + figures.broke_off) or figures.most > PAGES_PER_KILL:
        yield f"{figures.refetched} pages were fetched again, up to {figures.most} after one kill"
    if figures.restarts > figures.deaths_of_cursors:
        yield f"{figures.restarts} walks began anew, for {figures.deaths_of_cursors} refusals of a cursor"
    if not all(fault["fired"] for fault in bench.sandbox.faults.listing()):
        yield "the refresh or the 413 did not happen"
    if conduct := oracles.bad_conduct(bench):
        yield f"bad conduct: {conduct}"
    with psycopg.connect(bench.url) as connection:
        yield from truth.compare(connection, bench.sandbox.truth())


def _calls(bench: Bench) -> Iterator[tuple[str, int | None]]:
    return ((entry.query, entry.status) for entry in bench.sandbox.requests if entry.endpoint == PARTICIPANTS)


def _made(bench: Bench) -> int:
    return sum(1 for _ in _calls(bench))


def _refetched(bench: Bench) -> int:
    """First pages have no cursor; they are walks begun anew."""
    served = Counter(query for query, status in _calls(bench) if status == 200 and "cursor=" in query)
    return sum(served.values()) - len(served)


async def _killed(bench: Bench, life: Life, call: int, wait_s: float) -> bool:
    """Kill the process a moment after that call, or after two of its own; False when it has ended before."""
    count = max(call, _made(bench) + 2)
    while _made(bench) < count and not life.has_ended:
        await asyncio.sleep(0.02)
    await asyncio.sleep(wait_s)
    if not life.has_ended:
        with suppress(ProcessLookupError):  # it has ended just now
            os.kill(life.process_id, signal.SIGKILL)
    return await life.ended() == KILLED


def main() -> int:
    """0: all is equal and no bound was broken under any reading; 1: something is wrong, and is named."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills.large", description=__doc__)
    parser.add_argument("--participants", type=int, default=100_000, metavar="N", help="(default: 100000)")
    parser.add_argument("--kills", type=int, default=20, metavar="N", help="(default: 20)")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of the moments (default: 1)")
    names = {"/".join(reading.values()): reading for reading in READINGS}
    parser.add_argument("--reading", choices=names, action="append", help="of G2 and G3; all unless given")
    asked = parser.parse_args()
    logs.configure(level="error")
    readings = [names[name] for name in asked.reading or names]
    return asyncio.run(_run(readings, asked.participants, asked.kills, asked.seed))


async def _run(readings: Iterable[Mapping[str, str]], participants: int, kills: int, seed: int) -> int:
    told = list[Figures]()
    print(f"{participants:,} participants, {kills} kills, seed {seed}")
    print("G2     G3     kills  broken  pages  again  most  restarts  seconds")
    with databases() as fresh:
        async with lives() as its:
            for reading in readings:
                async with fresh.fresh() as url, benches(url) as open_bench:
                    told.append(
                        await kill_at_random(
                            open_bench, its, reading, participants=participants, kills=kills, seed=seed
                        )
                    )
                print(_line(told[-1]), flush=True)
    return 1 if any(figures.violations for figures in told) else 0


def _line(figures: Figures) -> str:
    reading = f"{figures.reading['G2']:6} {figures.reading['G3']:6}"
    counts = f"{figures.kills:5} {figures.broke_off:7} {figures.pages:6,} {figures.refetched:6} {figures.most:5}"
    columns = f"{reading} {counts} {figures.restarts:9} {figures.seconds:8.1f}"
    return "\n    ".join([columns, *figures.violations[:10]])


if __name__ == "__main__":
    sys.exit(main())
