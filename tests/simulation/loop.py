"""An event loop on virtual time: nothing ever waits, a wait moves the clock, and each turn of the loop is counted."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from heapq import heappop
from typing import Any

RESOLUTION_S = 1e-9
PATIENCE_S = 20.0  # with a real server
EPOCH = datetime(2026, 5, 10, tzinfo=UTC)


def stamp(now_s: float) -> datetime:
    """The instant of a virtual second."""
    return EPOCH + timedelta(seconds=now_s)


class LoopClock:
    """`clock.Clock` on the running loop's time."""

    def now(self) -> datetime:
        """Its instant."""
        return stamp(self.monotonic())

    def monotonic(self) -> float:
        """Its seconds."""
        return asyncio.get_running_loop().time()

    async def sleep(self, delay_s: float) -> None:
        """Let it pass."""
        await asyncio.sleep(delay_s)


class _Selector(selectors.BaseSelector):
    """Nothing to select from, and nobody does."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        raise AssertionError("the loop's own turn has nothing to select from")

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return selectors.SelectorKey(fileobj, 0, 0, None)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return {}


class Stuck(Exception):
    """A deadlock: on virtual time it shows at once."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """`before_turn` is called with each turn's number before its callbacks run: there a process can die."""

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        self.now_s = 0.0
        super().__init__(selector or _Selector())
        self.turns = 0
        self.before_turn: Callable[[int], None] = lambda _: None
        # A failure of a task that died with its process is no news.
        self.set_exception_handler(lambda *_: None)

    def time(self) -> float:
        """Virtual seconds."""
        return self.now_s

    def _run_once(self) -> None:
        """What the base class does, without what only real files and real time need; it is half of the work.

        A wait for a timer is the time that it takes.
        """
        self.turns += 1
        self.before_turn(self.turns)
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        while scheduled and scheduled[0]._cancelled:
            heappop(scheduled)._scheduled = False
        if not ready and not self._stopping:  # type: ignore[attr-defined]
            self._wait()
        due = self.now_s + RESOLUTION_S
        while scheduled and scheduled[0]._when < due:
            handle = heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _wait(self) -> None:
        scheduled = self._scheduled  # type: ignore[attr-defined]
        if not scheduled:
            raise Stuck("every task waits, and nobody is left to wake one")
        self.now_s = max(self.now_s, scheduled[0]._when)


class MixedLoop(VirtualLoop):
    """Virtual time that stands still while somebody waits for a real socket."""

    def __init__(self) -> None:
        self._real = selectors.DefaultSelector()
        super().__init__(self._real)

    def _wait(self) -> None:
        if len(self._real.get_map()) == 1:  # the loop's own pipe
            super()._wait()
        elif events := self._real.select(PATIENCE_S):
            self._process_events(events)  # type: ignore[attr-defined]
        else:
            raise Stuck("a socket is silent")
