"""`make bench`: syncd beside a hand-written floor, in one run, on a PostgreSQL and a sandbox of our own."""

from __future__ import annotations

import argparse
import json
import sys

from tests.bench import report
from tests.bench.contenders import CONTENDERS
from tests.bench.processes import BenchFailed
from tests.bench.suite import Plan, measure


def main() -> int:
    """Measure, and print the figures on stdout; what happens meanwhile goes to stderr."""
    asked = _arguments()
    contenders = [each for each in CONTENDERS if asked.only in (None, each.name)]
    try:
        setting, samples = measure(Plan(contenders, asked.participants, asked.repeat, asked.latency), _tell)
    except BenchFailed as error:
        _tell(f"failed: {error}")
        return 1
    spreads = report.spreads(samples)
    if asked.json:
        print(json.dumps(report.document(setting, spreads), indent=1))
    else:
        print((report.markdown if asked.markdown else report.text)(setting, spreads))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description=__doc__, epilog='example: make bench ARGS="--repeat 1 --json"'
    )
    parser.add_argument("--participants", type=_count, default=20_000, metavar="N", help="of the event (20000)")
    parser.add_argument("--repeat", type=_count, default=3, metavar="N", help="how often each is measured (3)")
    parser.add_argument("--only", choices=[each.name for each in CONTENDERS], help="leave the other one out")
    parser.add_argument("--latency", type=float, default=0, metavar="SECONDS", help="time that each reply takes (0)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON document")
    form.add_argument("--markdown", action="store_true", help="the tables of docs/bench.md")
    return parser.parse_args()


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _tell(line: str) -> None:
    print(f"bench: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
