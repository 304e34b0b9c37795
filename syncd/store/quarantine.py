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


async def foresee_quarantine(tx: Transaction, bad_values: Iterable[BadValue], foreseen: set[str]) -> int:
    """How many `quarantine` would say are new; reads only. `foreseen` is what earlier pages would have added."""
    places = {_INDEX.sub("[]", _text(bad.path)) + _text(bad.raw) for bad in bad_values} - foreseen
    foreseen |= places
    await tx.cursor.execute(_COUNT_NEW, [sorted(places), *tx.stream])
    (number,) = await tx.cursor.fetchone() or (0,)
    return int(number)


_COUNT_NEW = """
    SELECT count(*) FROM unnest(%s::text[]) AS place WHERE md5(place) NOT IN
        (SELECT md5(json_path || raw) FROM syncd.quarantined_values WHERE installation = %s AND stream = %s)
"""


def _text(value: str) -> str:
    """PostgreSQL's text holds every character but NUL, which is written as its escape."""
    return value.replace("\0", "\\u0000")
