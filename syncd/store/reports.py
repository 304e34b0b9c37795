"""What people ask of the control tables: freshness, call budgets, and where a request's rows are. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import MetaData, Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncd.store.database import Database
from syncd.store.installations import due_streams

MOST_KEYS = 20

StreamState = Literal["fresh", "late", "never", "skipped"]


# --- freshness --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamReport:
    """How fresh a stream is. `late` and `never` break the promise; `skipped` lacks a scope, which is a steady state."""

    stream: str
    state: StreamState
    age_s: float | None
    promised_s: int
    last_certified_at: datetime | None
    last_tried_at: datetime | None
    due_at: datetime
    due_in_s: float
    reason: str | None

    @property
    def is_stale(self) -> bool:
        """The promise is broken."""
        return self.state in {"late", "never"}


@dataclass(frozen=True, slots=True)
class RunReport:
    """One round of one installation."""

    run_id: UUID
    installation: str
    trigger: str
    state: str
    owner: str
    started_at: datetime
    ended_at: datetime | None
    exit_code: int | None


@dataclass(frozen=True, slots=True)
class InstallationReport:
    """An installation, its streams by name, its newest run, and who drives it now. Never a token."""

    name: str
    source: str
    account: str
    organization: str | None
    timezone: str
    environment: str
    api_url: str
    auth_url: str | None
    scopes: tuple[str, ...]
    state: str
    state_reason: str | None
    created_at: datetime
    updated_at: datetime
    access_expires_at: datetime | None
    refresh_expires_at: datetime | None
    token_fingerprint: str | None
    driver: str | None
    last_run: RunReport | None
    streams: tuple[StreamReport, ...]


async def report_installations(database: Database, names: Sequence[str] = ()) -> list[InstallationReport]:
    """The installations of these names, or all of them, by name."""
    async with database.control() as control:
        rows = list((await control.execute(_INSTALLATIONS, {"names": list(names)})).mappings())
        now = (await control.execute(text("SELECT statement_timestamp()"))).scalar_one()
        last_runs = {row["name"]: await _last_run(control, row["name"]) for row in rows}
        freshness = {row["name"]: list(await control.execute(_STREAMS, {"name": row["name"]})) for row in rows}
    reports = []
    for row in rows:
        name = row["name"]
        due = await due_streams(database, name)
        streams = tuple(_stream(stream, now, due[stream.stream]) for stream in freshness[name])
        reports.append(
            InstallationReport(**{**row, "scopes": tuple(row["scopes"])}, last_run=last_runs[name], streams=streams)
        )
    return reports


def _stream(row: Any, now: datetime, due_in_s: float) -> StreamReport:
    age_s = None if row.age_seconds is None else float(row.age_seconds)
    state = _state(row.status, age_s, is_stale=row.is_stale)
    return StreamReport(
        stream=row.stream,
        state=state,
        age_s=age_s,
        promised_s=row.promised_seconds,
        last_certified_at=row.last_certified_at,
        last_tried_at=row.last_tried_at,
        due_at=now + timedelta(seconds=due_in_s),
        due_in_s=due_in_s,
        reason=row.reason,
    )


def _state(status: str | None, age_s: float | None, *, is_stale: bool) -> StreamState:
    if status == "skipped":
        return "skipped"
    if age_s is None:
        return "never"
    return "late" if is_stale else "fresh"


async def _last_run(control: AsyncConnection, installation: str) -> RunReport | None:
    row = (await control.execute(_LAST_RUN, {"installation": installation})).first()
    return None if row is None else RunReport(*row)


_INSTALLATIONS = text("""
    SELECT name, source, account, organization, timezone, environment, api_url, auth_url, scopes, state, state_reason,
           created_at, one.updated_at, access_expires_at, refresh_expires_at, access_fingerprint AS token_fingerprint,
           CASE WHEN lease.until >= clock_timestamp() THEN lease.owner END AS driver
    FROM syncd.installations AS one
    LEFT JOIN syncd.credentials AS token ON token.installation = one.name
    LEFT JOIN syncd.leases AS lease ON lease.installation = one.name
    WHERE cardinality(CAST(:names AS text[])) = 0 OR name = ANY (:names) ORDER BY name
""")
# One truth for age and lateness: the view that BI reads.
_STREAMS = text("""
    SELECT fresh.*, status.status FROM bi.data_freshness AS fresh
    JOIN syncd.stream_status AS status USING (installation, stream)
    WHERE installation = :name ORDER BY stream
