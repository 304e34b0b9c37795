"""The result of `sync` and `backfill`, as JSON (docs/interface.md §4) and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from syncd.cli.failure import Failure, explain
from syncd.cli.text import Listing, Part, count, show_age, show_time

if TYPE_CHECKING:
    from syncd.store.runs import StreamResult
    from syncd.sync.round import RoundResult


@dataclass(frozen=True, slots=True)
class Outcome:
    """How each installation's round ended, by name, or why there was none."""

    results: Mapping[str, RoundResult | BaseException]
    began_at: datetime
    took_s: float

    @property
    def rounds(self) -> dict[str, RoundResult]:
        """The rounds that ran to their end."""
        return {name: result for name, result in self.results.items() if not isinstance(result, BaseException)}

    @property
    def failures(self) -> dict[str, Failure]:
        """Why the others did not."""
        return {name: explain(result) for name, result in self.results.items() if isinstance(result, BaseException)}

    @property
    def exit_code(self) -> int:
        """The exit code that wins (docs/interface.md §3)."""
        from syncd.sync.outcome import worst

        codes = [each.exit_code for each in (*self.rounds.values(), *self.failures.values())]
        return worst(codes)
