"""An event loop on virtual time: nothing ever waits, a wait moves the clock, and each turn of the loop is counted."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Mapping
from typing import Any


class _Selector(selectors.BaseSelector):
    """Nothing to select from: a wait for a timer is the time that it takes."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("every task waits, and nobody is left to wake one")
        self.now_s += max(0.0, timeout)
        return []

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

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)
        self.turns = 0
        self.before_turn: Callable[[int], None] = lambda _: None
        # A failure of a task that died with its process is no news.
        self.set_exception_handler(lambda *_: None)

    def time(self) -> float:
        """Virtual seconds."""
        return self._virtual.now_s

    def pass_time(self, seconds: float) -> None:
        """Let time pass while nobody runs."""
        self._virtual.now_s += seconds

    def _run_once(self) -> None:
        self.turns += 1
        self.before_turn(self.turns)
        super()._run_once()  # type: ignore[misc]
