"""The call budgets of one token: rolling hour, rolling minute, in flight (contracts/revento.md §8).

Exact for any latency. The server counts arrivals, we see departures and replies. A call arrives no later than its
reply; a slot that comes back one window after the *reply* is used by a call that arrives later still. So two calls
that share a slot never arrive within one window.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import islice

from syncd.clock import Clock
from syncd.logs import get_logger
from syncd.model import Limits
from syncd.wire.rate_limit import STRAY_S

HOUR_S = 3600.0
MINUTE_S = 60.0
# Ages that were stored and read back are rounded; a slot comes back this much late rather than a hair too early.
ROUNDING_S = 1e-3
# A wait shorter than this is pacing, not news.
WORTH_TELLING_S = 1.0

log = get_logger(__name__)


class TokenBudget:
    """Lets calls leave as soon as all three budgets have room, in the order in which they asked.

    `spent_ages_s`: how long ago earlier calls on this token were answered, whoever made them.
    """

    def __init__(self, limits: Limits, clock: Clock, spent_ages_s: Iterable[float] = ()) -> None:
        self._limits = limits
        self._clock = clock
        self._replies = deque(sorted(clock.monotonic() - age_s for age_s in spent_ages_s))
        self._in_flight = 0
        self._paused_until = 0.0
        self._turn = asyncio.Lock()
        self._ended = asyncio.Event()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait until a call may leave; the slot is held until its reply, and counted from its reply on.

        A call that ends in an error may have had none, and may still be on its way.
        """
        async with self._turn:
            await self._wait_for_room()
            self._in_flight += 1
        stray_s = STRAY_S
        try:
            yield
            stray_s = 0.0
        finally:
            self._in_flight -= 1
            insort(self._replies, self._clock.monotonic() + stray_s)
            self._ended.set()

    def pause(self, pause_s: float) -> None:
        """Let no call leave for this long: the server has said so."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + pause_s)

    async def _wait_for_room(self) -> None:
        while (wait_s := self._wait_s()) != 0.0:
            if wait_s is None:
                self._ended.clear()
                await self._ended.wait()
            else:
                await self._sleep(wait_s)

    async def _sleep(self, wait_s: float) -> None:
        if wait_s >= WORTH_TELLING_S:
            log.info("budget_wait", wait_s=round(wait_s, 1))
        await self._clock.sleep(wait_s)

    def _wait_s(self) -> float | None:
        """Seconds until every budget has room; None when only the end of one of our own calls can make some."""
        if self._limits.in_flight and self._in_flight >= self._limits.in_flight:
            return None
        now = self._clock.monotonic()
        waits = [
            max(0.0, self._paused_until - now),
            self._window_wait_s(self._limits.per_hour, HOUR_S + ROUNDING_S, now),
            self._window_wait_s(self._limits.per_minute, MINUTE_S + ROUNDING_S, now),
        ]
        return None if None in waits else max(wait_s for wait_s in waits if wait_s is not None)

    def _window_wait_s(self, limit: int, window_s: float, now: float) -> float | None:
        while self._replies and self._replies[0] <= now - HOUR_S - ROUNDING_S:
            self._replies.popleft()
        if not limit:
            return 0.0
        recent = sum(1 for _ in self._since(now - window_s))
        surplus = self._in_flight + recent - limit + 1
        if surplus <= 0:
            return 0.0
        if surplus > recent:
            return None
        frees_at = next(islice(self._replies, len(self._replies) - recent + surplus - 1, None)) + window_s
        # a hair more than nothing: the sum above may round to this very instant
        return max(frees_at - now, 1e-3)

    def _since(self, start: float) -> Iterable[float]:
        for reply_at in reversed(self._replies):
            if reply_at <= start:
                return
            yield reply_at
