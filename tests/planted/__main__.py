"""`python -m tests.planted`: plant every bug, or the named ones, and tell which of them the tests found."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from tests.coverage_tables import PROVEN_BY_BUGS, proofs_of_faults
from tests.planted import BUGS
from tests.planted.bug import Bug
from tests.planted.run import Outcome, Verdict, run_all, run_unharmed
from tests.postgres import session_server


def main() -> int:
    """0: the tests pass as the code is, and every bug was found; else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.planted", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help="of a bug's name or its file; all bugs unless given")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth of them")
    parser.add_argument("--list", action="store_true", help="only name them")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="bugs at a time (default: %(default)s)"
    )
    asked = parser.parse_args()
    bugs = [bug for bug in BUGS if _is_meant(bug, asked.parts)][:: asked.every]
    if not bugs:
        parser.error(f"no bug is named so; there are {len(BUGS)}, see --list")
    if asked.list:
        print("\n".join(f"{bug.path}: {bug.name}" for bug in bugs))
        return 0
    with session_server() as url:  # one for all of the tests' sessions: each would else start its own
        return _run(bugs, asked.workers, url)


def _is_meant(bug: Bug, parts: list[str]) -> bool:
    return not parts or any(part in bug.name or part in bug.path for part in parts)


def _run(bugs: list[Bug], workers: int, database_url: str) -> int:
    passes, said = run_unharmed(bugs, workers=workers, database_url=database_url)
    if not passes:
        print(f"the tests fail without any bug, so nothing can be said:\n{said}", file=sys.stderr)
        return 1
    outcomes = []
    for outcome in run_all(bugs, workers=workers, database_url=database_url):
        outcomes.append(outcome)
        _tell(outcome)
    found = sum(outcome.verdict is Verdict.FOUND for outcome in outcomes)
    if len(outcomes) == len(BUGS):
        print("\n".join(_table(outcomes)))
    print(f"planted bugs found: {found} of {len(outcomes)}")
    return 0 if found == len(outcomes) else 1


def _table(outcomes: list[Outcome]) -> Iterator[str]:
    """A line for each fault that has to be proven by bugs, and how many of them are."""
    tests, complete = proofs_of_faults(), 0
    for fault in PROVEN_BY_BUGS:
        verdicts = [outcome.verdict for outcome in outcomes if fault in outcome.bug.faults]
        found = verdicts.count(Verdict.FOUND)
        whole = bool(tests.get(fault)) and 0 < found == len(verdicts)
        complete += whole
        state = "complete" if whole else "NOT COMPLETE"
        yield f"fault {fault:3}: {len(tests.get(fault, ())):2} tests, {found} of {len(verdicts)} bugs found: {state}"
    yield f"faults complete: {complete} of {len(PROVEN_BY_BUGS)}"


def _tell(outcome: Outcome) -> None:
    print(f"{outcome.verdict.value:8} {outcome.bug.path}: {outcome.bug.name}", flush=True)
    if outcome.verdict is not Verdict.FOUND:
        print(outcome.said, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
