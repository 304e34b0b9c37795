"""The whole daemon: the scheduler, and the probes that tell of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncd.daemon.health import complaints
from syncd.daemon.schedule import Scheduler
from syncd.logs import get_logger
from syncd.main import App
from syncd.web.app import make_app
from syncd.web.server import serving

log = get_logger(__name__)


def scheduler_of(app: App) -> Scheduler:
    """The scheduler of a process."""
    settings = app.settings
    return Scheduler(app.database, app.clock, app.run_due, settings.dispatch.concurrency, settings.daemon.drain_s)


@asynccontextmanager
async def daemon(app: App, host: str, port: int) -> AsyncIterator[int]:
    """Run the daemon while the body runs, and yield the port of its probes. The web stops last."""
    scheduler = scheduler_of(app)
    async with serving(make_app(lambda: complaints(scheduler)), host, port) as bound_port, scheduler.running():
        log.info("serving", address=f"{host}:{bound_port}")
        yield bound_port
        log.info("stopping")


async def serve(app: App, host: str, port: int) -> None:
    """Run the daemon until this task is cancelled."""
    async with daemon(app, host, port):
        await asyncio.Event().wait()
