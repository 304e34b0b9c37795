"""What people ask of the control tables: how fresh each stream is, and who drives what. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from syncd.store.database import Database
from syncd.store.installations import due_streams
from syncd.store.tokens import CONSENT_ENDS_AT

StreamState = Literal["fresh", "held", "late", "never", "skipped"]


@dataclass(frozen=True, slots=True)
class StreamReport:
    """How fresh a stream is. `late` and `never` break the promise; `skipped` lacks a scope, which is a steady state.

    `held` is fresh, and rows that are gone at the source wait for a person's decision.
    """

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
    consent_ends_at: datetime | None
    token_fingerprint: str | None
    driver: str | None
    last_run: RunReport | None
    streams: tuple[StreamReport, ...]
    waits_for: str | None = None  # hour, minute or server; None: its driver, if there is one, does not wait
    waits_until: datetime | None = None


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
    state = _state(row.status, age_s, is_stale=row.is_stale, is_held=row.held_rows > 0)
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


def _state(status: str | None, age_s: float | None, *, is_stale: bool, is_held: bool) -> StreamState:
    if status == "skipped":
        return "skipped"
    if age_s is None:
        return "never"
    if is_stale:
        return "late"
    return "held" if is_held else "fresh"


async def _last_run(control: AsyncConnection, installation: str) -> RunReport | None:
    row = (await control.execute(_LAST_RUN, {"installation": installation})).first()
    return None if row is None else RunReport(*row)


_INSTALLATIONS = text(f"""
    SELECT name, source, account, organization, timezone, environment, api_url, auth_url, scopes, state, state_reason,
           created_at, one.updated_at, access_expires_at, refresh_expires_at, {CONSENT_ENDS_AT} AS consent_ends_at,
           access_fingerprint AS token_fingerprint,
           CASE WHEN lease.until >= clock_timestamp() THEN lease.owner END AS driver,
           CASE WHEN least(lease.until, waits_until) >= clock_timestamp() THEN waits_for END AS waits_for,
           CASE WHEN least(lease.until, waits_until) >= clock_timestamp() THEN waits_until END AS waits_until
    FROM syncd.installations AS one
    LEFT JOIN syncd.credentials AS pair ON pair.installation = one.name
    LEFT JOIN syncd.leases AS lease ON lease.installation = one.name
    WHERE cardinality(CAST(:names AS text[])) = 0 OR name = ANY (:names) ORDER BY name
""")  # noqa: S608 - our own words
# One truth for age and lateness: the view that BI reads.
_STREAMS = text("""
    SELECT fresh.*, status.status FROM bi.data_freshness AS fresh
    JOIN syncd.stream_status AS status USING (installation, stream)
    WHERE installation = :name ORDER BY stream
""")
# A run whose driver has died stays written as running until the next one begins.
RUN = """
    SELECT * FROM (
        SELECT run_id, installation, trigger,
               CASE WHEN state = 'running' AND NOT EXISTS (
                   SELECT FROM syncd.leases AS lease WHERE lease.installation = run.installation
                     AND lease.owner = run.owner AND lease.until >= clock_timestamp())
               THEN 'interrupted' ELSE state END AS state,
               owner, started_at, ended_at, exit_code
        FROM syncd.runs AS run) AS run
"""
_LAST_RUN = text(f"{RUN} WHERE installation = :installation ORDER BY started_at DESC LIMIT 1")
