"""The request record: every attempt of every call, stored with the page it brought or at the end of its run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncCursor
from sqlalchemy import text

from syncd.model import RequestRecord
from syncd.store.database import Database, translated
from syncd.wire.rate_limit import STRAY_S
from syncd.wire.retry import UNNAMED_WAIT_S

_INSERT = """
    INSERT INTO syncd.requests (request_id, run_id, installation, endpoint, sent_at, ended_at, duration_ms, status,
        error_code, bytes, rate_limit, rate_remaining, rate_reset_at, retry_after_s,
        token_fingerprint, server_request_id, waited_ms)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (request_id) DO NOTHING
"""


class PendingRequests:
    """`model.RequestLog`: attempts that are not stored yet, oldest first."""

    def __init__(self) -> None:
        self._records: deque[RequestRecord] = deque()
        self.made = 0

    def append(self, record: RequestRecord) -> None:
        """Keep the record until `settle`."""
        self._records.append(record)
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


async def spent_ages_s(database: Database, installation: str, now: datetime, *, in_flight: int) -> list[float]:
    """How long ago each call of the last hour was answered, or can no longer arrive.

    A driver that was cut off counts for `in_flight` calls more, which may have been under way and were written down by
    nobody: to it who takes over, and to all behind it.
    """
    async with database.control() as control:
        rows = await control.execute(
            _ANSWERED, {"installation": installation, "now": now, "in_flight": in_flight, "stray_s": STRAY_S}
        )
        return [max(float(age_s), -STRAY_S) for (age_s,) in rows]


_ANSWERED = text("""
    SELECT extract(epoch FROM CAST(:now AS timestamptz)
        - coalesce(ended_at, sent_at + duration_ms * interval '1 ms' + make_interval(secs => :stray_s)))
    FROM syncd.requests
    WHERE installation = :installation AND sent_at > CAST(:now AS timestamptz) - interval '2 hours'
    UNION ALL
    SELECT extract(epoch FROM clock_timestamp() - moment)
    FROM syncd.leases, unnest(cut_off_at) AS moment, generate_series(1, CAST(:in_flight AS integer))
    WHERE installation = :installation
""")


async def pause_left_s(database: Database, installation: str, now: datetime) -> float:
    """How many seconds the server still wants no call, as it told an earlier driver; 0 when it does not.

    A refusal that named no time counts as it does for the driver that met it.
    """
    async with database.control() as control:
        until = await control.scalar(
            text("""
                SELECT max(ended_at + coalesce(retry_after_s, :unnamed_s) * interval '1 second') FROM syncd.requests
                WHERE installation = :installation
                  AND (retry_after_s > 0 OR status = 429 AND error_code IS DISTINCT FROM 'concurrent_limit_exceeded')
                  AND sent_at > CAST(:now AS timestamptz) - interval '2 hours'
            """),
            {"installation": installation, "now": now, "unnamed_s": UNNAMED_WAIT_S},
        )
    return 0.0 if until is None else max((until - now).total_seconds(), 0.0)


def _row(record: RequestRecord, installation: str, run_id: UUID | None) -> list[Any]:
    headroom = record.headroom
    return [
        record.request_id,
        run_id,
        installation,
        record.endpoint,
        record.sent_at,
        record.ended_at,
        record.duration_ms,
        record.status,
        record.error_code,
        record.bytes,
        headroom.limit,
        headroom.remaining,
        headroom.reset_at,
        record.retry_after_s,
        record.token_fingerprint,
        record.server_request_id,
        record.waited_ms,
    ]
