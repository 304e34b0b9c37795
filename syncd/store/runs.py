"""Runs: one round of one installation each, resumed when it was cut off a short while ago."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import text

from syncd.model import Counts, Lease
from syncd.store.database import Database, Transaction

# A round that was cut off longer ago is over: what it certified is no longer fresh enough to be taken over.
RESUMABLE_FOR_S = 3600


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What a run did to one stream; `status` is certified, incomplete, skipped or failed."""

    stream: str
    status: str
    reason: str | None = None
    pages: int = 0
    requests: int = 0
    counts: Counts = field(default_factory=Counts)
    request_id: UUID | None = None
    error_code: str | None = None
    exit_code: int = 0  # what the failure alone would end a command with


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that is under way, and the streams that it is done with already."""

    run_id: UUID
    started_at: datetime
    certified: tuple[StreamResult, ...]


async def open_run(database: Database, lease: Lease, trigger: str, *, resume: bool) -> OpenRun:
    """Take up the round that was cut off within the last hour, if there is one and `resume`; else begin one."""
    async with database.control() as control:
        cut_off = await control.execute(
            text("""
                SELECT run_id, started_at FROM syncd.runs
                WHERE installation = :installation AND state IN ('running', 'interrupted')
                  AND trigger = :trigger AND :resume
                  AND run_id = (SELECT run_id FROM syncd.runs WHERE installation = :installation
                                ORDER BY started_at DESC LIMIT 1)
                  AND heartbeat_at > clock_timestamp() - make_interval(secs => :resumable_for_s)
            """),
            {
                "installation": lease.installation,
                "trigger": trigger,
                "resume": resume,
                "resumable_for_s": RESUMABLE_FOR_S,
            },
        )
        row = cut_off.first()
        run_id = row[0] if row else uuid4()
        await control.execute(
            text("""
                UPDATE syncd.runs SET state = 'interrupted', ended_at = heartbeat_at
                WHERE installation = :installation AND state = 'running' AND run_id <> :run_id
            """),
            {"installation": lease.installation, "run_id": run_id},
        )
        started = await control.execute(
            text("""
                INSERT INTO syncd.runs (run_id, installation, trigger, state, owner, started_at, heartbeat_at)
                VALUES (:run_id, :installation, :trigger, 'running', :owner, clock_timestamp(), clock_timestamp())
                ON CONFLICT (run_id) DO UPDATE SET state = 'running', ended_at = NULL, exit_code = NULL,
                    owner = EXCLUDED.owner, heartbeat_at = EXCLUDED.heartbeat_at
                RETURNING started_at
            """),
            {"run_id": run_id, "installation": lease.installation, "trigger": trigger, "owner": lease.owner},
        )
        started_at = started.scalar_one()
        done = await control.execute(_RESULTS, {"run_id": run_id})
        certified = tuple(_result(row) for row in done if row.status == "certified")
    return OpenRun(run_id, started_at, certified)


async def end_stream(tx: Transaction, result: StreamResult) -> StreamResult:
    """Write down what became of a stream; what the run stored of it is read from the ledger."""
    await tx.cursor.execute(_END_STREAM, _parameters(tx, result))
    ended = _result(await tx.cursor.fetchone())
    await tx.cursor.execute(
        """UPDATE syncd.stream_status SET last_tried_at = %s, status = %s, reason = %s
           WHERE installation = %s AND stream = %s""",
        [tx.now, result.status, result.reason, *tx.stream],
    )
    return ended


async def end_run(database: Database, run_id: UUID, owner: str, state: str, exit_code: int) -> None:
    """Close the run, unless another driver has taken it up."""
    async with database.control() as control:
        await control.execute(
            text("""
                UPDATE syncd.runs SET state = :state, exit_code = :exit_code, ended_at = clock_timestamp()
                WHERE run_id = :run_id AND owner = :owner
            """),
            {"run_id": run_id, "owner": owner, "state": state, "exit_code": exit_code},
        )


_RESULTS = text("""
    SELECT stream, status, reason, pages, requests, inserted, updated, unchanged, superseded, rejected,
           quarantined_values, request_id, error_code
    FROM syncd.run_streams WHERE run_id = :run_id ORDER BY ended_at
""")

_END_STREAM = """
    INSERT INTO syncd.run_streams (run_id, stream, status, reason, pages, requests, seen, inserted, updated, unchanged,
        superseded, rejected, quarantined_values, request_id, error_code, ended_at)
    SELECT %(run_id)s, %(stream)s, %(status)s, %(reason)s, count(page.walk_id), %(requests)s,
        coalesce(sum(seen), 0), coalesce(sum(inserted), 0), coalesce(sum(updated), 0), coalesce(sum(unchanged), 0),
        coalesce(sum(superseded), 0), coalesce(sum(page.rejected), 0), coalesce(sum(quarantined_values), 0),
        coalesce(%(request_id)s, (array_agg(request_id ORDER BY committed_at DESC))[1]), %(error_code)s, %(now)s
    FROM syncd.walk_pages AS page JOIN syncd.walks AS walk USING (walk_id)
    WHERE page.run_id = %(run_id)s AND walk.installation = %(installation)s AND walk.stream = %(stream)s
    ON CONFLICT (run_id, stream) DO UPDATE SET (status, reason, pages, requests, seen, inserted, updated, unchanged,
        superseded, rejected, quarantined_values, request_id, error_code, ended_at)
        = ROW(EXCLUDED.status, EXCLUDED.reason, EXCLUDED.pages, run_streams.requests + EXCLUDED.requests, EXCLUDED.seen,
        EXCLUDED.inserted, EXCLUDED.updated, EXCLUDED.unchanged, EXCLUDED.superseded, EXCLUDED.rejected,
        EXCLUDED.quarantined_values, EXCLUDED.request_id, EXCLUDED.error_code, EXCLUDED.ended_at)
    RETURNING stream, status, reason, pages, requests, inserted, updated, unchanged, superseded, rejected,
        quarantined_values, request_id, error_code
"""


def _parameters(tx: Transaction, result: StreamResult) -> dict[str, object]:
    return {
        "run_id": tx.run_id,
        "installation": tx.stream.installation,
        "stream": result.stream,
        "status": result.status,
        "reason": result.reason,
        "requests": result.requests,
        "request_id": result.request_id,
        "error_code": result.error_code,
        "now": tx.now,
    }


def _result(row: object) -> StreamResult:
    stream, status, reason, pages, requests, *books, request_id, error_code = row  # type: ignore[misc]
    return StreamResult(stream, status, reason, pages, requests, Counts(*books), request_id, error_code)  # type: ignore[has-type]
