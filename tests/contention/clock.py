"""A clock that runs faster than the machine's, for several processes at once."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class FastClock:
    """`Clock` on which `speed` seconds pass in one: both clocks, from the epoch second `since` on, in every process."""

    def __init__(self, since: float, speed: float) -> None:
        self._since, self._speed = since, speed
        self._origin = time.time() - time.monotonic()

    def epoch_s(self) -> float:
        """Epoch seconds."""
        return self._since + (self._origin + time.monotonic() - self._since) * self._speed

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.fromtimestamp(self.epoch_s(), UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return self.epoch_s() - self._since

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` of these seconds."""
        await asyncio.sleep(delay_s / self._speed)
