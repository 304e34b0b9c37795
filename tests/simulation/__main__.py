"""`python -m tests.simulation`: play thousands of histories and tell what the oracles say; or one of them again."""

from __future__ import annotations

import argparse
import sys
import time

from syncd import logs
from tests.simulation.batch import READINGS, Tally, find_all, one, run
from tests.simulation.bugs import BUGS
from tests.simulation.refresh_window import measure, show

ORACLES = (
    "O1 no loss, O3 no stale overwrite, O4 no false delete, O5 position after rows, O6 fence and single refresh, "
    "O9 liveness, O10 books"
)
# Of which more than 20,000 have a crash.
HISTORIES = 25_400
SHOWN = 10
# A bug that so many histories do not meet counts as missed.
ENOUGH = 500


def _number(text: str) -> int:
    if not text.isdigit() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of histories")
    return int(text)


def main() -> int:
    """0: no oracle is violated; 1: some are, and the histories are named; 2: usage."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="where to begin (default: 0)")
    parser.add_argument("--histories", type=_number, default=HISTORIES, metavar="N", help="how many")
    parser.add_argument("--replay", metavar="NAME", help="play one again, such as 3/limit/2/crash@120")
    parser.add_argument("--bug", metavar="PART", help="with --replay: plant the engine's bug of this name meanwhile")
    parser.add_argument("--recall", action="store_true", help="only plant each known bug of the engine")
    asked = parser.parse_args()
    logs.configure(level="critical")
    if asked.replay:
        return _replay(asked.replay, asked.bug)
    violated = 0 if asked.recall else max(_batch(asked.seed, asked.histories), _refresh())
    return max(violated, _recall(asked.seed))


def _replay(name: str, part: str | None) -> int:
    bugs = [bug for bug in BUGS if part is not None and part in bug.name]
    if part is not None and len(bugs) != 1:
        print(f"{len(bugs)} bugs have {part!r} in their name; --recall names them all", file=sys.stderr)
        return 2
    try:
        verdict = one(name, bugs[0].changes if bugs else ())
    except (ValueError, KeyError) as error:
        print(f"{name!r} names no history: {error}", file=sys.stderr)
        return 2
    print(f"{name}: {verdict.turns} turns, {verdict.calls} calls, met {', '.join(sorted(verdict.fired)) or 'nothing'}")
    print("\n".join(verdict.violations) or "no violation")
    return 1 if verdict.violations else 0


def _recall(seed: int) -> int:
    found = 0
    for bug, finding in zip(BUGS, find_all(BUGS, seed, ENOUGH), strict=True):
        found += finding is not None
        told = f"by number {finding[2]}, {finding[0]}: {finding[1]}" if finding else f"not by {ENOUGH} histories"
        print(f"{'found' if finding else 'SURVIVED'}: {bug.name}; {told}", flush=True)
    print(f"bugs found: {found} of {len(BUGS)}")
    return 0 if found == len(BUGS) else 1


def _refresh() -> int:
    window = measure("proposed")
    show(window)
    return 1 if window.violations or window.lost != window.inside else 0


def _batch(seed: int, count: int) -> int:
    tally, began = Tally(), time.monotonic()
    for name, verdict in run(seed, count):
        tally.enter(name, verdict)
        if tally.histories % 2_000 == 0:
            print(f"{tally.histories:,} of {count:,} …", file=sys.stderr)
    print(f"histories: {tally.histories:,}, with a crash: {tally.crashes:,}, seeds: {len(tally.seeds):,}")
    print(f"readings of the source: {len(READINGS)}, each for one driver and for two")
    print(f"met: {', '.join(f'{name} {number:,}' for name, number in tally.fired.most_common())}")
    print(f"oracles: {ORACLES}")
    print(f"violations: {len(tally.violations):,} of {tally.histories:,}, in {time.monotonic() - began:.0f} s")
    for name, violations in list(tally.violations.items())[:SHOWN]:
        print(f"  {name}: {violations[0]}\n    again: python -m tests.simulation --replay {name}")
    if never := tally.never():
        print(f"never met, so not proved: {', '.join(never)}")
    return 1 if tally.violations or never else 0


if __name__ == "__main__":
    sys.exit(main())
