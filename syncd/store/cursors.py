"""Where each stream goes on, and how long that is worth anything. Reads only."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text

from syncd.store.database import Database
from syncd.wire.position import CURSOR_LIFE, CursorAt, decode, why_unusable


@dataclass(frozen=True, slots=True)
class WalkAt:
    """A walk under way: `pages` are those that it has stored."""

    walk_id: UUID
    generation: int
    pages: int
    started_at: datetime


@dataclass(frozen=True, slots=True)
class CursorReport:
    """A stored cursor by a short name, and what it is bound to. `unusable` says why no walk would go on there.

    `outlives_token` and `outlives_limit`: whether the API was seen to accept a cursor under a later access token, or
    at another page size; None: not seen yet, so it is tried once.
    """

    fingerprint: str
    issued_at: datetime
    age_s: float
    usable_until: datetime
    query: str
    limit: int
    grant_id: str
    token: str
    outlives_token: bool | None
    outlives_limit: bool | None
    unusable: str | None


@dataclass(frozen=True, slots=True)
class PositionReport:
    """Where a stream goes on: `start`, the first page, or `cursor`, the page behind it. `limit`: it had to shrink."""

    installation: str
    stream: str
    goes_on: str
    limit: int | None
    cursor: CursorReport | None
    walk: WalkAt | None
    saved_at: datetime | None
    last_certified_at: datetime | None


async def report_positions(
    database: Database, names: Sequence[str] = (), streams: Sequence[str] = ()
) -> list[PositionReport]:
    """The streams of these names of these installations, or all."""
    async with database.control() as control:
        found = await control.execute(_POSITIONS, {"names": list(names), "streams": list(streams)})
        return [_report(row) for row in found]


def _report(row: Any) -> PositionReport:
    position = decode(row.position) if row.position else None
    cursor = _cursor(position, row) if isinstance(position, CursorAt) else None
    walk = WalkAt(row.walk_id, row.generation, row.pages, row.started_at) if row.walk_id else None
    return PositionReport(
        row.installation,
        row.stream,
        "cursor" if cursor and cursor.unusable is None else "start",
        position.limit if position else None,
        cursor,
        walk,
        row.saved_at,
        row.last_certified_at,
    )


def _cursor(at: CursorAt, row: Any) -> CursorReport:
    return CursorReport(
        hashlib.blake2b(at.cursor.encode(), digest_size=4).hexdigest(),
        at.issued_at,
        (row.now - at.issued_at) / timedelta(seconds=1),
        at.issued_at + CURSOR_LIFE,
        at.query,
        at.limit,
        at.grant,
        at.token,
        row.cursor_survives_refresh,
        row.cursor_survives_limit,
        why_unusable(at, now=row.now, grant=str(row.grant_id)),
    )


_POSITIONS = text("""
    SELECT status.installation, status.stream, position, saved_at, last_certified_at, grant_id,
           cursor_survives_refresh, cursor_survives_limit, walk_id, generation, started_at,
           (SELECT count(*) FROM syncd.walk_pages AS page WHERE page.walk_id = walk.walk_id) AS pages,
           clock_timestamp() AS now
    FROM syncd.stream_status AS status JOIN syncd.installations ON name = status.installation
    LEFT JOIN syncd.positions USING (installation, stream)
    LEFT JOIN syncd.walks AS walk
        ON (walk.installation, walk.stream, outcome) = (status.installation, status.stream, 'open')
    WHERE (cardinality(CAST(:names AS text[])) = 0 OR status.installation = ANY (:names))
      AND (cardinality(CAST(:streams AS text[])) = 0 OR status.stream = ANY (:streams))
    ORDER BY 1, 2
""")
