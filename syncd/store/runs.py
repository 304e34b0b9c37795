"""Runs: one round of one installation each, resumed when it was cut off a short while ago."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from sqlalchemy import text

from syncd.model import Counts, Lease
from syncd.store.database import Database, Transaction, fence, gone_back

# A round that was cut off longer ago is over: what it certified is no longer fresh enough to be taken over.
RESUMABLE_FOR_S = 3600
# A brake refused (docs/interface.md §3).
HELD_EXIT_CODE = 5


@dataclass(frozen=True, slots=True)
class StreamResult:
    """What a run did to one stream; `status` is certified, held, incomplete, skipped or failed.

    A stream that is held is certified all the same: its data are in, and a removal waits for a person.
    """

    stream: str
    status: str
    reason: str | None = None
    pages: int = 0
    requests: int = 0
    counts: Counts = field(default_factory=Counts)
    removed: int = 0
    request_id: UUID | None = None
    error_code: str | None = None
    exit_code: int = 0  # what the failure alone would end a command with
    hint: str | None = None  # what a person may do about it; told once, not stored


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A run that is under way, and the streams that it has certified, held ones included, within the last hour."""

    run_id: UUID
    certified: tuple[StreamResult, ...]


async def open_run(
    database: Database, lease: Lease, trigger: str, grant_id: UUID, streams: Iterable[str], *, resume: bool
) -> OpenRun:
    """Take up the round that was cut off within the last hour under the same grant, if `resume` and if these streams
    are all that it left undone; else begin one.

    It is written down for these streams. Raises LeaseLost.
    """
    names = list(streams)
    async with database.control() as control:
        await fence(control, lease)
        cut_off = await control.scalar(
            _CUT_OFF,
            {
                "installation": lease.installation,
                "trigger": trigger,
                "grant_id": grant_id,
                "resume": resume,
                "resumable_for_s": RESUMABLE_FOR_S,
                "streams": names,
            },
        )
        run_id = cut_off or uuid4()
        await control.execute(_INTERRUPT_OTHERS, {"installation": lease.installation, "run_id": run_id})
        await control.execute(
            _BEGIN,
            {
                "run_id": run_id,
                "installation": lease.installation,
                "trigger": trigger,
                "grant_id": grant_id,
                "owner": lease.owner,
                "streams": names,
            },
        )
        done = await control.execute(_CERTIFIED, {"run_id": run_id, "resumable_for_s": RESUMABLE_FOR_S})
        return OpenRun(run_id, tuple(_result(row) for row in done))


# Only a committed page renews the heartbeat: a round that is taken up again and again gets no younger by it. One that
# would go on without a stream that it was ordered for would end as if it had done all.
_CUT_OFF = text("""
    SELECT run_id FROM syncd.runs
    WHERE installation = :installation AND state IN ('running', 'interrupted') AND trigger = :trigger
      AND cancel_requested_at IS NULL
      AND grant_id = :grant_id AND :resume
      AND run_id = (SELECT run_id FROM syncd.runs WHERE installation = :installation
                    ORDER BY started_at DESC LIMIT 1)
      AND heartbeat_at > clock_timestamp() - make_interval(secs => :resumable_for_s)
      AND NOT EXISTS (
          SELECT FROM unnest(streams) AS ordered WHERE ordered <> ALL (CAST(:streams AS text[])) AND ordered NOT IN
              (SELECT stream FROM syncd.run_streams AS done
               WHERE done.run_id = runs.run_id AND status IN ('certified', 'skipped')))
""")
_INTERRUPT_OTHERS = text("""
    UPDATE syncd.runs SET ended_at = heartbeat_at,
        state = CASE WHEN cancel_requested_at IS NULL THEN 'interrupted' ELSE 'cancelled' END
    WHERE installation = :installation AND state = 'running' AND run_id <> :run_id
""")
_BEGIN = text("""
    INSERT INTO syncd.runs AS run
        (run_id, installation, trigger, streams, grant_id, state, owner, started_at, heartbeat_at)
    VALUES (:run_id, :installation, :trigger, :streams, :grant_id, 'running', :owner,
            clock_timestamp(), clock_timestamp())
    ON CONFLICT (run_id) DO UPDATE SET state = 'running', ended_at = NULL, exit_code = NULL, owner = EXCLUDED.owner,
        streams = ARRAY(SELECT DISTINCT unnest(run.streams || EXCLUDED.streams))
""")
_CERTIFIED = text("""
    SELECT stream, status, reason, pages, requests, inserted, updated, unchanged, superseded, rejected,
           quarantined_values, reverted, removed, request_id, error_code
    FROM syncd.run_streams
    WHERE run_id = :run_id AND status IN ('certified', 'held')
      AND ended_at > clock_timestamp() - make_interval(secs => :resumable_for_s)
    ORDER BY ended_at
""")


async def stream_results(database: Database, run_id: UUID) -> list[StreamResult]:
    """What the run did to the streams that it is done with, in their order."""
    async with database.control() as control:
        return [_result(row) for row in await control.execute(_RESULTS, {"run_id": run_id})]


