"""The result of `sync` and `backfill`, as JSON (docs/interface.md §4) and as text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from syncd.cli.failure import Failure, clean, explain
from syncd.cli.text import Listing, Part, count, show_age, show_time
from syncd.errors import RunCancelled

if TYPE_CHECKING:
    from syncd.store.runs import StreamResult
    from syncd.sync.round import RoundResult

# ROWS is always the sum of the five behind it.
HEADERS = (
    "INSTALLATION", "STREAM", "STATUS", "PAGES", "ROWS", "NEW", "CHANGED", "UNCHANGED", "SUPERSEDED", "REJECTED",
    "REMOVED", "REASON",
)  # fmt: skip


# No certificate was given, and no row is held yet.
WRITTEN_NOTHING = "dry run: nothing was written"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rounds that ran, and why others did not, by installation; of a dry run, what they would have come to."""

    rounds: Mapping[str, RoundResult]
    failures: Mapping[str, Failure]
    began_at: datetime
    took_s: float
    is_dry: bool = False

    @property
    def exit_code(self) -> int:
        """The exit code that wins (docs/interface.md §3)."""
        from syncd.sync.outcome import worst

        codes = [each.exit_code for each in self.rounds.values()]
        return worst([*codes, *(each.exit_code for each in self.failures.values())])


@dataclass(frozen=True, slots=True)
class Problem:
    """What keeps streams of an installation from being certified; no streams: the round itself did not run."""

    installation: str
    streams: tuple[str, ...]
    failure: Failure
    is_steady: bool = False  # a declined scope: nothing to be done unless it is wanted

    @property
    def sentence(self) -> str:
        """Where, and what."""
        where = f"{self.installation} {', '.join(self.streams)}: " if self.streams else ""
        return f"{where}{self.failure.message}"


def problems(outcome: Outcome) -> list[Problem]:
    """Each cause once, however many streams it stopped."""
    stopped = [Problem(name, (), failure) for name, failure in outcome.failures.items()]
    return [*stopped, *(problem for each in outcome.rounds.values() for problem in _of_round(each))]


def _of_round(ended: RoundResult) -> list[Problem]:
    names: dict[tuple[Failure, bool], list[str]] = {}
    for each in ended.streams:
        if each.status != "certified":
            failure = Failure(clean(each.reason or each.status), each.hint and clean(each.hint), each.exit_code)
            names.setdefault((failure, each.status == "skipped"), []).append(each.stream)
    return [Problem(ended.installation, tuple(streams), *cause) for cause, streams in names.items()]


def outcome(
    results: Mapping[str, RoundResult | BaseException], began_at: datetime, took_s: float, *, is_dry: bool = False
) -> Outcome:
    """Sort what `App.sync` returned; a round that was cancelled is among the failures, and its streams are told."""
    failures = {name: explain(result) for name, result in results.items() if isinstance(result, BaseException)}
    ended = {name: result.result if isinstance(result, RunCancelled) else result for name, result in results.items()}
    rounds = {name: each for name, each in ended.items() if each is not None and not isinstance(each, BaseException)}
    return Outcome(rounds, failures, began_at, took_s, is_dry)


def _shown(outcome: Outcome) -> list[tuple[str, StreamResult]]:
    """The installations' streams. A dry run certifies none, so what it walked whole is incomplete all the same."""
    return [
        (name, replace(stream, status="incomplete", reason=WRITTEN_NOTHING) if is_certified else stream)
        for name, each in outcome.rounds.items()
        for stream in each.streams
        for is_certified in [outcome.is_dry and stream.status == "certified"]
    ]


def document(outcome: Outcome) -> dict[str, Any]:
    """The last line of the output. With several installations, each stream names its run."""
    from syncd.sync.outcome import state

    rounds = list(outcome.rounds.values())
    several = len(rounds) > 1
    streams = [
        {"installation": name, **_stream(stream), **({"run_id": outcome.rounds[name].run_id} if several else {})}
        for name, stream in _shown(outcome)
    ]
    return {
        "type": "result",
        "status": state(outcome.exit_code),
        "exit": outcome.exit_code,
        "run_id": rounds[0].run_id if len(rounds) == 1 else None,
        **({"dry_run": True} if outcome.is_dry else {}),
        "streams": streams,
        **_errors([each for each in problems(outcome) if not each.is_steady]),
    }


def _stream(result: StreamResult) -> dict[str, Any]:
    counts = result.counts
    return {
        "stream": result.stream,
        "status": result.status,
        "reason": result.reason,
        "pages": result.pages,
        "requests": result.requests,
        "seen": counts.seen,
        "inserted": counts.inserted,
        "updated": counts.updated,
        "reverted": counts.reverted,
        "unchanged": counts.unchanged,
        "superseded": counts.superseded,
        "removed": result.removed,
        "rejected": counts.rejected,
        "quarantined_values": counts.quarantined_values,
        "request_id": result.request_id,
        "error_code": result.error_code,
    }


def _errors(found: Sequence[Problem]) -> dict[str, Any]:
    if not found:
        return {}
    each = [
        {
            "installation": problem.installation,
            "streams": list(problem.streams),
            "exit": problem.failure.exit_code,
            "error": problem.failure.message,
            "hint": problem.failure.hint,
        }
        for problem in found
    ]
    return {"error": found[0].sentence, "hint": found[0].failure.hint, "errors": each}


def text(outcome: Outcome) -> list[Part]:
    """A line for each stream, and a sentence."""
    results = _shown(outcome)
    if not results:
        return []
    rows = [_row(name if len(outcome.rounds) > 1 else "", stream) for name, stream in results]
    return [Listing(HEADERS, rows, spare=("UNCHANGED", "PAGES", "CHANGED")), _sentence(outcome)]


def _row(installation: str, result: StreamResult) -> tuple[object, ...]:
    counts = result.counts
    return (
        installation,
        result.stream,
        result.status,
        result.pages,
        counts.seen,
        counts.inserted,
        counts.updated,
        counts.unchanged,
        counts.superseded or None,
        counts.rejected or None,
        result.removed or None,
        result.reason,
    )


def _sentence(outcome: Outcome) -> str:
    streams = [stream for _, stream in _shown(outcome)]
    statuses = Counter(stream.status for stream in streams)
    states = ", ".join(f"{number} {status}" for status, number in statuses.items())
    whose = next(iter(outcome.rounds)) if len(outcome.rounds) == 1 else count(len(outcome.rounds), "installation")
    calls = sum(stream.requests for stream in streams)
    rows = sum(stream.counts.seen for stream in streams)
    ended_at = outcome.began_at + timedelta(seconds=outcome.took_s)
    new = sum(stream.counts.quarantined_values for stream in streams)
    left_out = f"; newly left out: {count(new, 'value')}, see `syncd quarantine list`" if new else ""
    return (
        f"{whose}: {states}; {count(rows, 'row')} with {count(calls, 'call')} in {_duration(outcome.took_s)}, "
        f"ended {show_time(ended_at)}{left_out}"
    )


def _duration(took_s: float) -> str:
    return f"{took_s:.1f}s" if took_s < 60 else show_age(took_s)
