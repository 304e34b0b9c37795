"""What was done: runs with their streams and walks, and the calls that were made. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from syncd.store.database import Database
from syncd.store.reports import RUN, RunReport
from syncd.store.trace import REQUEST, RequestReport


@dataclass(frozen=True, slots=True)
class RunStreamReport:
    """What a run did to a stream."""

    stream: str
    status: str
    reason: str | None
    pages: int
    requests: int
    seen: int
    inserted: int
    updated: int
    unchanged: int
    superseded: int
    rejected: int
    quarantined_values: int
    reverted: int
    removed: int
    request_id: UUID | None
    error_code: str | None
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class WalkReport:
    """A walk that a run took a part in; a certified one is the proof that its listing was copied whole."""

    walk_id: UUID
    stream: str
    generation: int
    outcome: str
    reason: str | None
    started_at: datetime
    ended_at: datetime | None
    pages: int
    rows: int
    distinct_keys: int
    duplicates: int


@dataclass(frozen=True, slots=True)
class RunHistory:
    """A run, its streams in the order in which they ended, and its walks."""

    run: RunReport
    streams: Sequence[RunStreamReport]
    walks: Sequence[WalkReport]


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs are asked for; an empty list and None mean all."""

    names: Sequence[str]
    states: Sequence[str]
    since_s: float | None
    limit: int


@dataclass(frozen=True, slots=True)
class RequestFilter:
    """Which calls are asked for: statuses from `lowest` to `highest`, or those without a reply."""

    names: Sequence[str]
    lowest: int | None
    highest: int | None
    is_unanswered: bool
    error_code: str | None
    since_s: float | None
    limit: int


async def list_runs(database: Database, wanted: RunFilter) -> list[RunReport]:
    """Runs, newest first."""
    asked = {"names": list(wanted.names), "states": list(wanted.states), "since_s": wanted.since_s}
    async with database.control() as control:
        return [RunReport(*row) for row in await control.execute(_RUNS, asked | {"most": wanted.limit})]


async def show_run(database: Database, run_id: UUID) -> RunHistory:
    """A run that exists, whole."""
    async with database.control() as control:
        run = (await control.execute(_RUN, {"run_id": run_id})).one()
        streams = [RunStreamReport(*row) for row in await control.execute(_STREAMS, {"run_id": run_id})]
        walks = [WalkReport(*row) for row in await control.execute(_WALKS, {"run_id": run_id})]
    return RunHistory(RunReport(*run), streams, walks)


async def list_requests(database: Database, wanted: RequestFilter) -> list[RequestReport]:
    """Calls, newest first."""
    asked = {
        "names": list(wanted.names),
        "lowest": wanted.lowest,
        "highest": wanted.highest,
        "is_unanswered": wanted.is_unanswered,
        "error_code": wanted.error_code,
        "since_s": wanted.since_s,
        "most": wanted.limit,
    }
    async with database.control() as control:
        return [RequestReport(*row) for row in await control.execute(_REQUESTS, asked)]


_RUNS = text(f"""
    {RUN}
    WHERE (cardinality(CAST(:names AS text[])) = 0 OR installation = ANY (:names))
      AND (cardinality(CAST(:states AS text[])) = 0 OR state = ANY (:states))
      AND (CAST(:since_s AS float) IS NULL OR started_at >= statement_timestamp() - make_interval(secs => :since_s))
    ORDER BY started_at DESC LIMIT :most
""")
_RUN = text(f"{RUN} WHERE run_id = :run_id")
_STREAMS = text("""
    SELECT stream, status, reason, pages, requests, seen, inserted, updated, unchanged, superseded, rejected,
           quarantined_values, reverted, removed, request_id, error_code, ended_at
    FROM syncd.run_streams WHERE run_id = :run_id ORDER BY ended_at
""")
_WALKS = text("""
    SELECT walk_id, stream, generation, outcome, reason, started_at, ended_at,
           CASE outcome WHEN 'certified' THEN pages ELSE ledger.pages_stored END,
           CASE outcome WHEN 'certified' THEN rows ELSE ledger.rows_seen END, distinct_keys, duplicates
    FROM syncd.walks AS walk, LATERAL (
        SELECT count(*) AS pages_stored, coalesce(sum(seen), 0)::bigint AS rows_seen FROM syncd.walk_pages AS page
        WHERE page.walk_id = walk.walk_id) AS ledger
    WHERE run_id = :run_id
       OR EXISTS (SELECT FROM syncd.walk_pages AS page WHERE page.walk_id = walk.walk_id AND page.run_id = :run_id)
    ORDER BY started_at
""")
_REQUESTS = text(f"""
    {REQUEST}
    WHERE (cardinality(CAST(:names AS text[])) = 0 OR installation = ANY (:names))
      AND (CAST(:lowest AS integer) IS NULL OR status BETWEEN :lowest AND :highest)
      AND (NOT :is_unanswered OR status IS NULL)
      AND (CAST(:error_code AS text) IS NULL OR error_code = :error_code)
      AND (CAST(:since_s AS float) IS NULL OR sent_at >= statement_timestamp() - make_interval(secs => :since_s))
    ORDER BY sent_at DESC LIMIT :most
""")