""")
_RUN = "SELECT run_id, installation, trigger, state, owner, started_at, ended_at, exit_code FROM syncd.runs"
_LAST_RUN = text(f"{_RUN} WHERE installation = :installation ORDER BY started_at DESC LIMIT 1")


# --- call budgets -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TokenReport:
    """The calls on one token, and its hourly budget as the newest reply tells it."""

    installation: str
    token_fingerprint: str
    is_current: bool
    limit: int | None
    remaining: int | None
    reset_at: datetime | None
    calls_last_hour: int
    calls_last_minute: int
    refused_last_hour: int  # answered with 429
    last_call_at: datetime | None
    as_of: datetime

    @property
    def headroom(self) -> int | None:
        """Calls that the server would still take within its hour; None as long as no reply has said."""
        is_whole_again = self.reset_at is not None and self.reset_at <= self.as_of
        return self.limit if is_whole_again else self.remaining


async def report_tokens(database: Database, names: Sequence[str] = ()) -> list[TokenReport]:
    """The present token of each of these installations, or of all, and every other token used within the last hour."""
    async with database.control() as control:
        return [TokenReport(*row) for row in await control.execute(_TOKENS, {"names": list(names)})]


_TOKENS = text("""
    WITH recent AS (
        SELECT * FROM syncd.requests WHERE sent_at > statement_timestamp() - interval '1 hour'
    ), tokens AS (
        SELECT installation, access_fingerprint AS token_fingerprint FROM syncd.credentials
        UNION SELECT installation, token_fingerprint FROM recent
    )
    SELECT token.installation, token.token_fingerprint,
        EXISTS (SELECT FROM syncd.credentials WHERE access_fingerprint = token.token_fingerprint),
        said.rate_limit, said.rate_remaining, said.rate_reset_at,
        count(recent.request_id),
        count(recent.request_id) FILTER (WHERE recent.sent_at > statement_timestamp() - interval '1 minute'),
        count(recent.request_id) FILTER (WHERE recent.status = 429),
        last.sent_at, statement_timestamp()
    FROM tokens AS token
    LEFT JOIN recent USING (installation, token_fingerprint)
    LEFT JOIN LATERAL (
        SELECT rate_limit, rate_remaining, rate_reset_at FROM syncd.requests AS request
        WHERE request.installation = token.installation AND request.token_fingerprint = token.token_fingerprint
          AND rate_limit IS NOT NULL ORDER BY sent_at DESC LIMIT 1
    ) AS said ON true
    LEFT JOIN LATERAL (
        SELECT sent_at FROM syncd.requests AS request
        WHERE request.installation = token.installation AND request.token_fingerprint = token.token_fingerprint
        ORDER BY sent_at DESC LIMIT 1
    ) AS last ON true
    WHERE cardinality(CAST(:names AS text[])) = 0 OR token.installation = ANY (:names)
    GROUP BY 1, 2, 4, 5, 6, 10 ORDER BY 1, 3 DESC, 10 DESC NULLS LAST
""")


# --- from a request to its rows ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestReport:
    """One attempt of one call."""

    request_id: UUID
    run_id: UUID | None
    installation: str
    endpoint: str
    sent_at: datetime
    ended_at: datetime | None
    duration_ms: int
    status: int | None
    error_code: str | None
    bytes: int
    token_fingerprint: str
    server_request_id: str | None


@dataclass(frozen=True, slots=True)
class PageReport:
    """The page that a request brought, as the ledger has it."""

    stream: str
    walk_id: UUID
    generation: int
    outcome: str
    page_number: int
    seen: int
    inserted: int
    updated: int
    unchanged: int
    superseded: int
    rejected: int
    quarantined_values: int
    committed_at: datetime


@dataclass(frozen=True, slots=True)
class RowsReport:
    """How many rows of a table a request was the last to change, and the first few of their keys."""

    table: str
    rows: int
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RequestTrace:
    """A request and all that came of it."""

    request: RequestReport
    run: RunReport | None
    page: PageReport | None
    tables: tuple[RowsReport, ...]


async def trace_request(database: Database, request_id: str, metadatas: Iterable[MetaData]) -> RequestTrace | None:
    """Follow a request, named by our id or the server's, to the rows that it was the last to change."""
    async with database.control() as control:
        found = (await control.execute(_REQUEST, {"request_id": request_id.strip()})).first()
        if found is None:
            return None
        request = RequestReport(*found)
        run = (await control.execute(_RUN_OF, {"run_id": request.run_id})).first()
        page = (await control.execute(_PAGE, {"request_id": request.request_id})).first()
        tables = [await _rows(control, table, request.request_id) for table in _stamped(metadatas)]
    return RequestTrace(
        request,
        None if run is None else RunReport(*run),
        None if page is None else PageReport(*page),
        tuple(table for table in tables if table.rows),
    )


def _stamped(metadatas: Iterable[MetaData]) -> Iterable[Table]:
    tables = (table for metadata in metadatas for table in metadata.sorted_tables)
    return (table for table in tables if "_syncd_request_id" in table.columns)


async def _rows(control: AsyncConnection, table: Table, request_id: UUID) -> RowsReport:
    key = func.concat_ws("/", *table.primary_key.columns)
    statement = (
        select(key, func.count().over())
        .where(table.c["_syncd_request_id"] == request_id)
        .order_by(key)
        .limit(MOST_KEYS)
    )
    rows = list(await control.execute(statement))
    return RowsReport(str(table), rows[0][1] if rows else 0, tuple(row[0] for row in rows))


_REQUEST = text("""
    SELECT request_id, run_id, installation, endpoint, sent_at, ended_at, duration_ms, status, error_code, bytes,
           token_fingerprint, server_request_id
    FROM syncd.requests
    WHERE request_id::text = lower(:request_id) OR server_request_id = :request_id
    ORDER BY sent_at DESC LIMIT 1
""")
_RUN_OF = text(f"{_RUN} WHERE run_id = :run_id")
_PAGE = text("""
    SELECT stream, walk_id, generation, outcome, page_number, seen, inserted, updated, unchanged, superseded,
           page.rejected, quarantined_values, committed_at
    FROM syncd.walk_pages AS page JOIN syncd.walks AS walk USING (walk_id) WHERE page.request_id = :request_id
""")
