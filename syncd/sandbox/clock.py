"""The sandbox's own clock: real time plus an offset that a test may advance."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with whole seconds and a `Z` (contracts/revento.md §7)."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


class Clock:
    """Epoch seconds that never step back by themselves: the wall clock at creation, then monotonic time."""

    def __init__(self) -> None:
        self._origin = time.time() - time.monotonic()
        self.offset_s = 0.0

    def now(self) -> float:
        """Epoch seconds, offset included."""
        return self._origin + time.monotonic() + self.offset_s

    def stamp(self) -> str:
        """`now()` as the API writes timestamps."""
        return iso(datetime.fromtimestamp(self.now(), UTC))

    def advance(self, seconds: float) -> None:
        """Move the clock; tokens, cursors and budgets age by `seconds` at once. Raises ValueError for an instant that
        has no date."""
        try:
            datetime.fromtimestamp(self.now() + seconds, UTC)
        except (OverflowError, OSError, ValueError) as error:
            raise ValueError(f"no clock can stand {seconds:g} seconds from now") from error
        self.offset_s += seconds
