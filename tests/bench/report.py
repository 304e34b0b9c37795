"""The figures as a document and as a table: the median of each with its extremes, and the ratio of the medians."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.bench.measure import Figures
from tests.bench.processes import REPOSITORY

CONTENDERS = ("syncd", "floor")
# Name in the document, and in the table; how many decimals a person wants.
FIGURES = (
    ("rows_per_s", "rows per second, whole process", 0),
    ("wall_s", "wall time, s", 2),
    ("client_cpu_s", "client CPU, s", 2),
    ("client_cpu_ms", "client CPU, ms per 1,000 rows", 1),
    ("peak_rss_mb", "client's peak RSS, MB", 1),
    ("server_cpu_ms", "PostgreSQL CPU, ms per 1,000 rows", 1),
    ("sandbox_cpu_ms", "sandbox CPU, ms per 1,000 rows", 1),
    ("wal_bytes", "WAL, bytes a row", 1),
    ("calls", "calls", 0),
    ("replaced_data", "dead tuples left in the data", 0),
    ("replaced_control", "dead tuples left in control tables", 0),
)


class Sample(NamedTuple):
    """One measured phase of one contender."""

    phase: str
    contender: str
    figures: Figures


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the repetitions."""

    median: float
    min: float
    max: float


@dataclass(frozen=True, slots=True)
class Setting:
    """Where, when and of what the figures were taken. `load` is the machine's when the run began."""

    at: str
    commit: str
    cpu: str
    cores: int
    load: float
    python: str
    postgres: str
    participants: int
    repeat: int
    latency_s: float


Line = tuple[str, ...]
Spreads = Mapping[str, Mapping[str, Mapping[str, Spread]]]  # phase, contender, figure


def setting(participants: int, repeat: int, latency_s: float, *, postgres: str) -> Setting:
    """This machine, now."""
    return Setting(
        at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        commit=_commit(),
        cpu=_cpu(),
        cores=len(os.sched_getaffinity(0)),
        load=round(os.getloadavg()[0], 2),
        python=platform.python_version(),
        postgres=postgres,
        participants=participants,
        repeat=repeat,
        latency_s=latency_s,
    )


def spreads(samples: Iterable[Sample]) -> Spreads:
    """Each figure of each contender in each phase, in the order in which they were measured."""
    values: dict[str, dict[str, dict[str, list[float]]]] = {}
    for phase, contender, figures in samples:
        for name, value in figures.items():
            values.setdefault(phase, {}).setdefault(contender, {}).setdefault(name, []).append(value)
    return {
        phase: {
            contender: {name: Spread(median(each), min(each), max(each)) for name, each in figures.items()}
            for contender, figures in contenders.items()
        }
        for phase, contenders in values.items()
    }


def ratio(contenders: Mapping[str, Mapping[str, Spread]], figure: str) -> float | None:
    """syncd's median over the floor's; None where there is no such number."""
    ours, theirs = (contenders.get(name, {}).get(figure) for name in CONTENDERS)
    return ours.median / theirs.median if ours and theirs and theirs.median else None


def document(setting: Setting, spreads: Spreads) -> Mapping[str, object]:
    """Everything, for programs."""
    return {
        "setting": asdict(setting),
        "phases": {
            phase: {
                **{name: {figure: asdict(each) for figure, each in of.items()} for name, of in contenders.items()},
                "ratio": {figure: ratio(contenders, figure) for figure, _, _ in _measured(contenders)},
            }
            for phase, contenders in spreads.items()
        },
    }


def text(setting: Setting, spreads: Spreads) -> str:
    """A table for a terminal."""
    lines = [row for phase in spreads for row in [(), (phase, *_heads(spreads[phase])), *_rows(spreads[phase])]]
    widths = [max(len(cell) for cell in column) for column in zip(*filter(None, lines), strict=True)]
    return "\n".join([caption(setting), *(_aligned(line, widths) for line in lines)])


def markdown(setting: Setting, spreads: Spreads) -> str:
    """A table for docs/bench.md."""
    parts = [caption(setting)]
    for phase, contenders in spreads.items():
        heads = (phase.capitalize(), *_heads(contenders))
        lines = [heads, ("---", *("---:" for _ in heads[1:])), *_rows(contenders)]
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts)


def caption(setting: Setting) -> str:
    """One sentence on where the figures come from."""
    return (
        f"{setting.at}, commit {setting.commit}, {setting.cores} cores ({setting.cpu}), load {setting.load} before, "
        f"Python {setting.python}, PostgreSQL {setting.postgres}: {setting.participants:,} participants, "
        f"latency {setting.latency_s:g} s; median of {setting.repeat} (smallest to largest)."
    )


def _heads(contenders: Iterable[str]) -> Line:
    return (*contenders, "syncd/floor")


def _rows(contenders: Mapping[str, Mapping[str, Spread]]) -> list[Line]:
    return [
        (label, *(_spread(of[figure], decimals) for of in contenders.values()), _ratio(ratio(contenders, figure)))
        for figure, label, decimals in _measured(contenders)
    ]


def _measured(contenders: Mapping[str, Mapping[str, Spread]]) -> list[tuple[str, str, int]]:
    return [each for each in FIGURES if all(each[0] in of for of in contenders.values())]


def _spread(spread: Spread, decimals: int) -> str:
    middle, low, high = (f"{value:,.{decimals}f}" for value in (spread.median, spread.min, spread.max))
    return middle if low == high else f"{middle} ({low} to {high})"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> str:
    if not line:
        return ""
    first, *others = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
    return "  ".join([first, *others]).rstrip()


def _commit() -> str:
    git = ["git", "-c", f"safe.directory={REPOSITORY}", "describe", "--always", "--dirty", "--exclude=*"]
    described = subprocess.run(git, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return described.stdout.strip() or "unknown"


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
