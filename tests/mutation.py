"""`python -m tests.mutation`: how many small changes of the core the tests notice; mutmut makes them, one at a time.

What was judged is kept in mutants/, so a run that was stopped goes on, and only what has changed is judged anew.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.utils.file_utils import walk_mutatable_files
from mutmut.utils.format_utils import get_mutant_name

from tests.postgres import session_server

MUTANTS = Path("mutants")
LEAST_SHARE = 0.85
# mutmut's exit codes: 1 a test failed, 3 pytest broke, 24 to 255 as given no test ended in time.
_KILLED = {1, 3, 24, -24, 36, 152, 255}


def main() -> int:
    """0: the tests noticed at least LEAST_SHARE of the changes; else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of mutants, such as `syncd.sync.*`; all unless given")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only each Nth of them, judged anew")
    parser.add_argument(
        "--workers", type=int, default=os.cpu_count() or 1, help="changes at a time (default: %(default)s)"
    )
    asked = parser.parse_args()
    meant = [name for name in _all_changes() if not asked.names or _is_meant(name, asked.names)]
    chosen = meant[:: asked.every]
    if not chosen:
        parser.error("no change is named so")
    # mutmut judges anew whatever is named to it.
    named = [] if len(chosen) == len(meant) and not asked.names else chosen
    with session_server() as url:  # one for all of the tests' sessions: each would else start its own
        command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", str(asked.workers), *named]
        done = subprocess.run(command, env={**os.environ, "SYNCD_TEST_DATABASE_URL": url}, check=False)
    judged = dict(_judged(set(chosen)))
    if done.returncode or not judged:
        print("mutmut could not judge anything", file=sys.stderr)
        return 1
    for module, (killed, changes) in judged.items():
        print(f"{killed / changes:6.1%} {killed:5,} of {changes:5,}  {module}")
    killed, changes = (sum(numbers) for numbers in zip(*judged.values(), strict=True))
    share = killed / changes
    of_all = f", a share of {len(meant):,}," if asked.every > 1 else ""
    print(f"{share:6.1%} {killed:5,} of {changes:5,} changes{of_all} were noticed; at least {LEAST_SHARE:.0%} must be")
    return 0 if share >= LEAST_SHARE else 1


def _all_changes() -> Iterator[str]:
    """The names of all changes, in the order of the files."""
    for path in sorted(walk_mutatable_files()):
        for name in mutate_file_contents(str(path), path.read_text()).mutant_names:
            yield get_mutant_name(path, name)


def _is_meant(name: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatch(name, pattern) for pattern in patterns)


def _judged(chosen: set[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    """How many of the chosen changes of each module were noticed, and of how many."""
    for path in sorted(MUTANTS.rglob("*.py.meta")):
        exit_codes: dict[str, int | None] = json.loads(path.read_text())["exit_code_by_key"]
        # None: not judged yet
        codes = Counter(code for name, code in exit_codes.items() if name in chosen and code is not None)
        if codes:
            killed = sum(number for code, number in codes.items() if code in _KILLED)
            yield path.relative_to(MUTANTS).as_posix().removesuffix(".meta"), (killed, codes.total())


if __name__ == "__main__":
    sys.exit(main())
