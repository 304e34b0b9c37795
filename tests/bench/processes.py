"""Processes of ours, and what a process has cost, as Linux counts it."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class BenchFailed(Exception):
    """The figures would be worth nothing."""


@dataclass(frozen=True, slots=True)
class Command:
    """A Python command: its arguments, and the variables that it finds beside what we inherited."""

    arguments: Sequence[str]
    variables: Mapping[str, str]
    stdin: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `cpu_s` is user and system time, `peak_rss_bytes` its largest resident set."""

    out: str
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int


def run(command: Command) -> Ended:
    """Run a command to its end, from the start of its interpreter on. Raises BenchFailed unless it exits with 0."""
    with tempfile.TemporaryFile("w+") as stdin, tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile() as err:
        stdin.write(command.stdin)
        stdin.seek(0)
        started = time.perf_counter()
        process = start(command, stdin=stdin, stdout=out, stderr=err)
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            err.seek(0)
            said = err.read().decode(errors="replace")[-2000:]
            raise BenchFailed(f"{' '.join(command.arguments)} ended with {process.returncode}:\n{said}")
        out.seek(0)
        # kilobytes (getrusage(2), Linux); never less than what we ourselves held when we started it
        return Ended(out.read(), wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def start(command: Command, **files: object) -> subprocess.Popen[str]:
    """Start a command in a folder without configuration."""
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, *command.arguments],
        cwd=tempfile.gettempdir(),
        env=_inherited() | {"PYTHONPATH": str(REPOSITORY)} | dict(command.variables),
        text=True,
        **files,
    )


def _inherited() -> dict[str, str]:
    # without byte code on disk each process would compile all of syncd anew
    left_out = ("SYNCD_", "PG", "PYTHONDONTWRITEBYTECODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


def cpu_s(pid: int) -> float:
    """User and system time of a process and of its children that have ended (proc_pid_stat(5), fields 14 to 17)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_S


def children(pid: int) -> frozenset[str]:
    """The processes that a process of one thread has started and that it has not yet seen end."""
    return frozenset(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
