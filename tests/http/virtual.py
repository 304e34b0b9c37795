"""Virtual time: it passes only while everybody sleeps, and then at once."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

EPOCH = datetime(2026, 5, 9, 12, tzinfo=UTC)


class VirtualClock:
    """`Clock` of a simulation; `run` drives it."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = count()

    def now(self) -> datetime:
        """The simulated wall clock."""
        return EPOCH + timedelta(seconds=self._now_s)

    def monotonic(self) -> float:
        """Simulated seconds since the start."""
        return self._now_s

    async def sleep(self, delay_s: float) -> None:
        """Return once `run` has let so much time pass."""
        assert delay_s >= 0
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + delay_s, next(self._order), woken))
        await woken

    async def run(self, *work: Coroutine[Any, Any, None], until_s: float = float("inf")) -> None:
        """Let the coroutines run until all have ended or the time has come; what is left is cancelled."""
        tasks = [asyncio.ensure_future(one) for one in work]
        try:
            while not all(task.done() for task in tasks):
                await _everybody_waits()
                if all(task.done() for task in tasks):
                    break
                wakes_at, _, woken = heapq.heappop(self._sleepers)
                if wakes_at > until_s:
                    break
                self._now_s = wakes_at
                if not woken.done():
                    woken.set_result(None)
            for task in tasks:
                if task.done():
                    await task
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _everybody_waits() -> None:
    ready: Any = asyncio.get_running_loop()
    await asyncio.sleep(0)
    while ready._ready:
        await asyncio.sleep(0)
