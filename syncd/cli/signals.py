"""SIGINT, SIGTERM and a closed terminal: the first one ends the work cleanly, a second one the process at once."""

from __future__ import annotations

import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import click

T = TypeVar("T")


class Stopped(BaseException):  # like KeyboardInterrupt, nothing on the way may take it for a failure
    """A signal asked us to end, and the work has ended cleanly."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


def catch_signals() -> None:
    """Raise Stopped wherever the program stands when a signal comes."""
    for each in _heeded():
        signal.signal(each, _stop_here)


def _heeded() -> list[signal.Signals]:
    """The signals to end at; nohup has us ignore SIGHUP."""
    is_nohup = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if is_nohup else [signal.SIGHUP])]


def _stop_here(signum: int, _frame: object) -> None:
    _let_the_next_one_kill()
    raise Stopped(signum)


def _let_the_next_one_kill() -> None:
    """A closed terminal is told of twice, by the kernel and by the shell: that is no second wish."""
    for each in _heeded():
        signal.signal(each, signal.SIG_IGN if each == signal.SIGHUP else signal.SIG_DFL)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` to its end. A signal cancels it: leases are given back and runs closed before this raises Stopped."""
    import asyncio

    caught: list[int] = []
    try:
        return asyncio.run(_stoppable(work, caught))
    except (asyncio.CancelledError, OSError):  # a closed terminal refuses the last lines of a display
        if caught:
            raise Stopped(caught[0]) from None
        raise
    finally:
        if not caught:
            catch_signals()


async def _stoppable(work: Coroutine[Any, Any, T], caught: list[int]) -> T:
    import asyncio

    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop(signum: int) -> None:
        caught.append(signum)
        for each in _heeded():
            loop.remove_signal_handler(each)
        _let_the_next_one_kill()
        if task is not None:
            task.cancel()
        with suppress(OSError):  # the terminal may be gone
            click.echo("stopping cleanly; once more to stop at once", err=True)

    for each in _heeded():
        loop.add_signal_handler(each, stop, each)
    return await work
