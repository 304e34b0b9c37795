"""Planting bugs one at a time in a copy of the code, and seeing whether the tests notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.planted.bug import ROOT, Bug

COPIED = ("syncd", "migrations", "tests", "config", "docs", "pyproject.toml", "README.md", "Makefile", "deploy")
# A bug may make a test wait for ever.
PATIENCE_S = 120.0
# pytest's own: all passed, some failed.
_PASSED, _FAILED = 0, 1


class Verdict(Enum):
    """What the tests said. A run that broke, before it came to a test say, proves nothing."""

    FOUND = "found"
    SURVIVED = "survived"
    BROKEN = "broken"


class Outcome(NamedTuple):
    """What became of one bug; `said` is the end of pytest's output."""

    bug: Bug
    verdict: Verdict
    said: str


def run_all(bugs: Iterable[Bug], *, workers: int, database_url: str | None = None) -> Iterator[Outcome]:
    """Plant each in turn, `workers` at a time; the outcomes come in the bugs' order."""
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(partial(run_one, database_url=database_url), bugs)


def run_one(bug: Bug, *, database_url: str | None = None) -> Outcome:
    """Whether a test notices the bug. `database_url`: of a server's administrator; without one the tests start their
    own. Raises BugDoesNotFit."""
    planted = bug.applied()
    with _copy() as folder:
        (folder / bug.path).write_text(planted)
        try:
            code, said = _pytest(folder, bug.tests, database_url)
        except subprocess.TimeoutExpired:
            return Outcome(bug, Verdict.FOUND, f"its tests did not end within {PATIENCE_S:g} s")
    verdict = {_PASSED: Verdict.SURVIVED, _FAILED: Verdict.FOUND}.get(code, Verdict.BROKEN)
    return Outcome(bug, verdict, said)


def run_unharmed(bugs: Iterable[Bug], *, workers: int, database_url: str) -> tuple[bool, str]:
    """Whether the same tests pass without any bug, and the end of pytest's output: else a failure says nothing."""
    tests = dict.fromkeys(test for bug in bugs for test in bug.tests)
    with _copy() as folder:
        code, said = _pytest(folder, tuple(tests), database_url, f"-n{workers}", timeout_s=None)
    return code == _PASSED, said


@contextmanager
def _copy() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="syncd-planted-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # an ordinary account may have to read it
        for each in COPIED:
            if (ROOT / each).is_dir():
                shutil.copytree(ROOT / each, folder / each, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / each, folder / each)
        yield folder


def _pytest(
    folder: Path,
    tests: Sequence[str],
    database_url: str | None,
    *options: str,
    timeout_s: float | None = PATIENCE_S,
) -> tuple[int, str]:
    # The copy goes before the installed package, in processes that the tests start too.
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    if database_url is not None:
        environment["SYNCD_TEST_DATABASE_URL"] = database_url
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *options]
    process = subprocess.Popen(
        [*command, "-m", "", *tests],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        out, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.terminate()  # pytest ends its servers
        process.communicate()
        raise
    return process.returncode, "\n".join(out.splitlines()[-30:])
