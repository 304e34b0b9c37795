"""One driver per installation: a claim with an end, judged by the database's clock alone (docs/faults.md 96, 97)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text

from syncd.errors import DatabaseError
from syncd.logs import get_logger
from syncd.model import Lease
from syncd.store.database import Database, named
from syncd.store.stalled import ending_stalled
from syncd.wire.rate_limit import Wait

log = get_logger(__name__)

_BEFORE = text("""
    SELECT pg_backend_pid(), (SELECT owner FROM syncd.leases WHERE installation = :installation)
""")
# Waits while a page transaction of the old driver holds the row: milliseconds, or until that one times out or is ended.
# The lease begins behind the wait, so its end is no value of the row that was to be inserted.
_CLAIM = text("""
    INSERT INTO syncd.leases AS lease (installation, owner, epoch, until)
    VALUES (:installation, :owner, 1, clock_timestamp() + make_interval(secs => :lease_s))
    ON CONFLICT (installation) DO UPDATE
    SET owner = EXCLUDED.owner, epoch = lease.epoch + 1, until = clock_timestamp() + make_interval(secs => :lease_s),
        waits_for = NULL, waits_until = NULL, cut_off_at = CASE WHEN lease.owner IS NULL THEN lease.cut_off_at ELSE
            ARRAY(SELECT moment FROM unnest(lease.cut_off_at) AS moment
                  WHERE moment > clock_timestamp() - interval '2 hours') || clock_timestamp() END
    WHERE lease.until IS NULL OR lease.until < clock_timestamp()
    RETURNING epoch
""")
_RENEW = text("""
    UPDATE syncd.leases SET until = clock_timestamp() + make_interval(secs => :lease_s)
    WHERE installation = :installation AND epoch = :epoch AND owner = :owner
""")
_RELEASE = text("""
    UPDATE syncd.leases SET owner = NULL, until = NULL, waits_for = NULL, waits_until = NULL
    WHERE installation = :installation AND epoch = :epoch AND owner = :owner
""")
# Told once: the wait is over when its time has come.
_WAITS = text("""
    UPDATE syncd.leases
    SET waits_for = :waits_for, waits_until = clock_timestamp() + make_interval(secs => :wait_s)
    WHERE installation = :installation AND epoch = :epoch AND owner = :owner
""")
_HOLDER = text("""
    SELECT owner, until, extract(epoch FROM until - clock_timestamp()) FROM syncd.leases
    WHERE installation = :installation AND until >= clock_timestamp()
""")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who drives an installation now, and for how many more seconds unless the claim is renewed."""

    owner: str
    until: datetime
    remaining_s: float


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease, and whether its predecessor was cut off: then calls may be under way that nobody wrote down."""

    lease: Lease
    after_crash: bool


async def claim(database: Database, installation: str, owner: str) -> Claim | None:
    """Take the lease if it is free or has run out; None while another driver holds it."""
    async with database.control() as control:
        session, before = (await control.execute(_BEFORE, {"installation": installation})).one()
        async with ending_stalled(database, installation, session):
            claimed = await control.execute(
                _CLAIM, {"installation": installation, "owner": owner, "lease_s": database.lease_s}
            )
        epoch = claimed.scalar()
    return None if epoch is None else Claim(Lease(installation, owner, epoch), after_crash=before is not None)


async def holder(database: Database, installation: str) -> Holder | None:
    """The present driver, if there is one."""
    async with database.control() as control:
        row = (await control.execute(_HOLDER, {"installation": installation})).first()
    return None if row is None else Holder(row[0], row[1], float(row[2]))


async def tell_wait(database: Database, lease: Lease, wait: Wait) -> None:
    """Let others see what the driver waits for, and until when. Raises DatabaseError."""
    async with database.control() as control:
        told = {"waits_for": wait.waits_for, "wait_s": wait.wait_s}
        await control.execute(_WAITS, {**named(lease), **told})


@asynccontextmanager
async def kept(database: Database, lease: Lease) -> AsyncIterator[None]:
    """Renew the lease three times in its life while the body runs, and give it back at the end.

    A renewal that fails needs no reaction of its own: the fence refuses the next write.
    """
    heartbeat = asyncio.create_task(_renew_for_ever(database, lease))
    try:
        yield
    finally:
        heartbeat.cancel()
        await asyncio.wait([heartbeat])
        await _release(database, lease)


async def _renew_for_ever(database: Database, lease: Lease) -> None:
    while True:
        await asyncio.sleep(database.lease_s / 3)
        try:
            async with database.control() as control:
                await control.execute(_RENEW, {**named(lease), "lease_s": database.lease_s})
        except DatabaseError as error:
            log.warning("lease_not_renewed", installation=lease.installation, reason=str(error))


async def _release(database: Database, lease: Lease) -> None:
    try:
        async with database.control() as control:
            await control.execute(_RELEASE, named(lease))
    except DatabaseError as error:
        log.warning("lease_not_released", installation=lease.installation, reason=str(error))
