"""`python -m tests.contender SPEED EPOCH_S HOLD_S INSTALLATION`: one of many processes that want the same token.

It takes the lease, spends the token's budget as fast as it may, five calls at a time, hands the lease over after about
HOLD_S real seconds, and begins anew, until it is killed. Its clock runs SPEED times as fast as real time, and stands at
EPOCH_S when the machine's monotonic clock stands at 0. It is configured by its environment like any `syncd`.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

from syncd import config, logs, main
from syncd.errors import SyncdError
from syncd.model import Installation
from syncd.store.installations import find_installation
from syncd.store.leases import Claim, kept
from syncd.store.requests import PendingRequests, store_requests
from syncd.sync.round import Watch, take_lease
from syncd.sync.run import Run

AT_A_TIME = 5
ENDPOINT = "/events/{event_id}/roles"


@dataclass(frozen=True)
class FastClock:
    """`clock.Clock`, many times as fast as the machine's; the same in every process of one machine."""

    speed: float
    epoch_s: float

    def now(self) -> datetime:
        """The wall clock."""
        return datetime.fromtimestamp(self.epoch_s + self.monotonic(), UTC)

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic() * self.speed

    async def sleep(self, delay_s: float) -> None:
        """Return after so many of its seconds."""
        await asyncio.sleep(delay_s / self.speed)


async def contend(speed: float, epoch_s: float, hold_s: float, name: str) -> None:
    """Take turns for ever."""
    settings = config.load(None, os.environ)
    async with main.open_app(settings, main.database_url(settings), "contender") as opened:
        app = replace(opened, clock=FastClock(speed, epoch_s))
        print("ready", flush=True)
        while True:
            installation = await find_installation(app.database, name)
            claimed = await take_lease(app.order(installation, "sync"), app.database, Watch())
            async with kept(app.database, claimed.lease):
                with suppress(TimeoutError, SyncdError):
                    async with asyncio.timeout(hold_s * random.uniform(0.2, 1.8)):
                        await _spend(app, installation, claimed)


async def _spend(app: main.App, installation: Installation, claimed: Claim) -> None:
    records, storing = PendingRequests(), asyncio.Lock()
    run = Run(uuid4(), installation, claimed.lease, app.database, records, 50, lambda _: None)

    async def store() -> None:
        async with storing:
            await store_requests(app.database, installation.name, None, records)

    async def call() -> None:
        while True:
            await api.get(ENDPOINT)
            await store()  # as a page does: what a kill can lose is under way, or the page being written

    try:
        async with app.connect(run, claimed) as api, asyncio.TaskGroup() as calls:
            for _ in range(AT_A_TIME):
                calls.create_task(call())
    finally:
        await asyncio.shield(store())


if __name__ == "__main__":
    logs.configure(level="critical")
    speed, epoch_s, hold_s = map(float, sys.argv[1:4])
    asyncio.run(contend(speed, epoch_s, hold_s, sys.argv[4]))
