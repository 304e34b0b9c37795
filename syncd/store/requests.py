"""The request record: every attempt of every call, stored at the latest with the page it brought or as its run ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncCursor
from sqlalchemy import text

from syncd.clock import SystemClock
from syncd.model import RequestRecord
from syncd.store.database import Database, translated
from syncd.wire.rate_limit import STRAY_S
from syncd.wire.retry import UNNAMED_WAIT_S

# A budget is rebuilt on another host, and hosts' clocks differ: times are stored by the database's clock. `now` is what
# the clock that has stamped the record would show at this moment, had nobody set it.
_INSERT = """
    INSERT INTO syncd.requests (request_id, run_id, installation, endpoint, sent_at, ended_at, rate_reset_at,
        duration_ms, status, error_code, bytes, rate_limit, rate_remaining, retry_after_s,
        token_fingerprint, server_request_id, waited_ms)
    SELECT %(request_id)s, %(run_id)s, %(installation)s, %(endpoint)s,
        %(sent_at)s::timestamptz + ahead, %(ended_at)s::timestamptz + ahead, %(rate_reset_at)s::timestamptz + ahead,
        %(duration_ms)s, %(status)s, %(error_code)s, %(bytes)s, %(rate_limit)s, %(rate_remaining)s, %(retry_after_s)s,
        %(token_fingerprint)s, %(server_request_id)s, %(waited_ms)s
    FROM (SELECT clock_timestamp() - %(now)s AS ahead) AS clocks
    ON CONFLICT (request_id) DO NOTHING
"""
_CLOCK = SystemClock()


class PendingRequests:
    """`model.RequestLog`: attempts that are not stored yet, oldest first."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque()
        self.made = 0

    def append(self, record: RequestRecord) -> None:
        """Keep the record until `settle`."""
        self._records.append(replace(record, noted_at=_CLOCK.monotonic()))
        self.made += 1

    def pending(self) -> tuple[RequestRecord, ...]:
        """What is to be stored with the next transaction."""
        return tuple(self._records)

    def settle(self, stored: Iterable[RequestRecord]) -> None:
        """Forget what a committed transaction has stored, though another one may have stored it too meanwhile."""
        gone = {record.request_id for record in stored}
        self._records = deque(record for record in self._records if record.request_id not in gone)


async def write_requests(
    cursor: AsyncCursor[tuple[Any, ...]], installation: str, run_id: UUID | None, records: Iterable[RequestRecord]
) -> None:
    """Store attempts inside the given transaction; one that is stored already is left alone."""
    rows = [_row(record, installation, run_id) for record in records]
    if rows:
        await cursor.executemany(_INSERT, rows)


async def store_requests(database: Database, installation: str, run_id: UUID | None, records: PendingRequests) -> None:
    """Store what is pending in a transaction of its own: what was asked is a fact, whoever holds the lease.

    Raises DatabaseError; then everything is still pending.
    """
    pending = records.pending()
    with translated():
        async with database.pool.connection() as connection, connection.cursor() as cursor:
            await write_requests(cursor, installation, run_id, pending)
    records.settle(pending)


async def keep_up(
    database: Database, installation: str, run_id: UUID | None, records: PendingRequests, most: int
) -> bool:
    """Store what is pending if that is more than `most` attempts, and say whether it was. Raises DatabaseError."""
    if len(records.pending()) <= most:
        return False
    await store_requests(database, installation, run_id, records)
    return True


async def spent_ages_s(database: Database, installation: str, *, in_flight: int) -> list[float]:
    """How long ago each call of the last hour was answered, or can no longer arrive.

    A driver that was cut off counts for `in_flight` calls more, which may have been under way or were not stored yet
    (`keep_up`): to it who takes over, and to all behind it.
    """
    async with database.control() as control:
        rows = await control.execute(
            _ANSWERED, {"installation": installation, "in_flight": in_flight, "stray_s": STRAY_S}
        )
        return [max(float(age_s), -STRAY_S) for (age_s,) in rows]


# Of a request: for how long it has been answered, or can no longer arrive; `:stray_s` is STRAY_S.
ANSWERED_FOR_S = """extract(epoch FROM clock_timestamp()
        - coalesce(ended_at, sent_at + duration_ms * interval '1 ms' + make_interval(secs => :stray_s)))"""
# ... whether its reply wanted no more calls for a while, and for how long; `:unnamed_s` is UNNAMED_WAIT_S. A refusal
# that named no time counts as it does for the driver that met it.
PAUSES = "(retry_after_s > 0 OR status = 429 AND error_code IS DISTINCT FROM 'concurrent_limit_exceeded')"
PAUSE_S = "coalesce(retry_after_s, :unnamed_s)"
_ANSWERED = text(f"""
    SELECT {ANSWERED_FOR_S}
    FROM syncd.requests
    WHERE installation = :installation AND sent_at > clock_timestamp() - interval '2 hours'
    UNION ALL
    SELECT extract(epoch FROM clock_timestamp() - moment)
    FROM syncd.leases, unnest(cut_off_at) AS moment, generate_series(1, CAST(:in_flight AS integer))
    WHERE installation = :installation
""")


async def pause_left_s(database: Database, installation: str) -> float:
    """How many seconds the server still wants no call, as it told an earlier driver; 0 when it does not."""
    async with database.control() as control:
        left_s = await control.scalar(_PAUSE_LEFT_S, {"installation": installation, "unnamed_s": UNNAMED_WAIT_S})
    return max(float(left_s or 0.0), 0.0)


_PAUSE_LEFT_S = text(f"""
    SELECT extract(epoch FROM max(ended_at + {PAUSE_S} * interval '1 second') - clock_timestamp())
    FROM syncd.requests
    WHERE installation = :installation AND sent_at > clock_timestamp() - interval '2 hours' AND {PAUSES}
""")


def _row(record: RequestRecord, installation: str, run_id: UUID | None) -> dict[str, Any]:
    headroom = record.headroom
    noted_at = record.ended_at or record.sent_at + timedelta(milliseconds=record.duration_ms)
    return {
        "now": noted_at + timedelta(seconds=_CLOCK.monotonic() - record.noted_at),
        "request_id": record.request_id,
        "run_id": run_id,
        "installation": installation,
        "endpoint": record.endpoint,
        "sent_at": record.sent_at,
        "ended_at": record.ended_at,
        "rate_reset_at": headroom.reset_at,
        "duration_ms": record.duration_ms,
        "status": record.status,
        "error_code": record.error_code,
        "bytes": record.bytes,
        "rate_limit": headroom.limit,
        "rate_remaining": headroom.remaining,
        "retry_after_s": record.retry_after_s,
        "token_fingerprint": record.token_fingerprint,
        "server_request_id": record.server_request_id,
        "waited_ms": record.waited_ms,
    }
