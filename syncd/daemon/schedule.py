"""One job per active installation, rebuilt from the tables: each fires when the tables say that a stream is due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Self

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from syncd.clock import Clock
from syncd.errors import DatabaseError
from syncd.logs import get_logger
from syncd.store.database import Database
from syncd.store.installations import due_installations
from syncd.sync.run import GivingWay

# How soon a new installation, a changed promise or a released lease is noticed.
LOOK_EVERY_S = 2.0

log = get_logger(__name__)


@dataclass(slots=True)
class Slot:
    """One of the places of those who work; a round that waits gives its own way and takes one again afterwards."""

    places: asyncio.Semaphore
    _is_held: bool = False

    async def __aenter__(self) -> Self:
        await self._take()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._give()

    @asynccontextmanager
    async def giving_way(self) -> AsyncIterator[None]:
        """Leave the place to others while the body runs; a body that is cut off takes none again."""
        self._give()
        yield
        await self._take()

    async def _take(self) -> None:
        if not self._is_held:
            await self.places.acquire()
            self._is_held = True

    def _give(self) -> None:
        if self._is_held:
            self._is_held = False
            self.places.release()


@dataclass(slots=True)
class Scheduler:
    """Runs `run_due(installation, giving_way)` whenever one of its streams is due, `concurrency` installations at once,
    not counting those that only wait for their budgets.

    A job that fails is logged and comes back at the next look; it never takes the others with it.
    """

    database: Database
    clock: Clock
    run_due: Callable[[str, GivingWay], Awaitable[None]]
    concurrency: int
    drain_s: float
    looked_at: float | None = None  # on the monotonic clock: when the tables were last read
    _running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.concurrency)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Schedule while the body runs; then stop every round at its last committed page."""
        # Lateness is no reason to skip a round: the tables, not the clock, say what is due.
        jobs = AsyncIOScheduler(
            timezone="UTC", job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )
        jobs.add_listener(_report, EVENT_JOB_ERROR | EVENT_JOB_MISSED)
        jobs.start()
        looking = asyncio.create_task(self._look_for_ever(jobs))
        try:
            yield
        finally:
            jobs.pause()
            looking.cancel()
            await asyncio.wait([looking])
            await self._drain()
            jobs.shutdown(wait=False)

    async def _look_for_ever(self, jobs: AsyncIOScheduler) -> None:
        while True:
            try:
                await self._look(jobs)
            except DatabaseError as error:
                log.error("schedule_not_read", reason=str(error))
            except Exception:  # the daemon must not go deaf; /readyz tells of it, and the log of why
                log.exception("schedule_not_read")
            await self.clock.sleep(LOOK_EVERY_S)

    async def _look(self, jobs: AsyncIOScheduler) -> None:
        """Make the jobs what the tables say: one per active installation, at the time of its first due stream."""
        due = await due_installations(self.database)
        for job in jobs.get_jobs():
            if job.id not in due:
                job.remove()
        for name in due.keys() - self._running.keys():
            at = self.clock.now() + timedelta(seconds=max(due[name], 0.0))
            jobs.add_job(self._fire, "date", run_date=at, id=name, args=[name], replace_existing=True)
        self.looked_at = self.clock.monotonic()

    async def _fire(self, name: str) -> None:
        task = asyncio.current_task()
        if task is None or name in self._running:
            return
        self._running[name] = task
        try:
            async with Slot(self._slots) as slot:
                await self.run_due(name, slot.giving_way)
        finally:
            del self._running[name]

    async def _drain(self) -> None:
        """Cancel the rounds: a page is one transaction, so each is stored whole or asked for again."""
        rounds = set(self._running.values())
        for task in rounds:
            task.cancel()
        if rounds:
            _, late = await asyncio.wait(rounds, timeout=self.drain_s)
            if late:
                log.error("rounds_not_drained", rounds=len(late), drain_s=self.drain_s)


def _report(event: JobExecutionEvent) -> None:
    if isinstance(event.exception, asyncio.CancelledError):
        log.info("round_stopped", installation=event.job_id)
        return
    reason = f"{type(event.exception).__name__}: {event.exception}" if event.exception else "missed"
    log.error("round_failed", installation=event.job_id, reason=reason)
