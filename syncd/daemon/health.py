"""Whether the daemon can do its work, in words."""

from __future__ import annotations

import asyncio

from sqlalchemy import text

from syncd.daemon.schedule import Scheduler
from syncd.errors import DatabaseError

DATABASE_TIMEOUT_S = 3.0
# The scheduler reads its tables every two seconds; this long without one means that it is stuck.
STUCK_AFTER_S = 30.0


async def complaints(scheduler: Scheduler) -> list[str]:
    """What keeps the daemon from its work; empty when it is ready."""
    return [complaint for complaint in (await _database(scheduler), _schedule(scheduler)) if complaint]


async def _database(scheduler: Scheduler) -> str | None:
    try:
        async with asyncio.timeout(DATABASE_TIMEOUT_S), scheduler.database.control() as control:
            await control.execute(text("SELECT 1"))
    except TimeoutError:
        return f"the database gave no answer within {DATABASE_TIMEOUT_S:.0f} s"
    except DatabaseError as error:
        return str(error)
    return None


def _schedule(scheduler: Scheduler) -> str | None:
    if scheduler.looked_at is None:
        return "the schedule has not been read yet"
    silent_s = scheduler.clock.monotonic() - scheduler.looked_at
    return f"the schedule was last read {silent_s:.0f} s ago" if silent_s > STUCK_AFTER_S else None
