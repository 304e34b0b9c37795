"""`python -m tests.kills`: kill a real process at every failpoint, or at the named ones, and see what becomes of it."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from itertools import product

from syncd import logs
from tests.kills import BY_NAME
from tests.kills.run import Plan, databases, play_all
from tests.kills.story import Verdict


def main() -> int:
    """0: every failpoint fired and nothing is wrong; 1: something is, and is named; 2: usage."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="NAME", help="a part of a failpoint's name; all unless given")
    parser.add_argument(
        "--seeds", type=int, default=1, metavar="N",
        help="stories of each; from the second on the rescuer is killed too, and odd ones have the other readings of "
        "the API (default: 1)",
    )  # fmt: skip
    parser.add_argument("--first-seed", type=int, default=0, metavar="N", help="where to begin (default: 0)")
    parser.add_argument("--at-a-time", type=int, default=4, metavar="N", help="stories side by side (default: 4)")
    parser.add_argument("--list", action="store_true", help="only name them")
    asked = parser.parse_args()
    chosen = [each for name, each in BY_NAME.items() if not asked.parts or any(part in name for part in asked.parts)]
    if not chosen:
        parser.error(f"no failpoint is named so; there are {len(BY_NAME)}, see --list")
    if asked.list:
        print("\n".join(f"{each.name}: {each.where}, {each.when.value}, call {each.nth}" for each in chosen))
        return 0
    logs.configure(level="error")
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    return asyncio.run(_run([(failpoint, seed) for seed, failpoint in product(seeds, chosen)], asked.at_a_time))


async def _run(plans: Sequence[Plan], at_a_time: int) -> int:
    began, verdicts = time.monotonic(), list[Verdict]()
    with databases() as fresh:
        async for verdict in play_all(plans, fresh, at_a_time):
            verdicts.append(verdict)
            print(_line(verdict), flush=True)
    print(_summary(verdicts, time.monotonic() - began))
    return 1 if any(verdict.violations for verdict in verdicts) else 0


def _line(verdict: Verdict) -> str:
    told = "\n".join(["", *verdict.violations[:10]]).replace("\n", "\n    ")
    figures = f"{verdict.kills} kills, {verdict.lives} processes, {verdict.refetched} pages again"
    return f"{'WRONG' if told else 'right'}  {verdict.failpoint.name} (seed {verdict.seed}): {figures}{told}"


def _summary(verdicts: Sequence[Verdict], took_s: float) -> str:
    sums = {
        "failpoints": len({verdict.failpoint.name for verdict in verdicts}),
        "stories": len(verdicts),
        "processes": sum(verdict.lives for verdict in verdicts),
        "kills": sum(verdict.kills for verdict in verdicts),
        "pages fetched again": sum(verdict.refetched for verdict in verdicts),
        "most of them per kill": max(verdict.refetched / max(verdict.kills, 1) for verdict in verdicts),
        "walks begun anew": sum(verdict.restarts for verdict in verdicts),
        "consents lost": sum(verdict.consents_lost for verdict in verdicts),
        "stories with a violation": sum(bool(verdict.violations) for verdict in verdicts),
        "seconds": took_s,
    }
    return "\n".join(["", *(f"{name:24} {number:8,.0f}" for name, number in sums.items())])


if __name__ == "__main__":
    sys.exit(main())
