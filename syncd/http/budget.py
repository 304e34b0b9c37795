"""The call budgets of one token: rolling hour, rolling minute, in flight (contracts/revento.md §8).

Exact for any latency. The server counts arrivals, we see departures and replies. A call arrives no later than its
reply; a slot that comes back one window after the *reply* is used by a call that arrives later still. So two calls
that share a slot never arrive within one window.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import timedelta

from syncd.clock import Clock
from syncd.http.others import Others
from syncd.logs import get_logger
from syncd.wire.rate_limit import STRAY_S, Headroom, Limits, Wait

HOUR_S = 3600.0
MINUTE_S = 60.0
# Ages that were stored and read back are rounded; a slot comes back this much late rather than a hair too early.
ROUNDING_S = 1e-3
# No call takes longer (syncd.http.bounds); what a reply says may be so old.
LONGEST_CALL_S = 600.0
# A wait shorter than this is pacing, not news.
WORTH_TELLING_S = 1.0

log = get_logger(__name__)


async def _keep_no_record(_: int) -> bool:
    return False


class TokenBudget:
    """Lets calls leave as soon as all three budgets have room, in the order in which they asked.

    `spent_ages_s`: how long ago earlier calls on this token were answered, whoever made them. `idling` is entered for
    each wait that is worth telling. `keep_up` stores what has been asked if that is more than so many calls, and says
    whether it was: of a driver that is killed, no more than `in_flight` calls may be on no record.
    """

    def __init__(
        self,
        limits: Limits,
        clock: Clock,
        spent_ages_s: Iterable[float] = (),
        idling: Callable[[Wait], AbstractAsyncContextManager[None]] = lambda _: nullcontext(),
        keep_up: Callable[[int], Awaitable[bool]] = _keep_no_record,
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._idling = idling
        self._keep_up = keep_up
        self._others = Others(HOUR_S + ROUNDING_S)
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
            while self._limits.in_flight and await self._keep_up(self._limits.in_flight - self._in_flight - 1):
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

    def wait_s(self) -> float:
        """How long the next call would wait, as far as it can be told."""
        wait = self._wait()
        return 0.0 if wait is None else wait.wait_s

    def learn(self, said: Headroom, *, sent_at: float) -> None:
        """Take in what a reply says of the hour, within its call's slot; that left at `sent_at` (monotonic).

        Other tools spend from the same hour, and the limit may be lowered while we run.
        """
        now = self._clock.monotonic()
        self._expire(now)
        if not self._limits.per_hour:
            return
        # the server counted between `sent_at` and now
        ours = self._in_flight + sum(1 for _ in _since(self._replies, sent_at - HOUR_S - ROUNDING_S))
        self._others.learn(said, ours=ours, sent_at=sent_at, now=now)

    async def _wait_for_room(self) -> None:
        while (wait := self._wait()) is None or wait.wait_s:
            if wait is None:
                self._ended.clear()
                await self._ended.wait()
            else:
                await self._sleep(wait)

    async def _sleep(self, wait: Wait) -> None:
        if wait.wait_s < WORTH_TELLING_S:
            await self._clock.sleep(wait.wait_s)
            return
        until = self._clock.now() + timedelta(seconds=wait.wait_s)
        log.info("budget_wait", wait_s=round(wait.wait_s, 1), waits_for=wait.waits_for, until=until.isoformat())
        ends_at = self._clock.monotonic() + wait.wait_s
        async with self._idling(wait):
            # to tell of it has taken its time; less than nothing would be no sleep
            await self._clock.sleep(max(ends_at - self._clock.monotonic(), 0.0))

    def _wait(self) -> Wait | None:
        """How long until every budget has room; None when only the end of one of our own calls can make some."""
        if self._limits.in_flight and self._in_flight >= self._limits.in_flight:
            return None
        now = self._clock.monotonic()
        self._expire(now)
        ours, hour_s = self._replies, HOUR_S + ROUNDING_S
        waits = (
            Wait("server", max(0.0, self._paused_until - now)),
            self._room(Wait("hour"), ours, self._limits.per_hour, hour_s, now),
            self._room(Wait("hour"), self._spent_by_all(), self._limit_of_all(), hour_s, now),
            self._room(Wait("minute"), ours, self._limits.per_minute, MINUTE_S + ROUNDING_S, now),
        )
        told = [wait for wait in waits if wait is not None]
        return max(told, key=lambda wait: wait.wait_s) if len(told) == len(waits) else None

    def _limit_of_all(self) -> int:
        """Calls within an hour that we and others may make together, the reserve being theirs; 0: no such limit."""
        if not self._limits.per_hour or self._others.limit is None:
            return 0
        kept_free = max(self._limits.reserved - len(self._others.noticed), 0)
        return max(self._others.limit - kept_free, 1)

    def _spent_by_all(self) -> Sequence[float]:
        """Our calls and the others'; copied only where there are others: this is asked before every call."""
        return sorted([*self._replies, *self._others.noticed]) if self._others.noticed else self._replies

    def _room(self, wait: Wait, spent: Sequence[float], limit: int, window_s: float, now: float) -> Wait | None:
        if not limit:
            return wait
        recent = sum(1 for _ in _since(spent, now - window_s))
        surplus = self._in_flight + recent - limit + 1
        if surplus <= 0:
            return wait
        if surplus > recent:
            return None
        frees_at = spent[len(spent) - recent + surplus - 1] + window_s
        # a hair more than nothing: the sum above may round to this very instant
        return Wait(wait.waits_for, max(frees_at - now, 1e-3))

    def _expire(self, now: float) -> None:
        while self._replies and self._replies[0] <= now - HOUR_S - LONGEST_CALL_S:
            self._replies.popleft()
        self._others.expire(now)


def _since(spent: Sequence[float], start: float) -> Iterable[float]:
    for reply_at in reversed(spent):
        if reply_at <= start:
            return
        yield reply_at
