"""Processes of their own that sync one installation each, for the tests that kill them.

`python -m tests.kills.lives` forks one child for each order on its standard input, so that the imports are paid for
once; it prints the order's number with the child's process id when it starts, and with its exit code (negative: the
signal) when it has ended.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from threading import Thread
from typing import Any

from syncd import config, logs, main
from syncd.errors import SyncdError
from syncd.sync.round import Watch

KILLED = -signal.SIGKILL
PATIENCE_S = 900


class Life:
    """One process, which syncs the installation once."""

    def __init__(self) -> None:
        self.told = asyncio.Queue[int]()
        self.process_id = 0

    async def begun(self) -> Life:
        """Its process id is known."""
        self.process_id = await self._next()
        return self

    @property
    def has_ended(self) -> bool:
        """Whether its end has been told."""
        return bool(self.process_id) and not self.told.empty()

    async def ended(self) -> int:
        """How it has ended: its exit code, or minus the signal."""
        return await self._next()

    async def _next(self) -> int:
        return await asyncio.wait_for(self.told.get(), PATIENCE_S)


class Lives:
    """Lives of `syncd`, as many at a time as are asked for."""

    def __init__(self, server: Process) -> None:
        self._server = server
        self._all: list[Life] = []

    async def start(self, environ: Mapping[str, str], name: str, failpoint: str | None = None) -> Life:
        """A new one, which syncs the installation; it dies at the failpoint of this name."""
        assert self._server.stdin
        life, number = Life(), len(self._all)
        self._all.append(life)
        order = {"number": number, "life": {"environ": dict(environ), "name": name, "failpoint": failpoint}}
        self._server.stdin.write(json.dumps(order).encode() + b"\n")
        return await life.begun()

    async def live(self, environ: Mapping[str, str], name: str, failpoint: str | None = None) -> int:
        """A whole life; how it has ended."""
        return await (await self.start(environ, name, failpoint)).ended()

    async def listen(self) -> None:
        """Hand on what the server tells, for ever."""
        assert self._server.stdout
        async for line in self._server.stdout:
            number, told = line.split()
            self._all[int(number)].told.put_nowait(int(told))


@asynccontextmanager
async def lives() -> AsyncIterator[Lives]:
    """A server of such processes, which ends with the block."""
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.kills.lives", stdin=PIPE, stdout=PIPE)
    its = Lives(server)
    listening = asyncio.create_task(its.listen())
    try:
        yield its
    finally:
        assert server.stdin
        server.stdin.close()
        await asyncio.wait_for(server.wait(), PATIENCE_S)
        await listening


def serve() -> None:
    """Fork a child for each line."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os._exit(asyncio.run(_live(**order["life"])))
        Thread(target=_watch, args=(order["number"], child)).start()


def _watch(number: int, child: int) -> None:
    """Tell the beginning and the end, past the buffer of `sys.stdout`: its lock may be held while another is forked."""
    os.write(1, b"%d %d\n" % (number, child))
    os.write(1, b"%d %d\n" % (number, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))


async def _live(environ: Mapping[str, Any], name: str, failpoint: str | None) -> int:
    settings = config.load(None, environ)
    logs.configure("json", settings.log.level)
    assert settings.database.url
    if failpoint:
        from tests.kills import BY_NAME

        BY_NAME[failpoint].set()
    try:
        async with main.open_app(settings, settings.database.url.get_secret_value(), "sync") as app:
            (installation,) = await main.chosen(app, [name])
            return (await app.run_round(app.order(installation, "sync"), Watch())).exit_code
    except SyncdError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    serve()
