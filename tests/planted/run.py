"""Planting bugs one at a time in a copy of the code, and seeing whether the tests notice."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from tests.planted.bug import ROOT, Bug
from tests.planted.warm import run_pytest

COPIED = ("syncd", "migrations", "tests", "config", "docs", "pyproject.toml", "README.md", "Makefile", "deploy")
# A bug may make a test wait for ever.
PATIENCE_S = 120.0
# pytest's own: all passed, some failed.
_PASSED, _FAILED = 0, 1
_OPTIONS = ("-x", "-q", "--no-header", "-p", "no:cacheprovider", "-m", "")


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
    """Plant each in turn, `workers` at a time in a copy each; the outcomes come in the order of the bugs."""
    with ExitStack() as copies, ThreadPoolExecutor(workers) as pool:
        folders = SimpleQueue[Path]()
        for _ in range(workers):
            folders.put(copies.enter_context(_copy()))
        yield from pool.map(partial(_run_in_a_free, folders, database_url=database_url), bugs)


def _run_in_a_free(folders: SimpleQueue[Path], bug: Bug, *, database_url: str | None) -> Outcome:
    folder = folders.get()
    try:
        return _run_in(folder, bug, database_url)
    finally:
        folders.put(folder)


def run_one(bug: Bug, *, database_url: str | None = None) -> Outcome:
    """Whether a test notices the bug. `database_url`: of a server's administrator; without one the tests start their
    own. Raises BugDoesNotFit."""
    with _copy() as folder:
        return _run_in(folder, bug, database_url)


def _run_in(folder: Path, bug: Bug, database_url: str | None) -> Outcome:
    said = folder / "said"
    said.unlink(missing_ok=True)
    (folder / bug.path).write_text(bug.applied())
    try:
        code = run_pytest(
            folder, [*_OPTIONS, *bug.tests], _environment(folder, database_url), said=said, timeout_s=PATIENCE_S
        )
    except TimeoutError:
        return Outcome(bug, Verdict.FOUND, f"its tests did not end within {PATIENCE_S:g} s")
    finally:
        shutil.copy2(ROOT / bug.path, folder / bug.path)
    verdict = {_PASSED: Verdict.SURVIVED, _FAILED: Verdict.FOUND}.get(code, Verdict.BROKEN)
    return Outcome(bug, verdict, _end_of(said.read_text(errors="replace")))


def run_unharmed(bugs: Iterable[Bug], *, workers: int, database_url: str) -> tuple[bool, str]:
    """Whether the same tests pass without any bug, and the end of pytest's output: else a failure says nothing."""
    tests = dict.fromkeys(test for bug in bugs for test in bug.tests)
    with _copy() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *_OPTIONS, f"-n{workers}", *tests],
            cwd=folder, env={**os.environ, **_environment(folder, database_url)}, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    return done.returncode == _PASSED, _end_of(done.stdout)


@contextmanager
def _copy() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="syncd-planted-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # an ordinary account may have to read it
        for each in COPIED:
            if (ROOT / each).is_dir():
                shutil.copytree(ROOT / each, folder / each)
            else:
                shutil.copy2(ROOT / each, folder / each)
        yield folder


def _environment(folder: Path, database_url: str | None) -> dict[str, str]:
    # The copy goes before the installed package, in processes that the tests start too.
    environment = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    return environment | ({} if database_url is None else {"SYNCD_TEST_DATABASE_URL": database_url})


def _end_of(output: str) -> str:
    return "\n".join(output.splitlines()[-30:])
