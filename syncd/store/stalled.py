"""Sessions of drivers that stand still in the middle of a transaction and so keep a lease's row from its rescuer.

The server ends a session that is idle within a transaction for too long, but not one that waits for the rest of a
message or of a pipeline: for the server that one is at work, for hours if its network is gone. So who waits for the
row ends it (docs/faults.md 96, 97).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncd.errors import DatabaseError
from syncd.logs import get_logger
from syncd.store.database import Database, translated

log = get_logger(__name__)

# Only who has said nothing for half a lease: not who is at work, nor another rescuer. Only who holds up a row, and no
# table: a migration is nobody's stalled driver. The list first, or the planner may end them before it asks the rest.
_END = """
    WITH stalled AS MATERIALIZED (
        SELECT pid FROM unnest(pg_blocking_pids(%(waiting)s)) AS pid JOIN pg_stat_activity USING (pid)
        WHERE wait_event = 'ClientRead' AND state_change < clock_timestamp() - make_interval(secs => %(silent_s)s)
          AND EXISTS (SELECT FROM syncd.leases WHERE installation = %(installation)s AND until < clock_timestamp())
          AND EXISTS (SELECT FROM pg_locks AS lock WHERE lock.pid = %(waiting)s AND NOT lock.granted
                      AND lock.locktype IN ('transactionid', 'tuple'))
    )
    SELECT count(*) FROM stalled WHERE pg_terminate_backend(pid)
"""


@asynccontextmanager
async def ending_stalled(database: Database, installation: str, waiting: int) -> AsyncIterator[None]:
    """Within the body, end whoever keeps the session with the process id `waiting` from a row and has been silent for
    half a lease, once the installation's lease has run out."""
    claim = {"installation": installation, "waiting": waiting, "silent_s": database.lease_s / 2}
    ending = asyncio.create_task(_end_stalled(database, claim))
    try:
        yield
    finally:
        ending.cancel()
        await asyncio.wait([ending])


async def _end_stalled(database: Database, claim: dict[str, object]) -> None:
    while True:
        await asyncio.sleep(database.lease_s / 2)
        try:
            with translated():
                async with database.pool.connection() as connection:
                    cursor = await connection.execute(_END, claim)
                    (ended,) = await cursor.fetchone() or (0,)
                    if ended:
                        log.warning("stalled_sessions_ended", installation=claim["installation"], sessions=ended)
        except DatabaseError as error:
            log.warning("stalled_sessions_not_ended", installation=claim["installation"], reason=str(error))
