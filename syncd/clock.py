"""Time behind one Protocol, so that it can be simulated: stamps on the wall clock, intervals on the monotonic one."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the engine may know of time."""

    def now(self) -> datetime:
        """The wall clock, in UTC, with its zone."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds."""


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        """The wall clock, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The machine's monotonic clock."""
        return time.monotonic()

    async def sleep(self, delay_s: float) -> None:
        """Suspend the calling task."""
        await asyncio.sleep(delay_s)
