"""A driver's process: all that it does to the world passes through it, so that it can die or stand still anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Killed(BaseException):
    """The process is dead: what its code still does reaches nobody."""


class Process:
    """One process. A dead one changes nothing any more; a paused one does nothing until it is resumed."""

    def __init__(self) -> None:
        self.is_dead = False
        self._runs = asyncio.Event()
        self._runs.set()
        self._main: asyncio.Task[Any] | None = None

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run its program."""
        self._main = asyncio.ensure_future(work)
        return self._main

    def kill(self) -> None:
        """`kill -9`."""
        self.is_dead = True
        self._runs.set()
        if self._main is not None:
            self._main.cancel()

    def pause(self) -> None:
        """SIGSTOP."""
        self._runs.clear()

    def resume(self) -> None:
        """SIGCONT."""
        self._runs.set()

    async def act(self, delay_s: float = 0.0) -> None:
        """Pass here before and after each act on the world. Raises Killed."""
        await asyncio.sleep(delay_s)
        if not self._runs.is_set():
            await self._runs.wait()
        if self.is_dead:
            raise Killed
