"""What the API served and no column can hold: kept with its place and reason, once per place (docs/warehouse.md §1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from uuid import UUID

from syncd.store.database import Transaction
from syncd.wire.readers import BadValue

_KEEP = """
    INSERT INTO syncd.quarantined_values
        (installation, stream, json_path, reason, raw, request_id, run_id, first_seen_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (installation, stream, md5(json_path || raw)) DO NOTHING
"""
# A place in a page says nothing of a row: in the next walk another row stands there.
_INDEX = re.compile(r"\[[0-9]+\]")


async def quarantine(tx: Transaction, request_id: UUID, bad_values: Iterable[BadValue]) -> int:
    """Keep each value and return how many are new; one that is kept already is left alone."""
    rows = [
        [*tx.stream, _INDEX.sub("[]", _text(bad.path)), bad.reason, _text(bad.raw), request_id, tx.run_id, tx.now]
        for bad in bad_values
    ]
    if not rows:
        return 0
    await tx.cursor.executemany(_KEEP, rows)
    return tx.cursor.rowcount


def _text(value: str) -> str:
    """PostgreSQL's text holds every character but NUL, which is written as its escape."""
    return value.replace("\0", "\\u0000")
