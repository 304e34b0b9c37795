"""What people ask of the quarantine: what was left out, of whom, and that it be forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from syncd.errors import ConfigError
from syncd.model import StreamKey
from syncd.store.database import Database


@dataclass(frozen=True, slots=True)
class Choice:
    """Which values are meant; an empty list and None mean all. `reason` is a part of the reason."""

    names: Sequence[str] = ()
    streams: Sequence[str] = ()
    ids: Sequence[int] = ()
    reason: str | None = None
    since_s: float | None = None


@dataclass(frozen=True, slots=True)
class LeftOutReport:
    """A value that was left out of its row; `can_be_replayed` is false for what an older version kept."""

    id: int
    installation: str
    stream: str
    row_key: str | None
    json_path: str
    reason: str
    raw: str
    first_seen_at: datetime
    request_id: UUID
    run_id: UUID
    can_be_replayed: bool


async def list_left_out(database: Database, choice: Choice, limit: int) -> tuple[list[LeftOutReport], int]:
    """The newest of these values, and how many there are."""
    asked = _asked(choice)
    async with database.control() as control:
        found = [LeftOutReport(*row) for row in await control.execute(_NEWEST, asked | {"most": limit})]
        return found, await control.scalar(_COUNT, asked) or 0


async def owners(database: Database, choice: Choice) -> dict[str, int]:
    """The installations of these values, and how many each has. Raises ConfigError for an id that none has."""
    async with database.control() as control:
        rows = list(await control.execute(_OWNERS, _asked(choice)))
    missing = set(choice.ids) - {quarantine_id for _, ids in rows for quarantine_id in ids}
    if missing:
        raise ConfigError(
            f"no such entry: {', '.join(map(str, sorted(missing)))}", hint="`syncd quarantine list` shows their ids"
        )
    return {name: len(ids) for name, ids in rows}


async def drop(database: Database, installation: str, choice: Choice) -> int:
    """Forget these values of one installation, and the rows of which no other is kept; returns how many those were."""
    asked = [installation, list(choice.streams), list(choice.streams), list(choice.ids), list(choice.ids)]
    async with database.between_pages(StreamKey(installation, "")) as tx:
        await tx.cursor.execute(_DROP, asked)
        dropped = tx.cursor.rowcount
        await tx.cursor.execute(_DROP_ROWS, [installation])
    return dropped


def _asked(choice: Choice) -> dict[str, object]:
    return {
        "names": list(choice.names),
        "streams": list(choice.streams),
        "ids": list(choice.ids),
        "reason": choice.reason,
        "since_s": choice.since_s,
    }


_CHOSEN = """
    FROM syncd.quarantined_values AS value LEFT JOIN syncd.quarantined_rows USING (installation, stream, row_ref)
    WHERE (cardinality(CAST(:names AS text[])) = 0 OR installation = ANY (:names))
      AND (cardinality(CAST(:streams AS text[])) = 0 OR stream = ANY (:streams))
      AND (cardinality(CAST(:ids AS bigint[])) = 0 OR quarantine_id = ANY (:ids))
      AND (CAST(:reason AS text) IS NULL OR strpos(lower(reason), lower(:reason)) > 0)
      AND (CAST(:since_s AS float) IS NULL OR first_seen_at >= statement_timestamp() - make_interval(secs => :since_s))
"""
_NEWEST = text(f"""
    SELECT quarantine_id, installation, stream, row_key, json_path, reason, raw, first_seen_at, value.request_id,
           value.run_id, row_ref IS NOT NULL
    {_CHOSEN} ORDER BY first_seen_at DESC, quarantine_id DESC LIMIT :most
""")
_COUNT = text(f"SELECT count(*) {_CHOSEN}")
_OWNERS = text(f"SELECT installation, array_agg(quarantine_id) {_CHOSEN} GROUP BY installation ORDER BY installation")
_DROP = """
    DELETE FROM syncd.quarantined_values
    WHERE installation = %s AND (cardinality(%s::text[]) = 0 OR stream = ANY (%s::text[]))
      AND (cardinality(%s::bigint[]) = 0 OR quarantine_id = ANY (%s::bigint[]))
"""
_DROP_ROWS = """
    DELETE FROM syncd.quarantined_rows AS kept WHERE installation = %s AND NOT EXISTS (
        SELECT FROM syncd.quarantined_values AS value WHERE (value.installation, value.stream, value.row_ref)
            = (kept.installation, kept.stream, kept.row_ref))
"""
