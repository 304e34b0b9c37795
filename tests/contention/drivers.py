"""Drivers, each a process of its own: whoever gets an installation's lease makes some calls and hands it over.

`python -m tests.contention.drivers` forks one for each order on its standard input, so that the imports are paid for
once, and prints its process id. A driver lives until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from random import Random
from uuid import uuid4

from syncd import config, logs, main
from syncd.store.database import Database
from syncd.store.installations import find_installation
from syncd.store.leases import Claim, claim, kept
from syncd.store.requests import PendingRequests, spent_ages_s, store_requests
from syncd.sync.run import AccountApi, Run
from tests.contention.clock import FastClock
from tests.harness import ROLES

CALLERS = 5  # as many as may be in flight
CALLS_OF_A_TURN = (5, 40)
ASK_AGAIN_S = 0.02


@asynccontextmanager
async def drivers(order: Mapping[str, object]) -> AsyncIterator[Callable[[int], Awaitable[int]]]:
    """Start one driver by its number, and tell its process id; all are killed at the end."""
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.contention.drivers", stdin=PIPE, stdout=PIPE
    )
    started: list[int] = []

    async def start(number: int) -> int:
        assert server.stdin
        assert server.stdout
        server.stdin.write(json.dumps({**order, "number": number}).encode() + b"\n")
        started.append(int(await server.stdout.readline()))
        return started[-1]

    try:
        yield start
    finally:
        for process_id in started:
            with suppress(ProcessLookupError):
                os.kill(process_id, signal.SIGKILL)
        assert server.stdin
        server.stdin.close()
        await server.wait()


def serve() -> None:
    """Fork a child for each line."""
    children = set()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            asyncio.run(_drive(**json.loads(line)))
        children.add(child)
        os.write(1, b"%d\n" % child)
    for child in children:  # reaped only now: until then no other process can have its id
        os.waitpid(child, 0)


async def _drive(
    environ: Mapping[str, str], names: Sequence[str], since: float, speed: float, seed: int, number: int
) -> None:
    settings = config.load(None, environ)
    logs.configure("json", settings.log.level)
    assert settings.database.url
    random = Random(f"{seed}/{number}")

    async def sped_up(database: Database, name: str, *, in_flight: int) -> list[float]:
        """The database's clock is the machine's, ours is not."""
        return [age_s * speed for age_s in await spent_ages_s(database, name, in_flight=in_flight)]

    setattr(main.app, "spent_ages_s", sped_up)  # noqa: B010 - a driver is a process of its own
    async with main.open_app(settings, settings.database.url.get_secret_value(), f"driver {number}") as opened:
        app = replace(opened, clock=FastClock(since, speed))
        while True:
            name = random.choice(names)
            if claimed := await claim(app.database, name, app.owner):
                await _turn(app, claimed, random.randint(*CALLS_OF_A_TURN))
            await asyncio.sleep(ASK_AGAIN_S * random.random())


async def _turn(app: main.App, claimed: Claim, calls: int) -> None:
    installation = await find_installation(app.database, claimed.lease.installation)
    run = Run(uuid4(), installation, claimed.lease, app.database, PendingRequests(), 50, lambda _: None)
    left = iter(range(calls))
    async with kept(app.database, claimed.lease), app.connect(run, claimed) as api:
        await asyncio.gather(*(_call(api, left) for _ in range(CALLERS)))
        await store_requests(run.database, installation.name, run.run_id, run.requests)


async def _call(api: AccountApi, left: Iterator[int]) -> None:
    """Calls of one page, as it were: nobody but the budget has them stored before the end of the turn."""
    for _ in left:
        await api.get(ROLES)


if __name__ == "__main__":
    serve()
