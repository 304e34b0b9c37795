"""A failpoint: a place in the code at which a process kills itself. It is set from outside, in the process that is to
die: the named function is wrapped wherever it was imported to, and the product knows nothing of it."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import os
import select
import signal
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass
from enum import Enum
from functools import wraps
from typing import Any, NoReturn

import psycopg
from aiohttp.client_reqrep import ClientRequest
from psycopg._connection_base import BaseConnection

STATEMENT = "sql:"


class When(Enum):
    """The instant, seen from a call of the named function. The last four belong to what its task does next."""

    BEFORE = "before"
    AFTER = "after"
    REQUEST_SENT = "its request is sent, no reply is read"
    COMMIT_UNSENT = "its commit is not sent"
    REPLY_UNREAD = "its commit is done, the reply is not read"
    COMMITTED = "its commit is done"


class Stage(Enum):
    """Which round is killed: the first load, or one that finds so many rows gone for the second time."""

    LOAD = "load"
    REMOVAL = "removal"
    HOLD = "hold"


class NoSuchPlace(Exception):
    """The code has no such function any more."""


@dataclass(frozen=True, slots=True)
class Failpoint:
    """`where` is `module:function`, `module:Class.method`, or `sql:` and a part of a statement; `nth` call of it.

    `latency_s` slows the sandbox's replies, `dies` chooses the readings under which no cursor outlives a refresh or
    a smaller page. `may_cost_consent`: the server may have spent the refresh token, and no one has stored the pair.
    """

    name: str
    where: str
    when: When
    nth: int = 1
    stage: Stage = Stage.LOAD
    latency_s: float = 0.0
    dies: bool = False
    may_cost_consent: bool = False

    def set(self) -> None:
        """From now on this process dies there. Raises NoSuchPlace."""
        trap = _Trap(self)
        if self.where.startswith(STATEMENT):
            _wrap_statements(self.where.removeprefix(STATEMENT), trap)
        else:
            _replace(*resolve(self.where), trap)
        trap.watch()


def resolve(where: str) -> tuple[Any, str]:
    """The module or class, and the name in it. Raises NoSuchPlace."""
    module, _, path = where.partition(":")
    *outer, name = path.split(".")
    try:
        owner = importlib.import_module(module)
        for each in outer:
            owner = getattr(owner, each)
        getattr(owner, name)
    except (ImportError, AttributeError) as error:
        raise NoSuchPlace(f"{where}: {error}") from error
    return owner, name


class _Trap:
    """Counts the calls of one place. At the nth it springs, or lies in wait for what the task does next."""

    def __init__(self, failpoint: Failpoint) -> None:
        self._when, self._left = failpoint.when, failpoint.nth
        self._watched: asyncio.Task[Any] | None = None

    def called(self) -> None:
        if self._when is not When.AFTER and self._is_the_one():
            if self._when is When.BEFORE:
                die()
            self._watched = asyncio.current_task()

    def returned(self) -> None:
        if self._when is When.AFTER and self._is_the_one():
            die()

    def watch(self) -> None:
        """Put the wrappers in place that see a task's next commit or request."""
        if self._when is When.REQUEST_SENT:
            _replace(ClientRequest, "send", _Then(self._dies_if_watched))
        elif self._when not in (When.BEFORE, When.AFTER):
            BaseConnection._exec_command = self._committing(BaseConnection._exec_command)  # type: ignore[method-assign]

    def _is_the_one(self) -> bool:
        self._left -= 1
        return self._left == 0

    def _is_watched(self) -> bool:
        return self._watched is not None and self._watched is asyncio.current_task()

    def _dies_if_watched(self) -> None:
        if self._is_watched():
            die()

    def _committing(self, original: Callable[..., Generator[Any, Any, Any]]) -> Any:
        """psycopg's one way to send a command of its own, COMMIT among them."""

        def execute(its: Any, command: Any, *arguments: Any, **named: Any) -> Generator[Any, Any, Any]:
            if command != b"COMMIT" or not self._is_watched():
                return (yield from original(its, command, *arguments, **named))
            if self._when is When.COMMIT_UNSENT:
                die()
            steps = original(its, command, *arguments, **named)
            if self._when is When.REPLY_UNREAD:
                next(steps)
                select.select([its.pgconn.socket], [], [])
                die()
            yield from steps
            die()

        return execute


@dataclass(frozen=True, slots=True)
class _Then:
    """A trap that only looks at what has returned."""

    returned: Callable[[], None]

    def called(self) -> None:
        """Nothing yet."""


def _replace(owner: Any, name: str, trap: _Trap | _Then) -> None:
    """Wrap it there and, where it is a module's, in every module that has imported it by name."""
    original = getattr(owner, name)
    wrapped = _wrapped(original, trap)
    setattr(owner, name, wrapped)
    if inspect.ismodule(owner):
        for module in [module for path, module in sys.modules.items() if path.partition(".")[0] == "syncd"]:
            for each in [each for each, value in vars(module).items() if value is original]:
                setattr(module, each, wrapped)


def _wrapped(original: Any, trap: _Trap | _Then) -> Any:
    if not inspect.iscoroutinefunction(original):

        @wraps(original)
        def at_once(*arguments: Any, **named: Any) -> Any:
            trap.called()
            result = original(*arguments, **named)
            trap.returned()
            return result

        return at_once

    @wraps(original)
    async def awaited(*arguments: Any, **named: Any) -> Any:
        trap.called()
        result = await original(*arguments, **named)
        trap.returned()
        return result

    return awaited


def _wrap_statements(part: str, trap: _Trap) -> None:
    original = psycopg.AsyncCursor.execute

    async def execute(its: Any, query: Any, *arguments: Any, **named: Any) -> Any:
        is_meant = part in str(query)
        if is_meant:
            trap.called()
        result = await original(its, query, *arguments, **named)
        if is_meant:
            trap.returned()
        return result

    psycopg.AsyncCursor.execute = execute  # type: ignore[method-assign, assignment]


def die() -> NoReturn:
    """As if the power had gone: no handler runs, nothing is flushed."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody outlives that")
