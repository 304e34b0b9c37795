"""From a request to the run that made it, the page that it brought, and the rows that it was the last to change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import MetaData, Table, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncd.store.database import Database
from syncd.store.reports import RUN, RunReport

MOST_KEYS = 20


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
    reverted: int
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


REQUEST = """
    SELECT request_id, run_id, installation, endpoint, sent_at, ended_at, duration_ms, status, error_code, bytes,
           token_fingerprint, server_request_id
    FROM syncd.requests
"""
_REQUEST = text(f"""
    {REQUEST}
    WHERE request_id::text = lower(:request_id) OR server_request_id = :request_id
    ORDER BY sent_at DESC LIMIT 1
""")
_RUN_OF = text(f"{RUN} WHERE run_id = :run_id")
_PAGE = text("""
    SELECT stream, walk_id, generation, outcome, page_number, seen, inserted, updated, unchanged, superseded,
           page.rejected, quarantined_values, reverted, committed_at
    FROM syncd.walk_pages AS page JOIN syncd.walks AS walk USING (walk_id) WHERE page.request_id = :request_id
""")
