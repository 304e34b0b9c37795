"""Kept rows on their way back: which there are, which entities they may still write, and what stays left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text

from syncd.model import Change, Page
from syncd.store.database import Database, Transaction
from syncd.store.quarantine import places, quarantine
from syncd.store.statements import key_of, read_newer


class KeptRef(NamedTuple):
    """A kept row, and the run that met it."""

    stream: str
    row_ref: str
    run_id: UUID


@dataclass(frozen=True, slots=True)
class KeptRow:
    """A row as it was served; `saved_at` is when it was first served in this form."""

    ref: str
    raw: bytes
    request_id: UUID
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of a row's values: how many are left out no longer, how many for the first time, and the rest by
    its reasons."""

    resolved: int
    newly_kept: int
    left: Counter[str]


async def list_kept(
    database: Database, installation: str, streams: Sequence[str], ids: Sequence[int]
) -> tuple[list[KeptRef], int]:
    """The rows of these streams, those of these values alone where any are given; and how many values have no row."""
    asked = {"installation": installation, "streams": list(streams), "ids": list(ids)}
    async with database.control() as control:
        kept = [KeptRef(*row) for row in await control.execute(_KEPT, asked)]
        return kept, await control.scalar(_WITHOUT_ROW, asked) or 0


_CHOSEN = """
    FROM syncd.quarantined_values
    LEFT JOIN syncd.quarantined_rows AS kept USING (installation, stream, row_ref)
    WHERE installation = :installation AND stream = ANY (:streams)
      AND (cardinality(CAST(:ids AS bigint[])) = 0 OR quarantine_id = ANY (:ids))
"""
_KEPT = text(f"""
    SELECT stream, row_ref, kept.run_id {_CHOSEN} AND row_ref IS NOT NULL
    GROUP BY stream, row_ref, kept.run_id, saved_at
    ORDER BY array_position(CAST(:streams AS text[]), stream), saved_at, row_ref
""")
_WITHOUT_ROW = text(f"SELECT count(*) {_CHOSEN} AND row_ref IS NULL")


async def load_kept(tx: Transaction, row_ref: str) -> KeptRow | None:
    """The row, as long as nobody has dropped it."""
    await tx.cursor.execute(
        """SELECT row_ref, raw_row, request_id, saved_at FROM syncd.quarantined_rows
           WHERE installation = %s AND stream = %s AND row_ref = %s FOR UPDATE""",
        [*tx.stream, row_ref],
    )
    row = await tx.cursor.fetchone()
    return KeptRow(*row) if row else None


async def not_outdated(tx: Transaction, changes: Iterable[Change], kept: KeptRow) -> tuple[Change, ...]:
    """Those of a kept row's changes whose entity nothing else has written or hidden since the row was served.

    The version gate alone does not tell: most entities have no stamp, and it lets hidden ones in.
    """
    changes = tuple(changes)
    newer: set[tuple[str, str]] = set()
    for table in {change.table.name: change.table for change in changes}.values():
        keys = [key_of(table, change.row) for change in changes if change.table is table]
        await tx.cursor.execute(read_newer(table), [keys, kept.saved_at, kept.request_id])
        newer |= {(table.name, key) for (key,) in await tx.cursor.fetchall()}
    return tuple(one for one in changes if (one.table.name, key_of(one.table, one.row)) not in newer)


async def settle(tx: Transaction, kept: KeptRow, page: Page) -> Settled:
    """Forget the values of a row that are left out no longer, and the row itself once there are none.

    `page` is what the row comes to now; nothing at all is left out of a row that is outdated.
    """
    still = dict(found for row in page.left_out for found in places(row))
    await tx.cursor.execute(_VALUES, [*tx.stream, kept.ref])
    values = await tx.cursor.fetchall()
    resolved = [quarantine_id for quarantine_id, *where in values if tuple(where) not in still]
    await tx.cursor.execute("DELETE FROM syncd.quarantined_values WHERE quarantine_id = ANY(%s)", [resolved])
    newly_kept = await quarantine(tx, page)
    await tx.cursor.execute(_FORGET_EMPTY, [*tx.stream, kept.ref])
    return Settled(len(resolved), newly_kept, Counter(still.values()))


_VALUES = """
    SELECT quarantine_id, json_path, raw FROM syncd.quarantined_values
    WHERE installation = %s AND stream = %s AND row_ref = %s
"""
_FORGET_EMPTY = """
    DELETE FROM syncd.quarantined_rows AS kept
    WHERE installation = %s AND stream = %s AND row_ref = %s AND NOT EXISTS (
        SELECT FROM syncd.quarantined_values AS value WHERE (value.installation, value.stream, value.row_ref)
            = (kept.installation, kept.stream, kept.row_ref))
"""
