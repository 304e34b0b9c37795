"""`python -m tests.contention [NAME]…`: play the trials, print what was spent, end with 1 if a budget was broken."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time

from tests.contention.trial import Trial, play
from tests.harness import benches
from tests.kills.run import Databases, databases

ENOUGH = 0.95
TRIALS = {
    "hour": Trial(3600, speed=60, latency_s=1, kills=((100, 0), (400, 1), (700, 0))),
    "slow-hour": Trial(3600, speed=60, latency_s=5, kills=((100, 0), (400, 1), (700, 0))),
    "five-minutes": Trial(300, speed=1, latency_s=1, kills=((58, 0), (178, 1))),
}


def main() -> int:
    """0: no reply was a 429, no more than five calls were in flight, and hardly a call of the budget was left."""
    parser = argparse.ArgumentParser(prog="python -m tests.contention", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(TRIALS)}; all unless given")
    names = parser.parse_args().names or list(TRIALS)
    with databases() as fresh:
        return max(asyncio.run(_judge(name, fresh)) for name in names)


async def _judge(name: str, fresh: Databases) -> int:
    trial, began = TRIALS[name], time.monotonic()
    async with fresh.fresh() as url, benches(url) as open_bench:
        spent = await play(open_bench, trial)
    print(f"{name}: {trial.lasts_s:g} s at x{trial.speed:g}, latency up to {trial.latency_s:g} s, "
          f"{time.monotonic() - began:.0f} s on the wall")  # fmt: skip
    is_kept = True
    for installation, its in spent.items():
        print(f"  {installation}: {its}", flush=True)
        is_enough = trial.latency_s > 1 or its.share >= ENOUGH
        is_kept = is_kept and set(its.statuses) == {200} and its.most_in_flight <= 5 and is_enough
    return 0 if is_kept and len(spent) == 2 else 1


if __name__ == "__main__":
    sys.exit(main())