_RESULTS = text("""
    SELECT stream, status, reason, pages, requests, inserted, updated, unchanged, superseded, rejected,
           quarantined_values, reverted, removed, request_id, error_code
    FROM syncd.run_streams WHERE run_id = :run_id ORDER BY ended_at
""")


async def end_stream(tx: Transaction, result: StreamResult) -> StreamResult:
    """Write down what became of a stream; what the run stored of it is read from the ledger.

    Raises DatabaseError for a certified one whose certificate is not there: a failover has lost it.
    """
    await tx.cursor.execute(_END_STREAM, _parameters(tx, result))
    row = await tx.cursor.fetchone()
    if row is None:
        raise gone_back()
    ended = _result(row)
    await tx.cursor.execute(
        """UPDATE syncd.stream_status SET last_tried_at = %s, status = %s, reason = %s
           WHERE installation = %s AND stream = %s""",
        [tx.now, result.status, result.reason, *tx.stream],
    )
    return ended


async def end_run(database: Database, lease: Lease, run_id: UUID, state: str, exit_code: int) -> None:
    """Close the run. Raises LeaseLost: then it is another driver's."""
    async with database.control() as control:
        await fence(control, lease)
        await control.execute(
            text("""
                UPDATE syncd.runs SET state = :state, exit_code = :exit_code, ended_at = clock_timestamp()
                WHERE run_id = :run_id
            """),
            {"run_id": run_id, "state": state, "exit_code": exit_code},
        )


async def note_failure(database: Database, lease: Lease, run_id: UUID, streams: Iterable[str], reason: str) -> None:
    """Say of streams that a round broke off before they were done, so that they are not due again at once."""
    async with database.control() as control:
        await fence(control, lease)
        await control.execute(
            text("""
                UPDATE syncd.stream_status
                SET status = 'failed', reason = :reason, last_tried_at = clock_timestamp()
                WHERE installation = :installation AND stream = ANY(:streams)
                  AND stream NOT IN (SELECT stream FROM syncd.run_streams WHERE run_id = :run_id)
            """),
            {"installation": lease.installation, "run_id": run_id, "streams": list(streams), "reason": reason},
        )


_END_STREAM = """
    INSERT INTO syncd.run_streams (run_id, stream, status, reason, pages, requests, seen, inserted, updated, unchanged,
        superseded, rejected, quarantined_values, reverted, removed, request_id, error_code, ended_at)
    SELECT %(run_id)s, %(stream)s, %(status)s, %(reason)s, count(page.walk_id), %(requests)s,
        coalesce(sum(seen), 0), coalesce(sum(inserted), 0), coalesce(sum(updated), 0), coalesce(sum(unchanged), 0),
        coalesce(sum(superseded), 0), coalesce(sum(page.rejected), 0), coalesce(sum(quarantined_values), 0),
        coalesce(sum(reverted), 0), %(removed)s,
        coalesce(%(request_id)s, (array_agg(request_id ORDER BY committed_at DESC))[1]), %(error_code)s, %(now)s
    FROM syncd.walk_pages AS page JOIN syncd.walks AS walk USING (walk_id)
    WHERE page.run_id = %(run_id)s AND walk.installation = %(installation)s AND walk.stream = %(stream)s
    HAVING %(status)s NOT IN ('certified', 'held') OR bool_or(walk.outcome = 'certified')
    ON CONFLICT (run_id, stream) DO UPDATE SET (status, reason, pages, requests, seen, inserted, updated, unchanged,
        superseded, rejected, quarantined_values, reverted, removed, request_id, error_code, ended_at)
        = ROW(EXCLUDED.status, EXCLUDED.reason, EXCLUDED.pages, run_streams.requests + EXCLUDED.requests, EXCLUDED.seen,
        EXCLUDED.inserted, EXCLUDED.updated, EXCLUDED.unchanged, EXCLUDED.superseded, EXCLUDED.rejected,
        EXCLUDED.quarantined_values, EXCLUDED.reverted, EXCLUDED.removed, EXCLUDED.request_id, EXCLUDED.error_code,
        EXCLUDED.ended_at)
    RETURNING stream, status, reason, pages, requests, inserted, updated, unchanged, superseded, rejected,
        quarantined_values, reverted, removed, request_id, error_code
"""


def _parameters(tx: Transaction, result: StreamResult) -> dict[str, object]:
    return {
        "run_id": tx.run_id,
        "installation": tx.stream.installation,
        "stream": result.stream,
        "status": result.status,
        "reason": result.reason,
        "requests": result.requests,
        "removed": result.removed,
        "request_id": result.request_id,
        "error_code": result.error_code,
        "now": tx.now,
    }


def _result(row: object) -> StreamResult:
    stream, status, reason, pages, requests, *books, removed, request_id, error_code = row  # type: ignore[misc]
    exit_code = HELD_EXIT_CODE if status == "held" else 0  # type: ignore[has-type]
    counts = Counts(*books)  # type: ignore[has-type]
    return StreamResult(stream, status, reason, pages, requests, counts, removed, request_id, error_code, exit_code)  # type: ignore[has-type]
