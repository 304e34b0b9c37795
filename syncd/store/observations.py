"""What the control tables tell of credentials, leases, the last hour's calls, and the clock. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text

from syncd.errors import ConfigError
from syncd.model import Vault
from syncd.store.database import Database
from syncd.store.tokens import CONSENT_ENDS_AT, place


@dataclass(frozen=True, slots=True)
class CredentialReport:
    """A stored pair; never its tokens. `refusal` says why it does not open; None: it does, or no key was tried."""

    installation: str
    has_refresh_token: bool
    access_expires_at: datetime
    refresh_expires_at: datetime | None
    consent_ends_at: datetime
    refusal: ConfigError | None


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """A claim that was not given back; `has_run_out` by the database's clock."""

    installation: str
    owner: str
    until: datetime
    has_run_out: bool


@dataclass(frozen=True, slots=True)
class TrafficReport:
    """The calls of one installation within the last hour: all, answered with 429, and failed (5xx, or no reply)."""

    installation: str
    calls: int
    refused: int
    failed: int


async def database_now(database: Database) -> datetime:
    """The database's clock."""
    async with database.control() as control:
        now: datetime = (await control.execute(text("SELECT clock_timestamp()"))).scalar_one()
        return now


async def report_credentials(
    database: Database, vault: Vault | None, names: Sequence[str] = ()
) -> list[CredentialReport]:
    """The pairs of these installations, or of all, each tried under the keys."""
    async with database.control() as control:
        rows = list(await control.execute(_CREDENTIALS, {"names": list(names)}))
    return [
        CredentialReport(
            row.installation,
            row.refresh_token is not None,
            row.access_expires_at,
            row.refresh_expires_at,
            row.consent_ends_at,
            _refusal(vault, row) if vault else None,
        )
        for row in rows
    ]


def _refusal(vault: Vault, row: Any) -> ConfigError | None:
    try:
        for column in ("access_token", "refresh_token"):
            if (sealed := getattr(row, column)) is not None:
                vault.open(sealed, place(row.installation, column))
    except ConfigError as error:
        return error
    return None


async def report_leases(database: Database, names: Sequence[str] = ()) -> list[LeaseReport]:
    """The claims on these installations, or on all, that nobody has given back."""
    async with database.control() as control:
        return [LeaseReport(*row) for row in await control.execute(_LEASES, {"names": list(names)})]


async def report_traffic(database: Database, names: Sequence[str] = ()) -> list[TrafficReport]:
    """The last hour's calls of these installations, or of all; one without a call is left out."""
    async with database.control() as control:
        return [TrafficReport(*row) for row in await control.execute(_TRAFFIC, {"names": list(names)})]


_CHOSEN = "(cardinality(CAST(:names AS text[])) = 0 OR installation = ANY (:names))"
_CREDENTIALS = text(f"""
    SELECT installation, access_token, refresh_token, access_expires_at, refresh_expires_at,
           {CONSENT_ENDS_AT} AS consent_ends_at
    FROM syncd.credentials AS pair WHERE {_CHOSEN} ORDER BY installation
""")  # noqa: S608 - our own words
_LEASES = text(f"""
    SELECT installation, owner, until, until < clock_timestamp() FROM syncd.leases
    WHERE owner IS NOT NULL AND {_CHOSEN} ORDER BY installation
""")  # noqa: S608
_TRAFFIC = text(f"""
    SELECT installation, count(*), count(*) FILTER (WHERE status = 429),
           count(*) FILTER (WHERE status >= 500 OR status IS NULL)
    FROM syncd.requests WHERE sent_at > statement_timestamp() - interval '1 hour' AND {_CHOSEN}
    GROUP BY installation ORDER BY installation
""")  # noqa: S608
