"""What the API served and no column can hold: kept with its place and reason, once per place (docs/warehouse.md §1).

Beside the values stands the row that they were left out of, as it was served last, so that a later version can read
it again (`syncd.store.replay`).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from syncd.model import Page
from syncd.store.database import Transaction
from syncd.store.statements import key_of
from syncd.wire.left_out import LeftOut
from syncd.wire.readers import BadValue

_KEEP_ROW = """
    INSERT INTO syncd.quarantined_rows AS kept
        (installation, stream, row_ref, row_key, raw_row, request_id, run_id, saved_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (installation, stream, row_ref) DO UPDATE
    SET raw_row = EXCLUDED.raw_row, request_id = EXCLUDED.request_id, run_id = EXCLUDED.run_id,
        saved_at = EXCLUDED.saved_at
    WHERE kept.raw_row <> EXCLUDED.raw_row OR %s
"""
_KEEP = """
    INSERT INTO syncd.quarantined_values
        (installation, stream, json_path, reason, raw, request_id, run_id, first_seen_at, row_ref)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (installation, stream, md5(json_path || raw)) DO NOTHING
"""
# What an older version kept has no row yet.
_ADOPT = """
    UPDATE syncd.quarantined_values SET row_ref = %s
    WHERE installation = %s AND stream = %s AND md5(json_path || raw) = md5(%s || %s) AND row_ref IS NULL
"""
# A place in a page says nothing of a row: in the next walk another row stands there.
_INDEX = re.compile(r"\[[0-9]+\]")


async def quarantine(tx: Transaction, page: Page, *, is_news: bool = False) -> int:
    """Keep what was left out, with its rows, and return how many values are new; what is kept already is left alone.

    `is_news`: something of the page was written, so a row that is kept in the very same form may have been another
    meanwhile, and is known to be served like this from now on.
    """
    if not page.left_out:
        return 0
    rows, values, adopted = [], [], []
    repeated = _repeated(page)
    for row in page.left_out:
        # of rows that repeat a key within a page one is stored: the others must not be read again
        ref = None if row.key in repeated else row_ref(row)
        request_id = row.request_id or page.request_id
        if ref is not None:
            rows.append([*tx.stream, ref, row.key, row.raw, request_id, tx.run_id, tx.now, is_news])
        for (path, raw), reason in places(row):
            values.append([*tx.stream, path, reason, raw, request_id, tx.run_id, tx.now, ref])
            adopted.append([ref, *tx.stream, path, raw])
    await tx.cursor.executemany(_KEEP_ROW, rows)
    await tx.cursor.executemany(_KEEP, values)
    newly_kept = tx.cursor.rowcount
    await tx.cursor.executemany(_ADOPT, adopted)
    return newly_kept


def _repeated(page: Page) -> set[str]:
    served = Counter((change.table.name, key_of(change.table, change.row)) for change in page.changes)
    return {key for (_, key), times in served.items() if times > 1}


async def forget_rows(tx: Transaction, keys: Iterable[str]) -> None:
    """Delete what is kept of rows that are gone at the source: their personal data go too."""
    await tx.cursor.execute(
        "DELETE FROM syncd.quarantined_rows WHERE installation = %s AND stream = %s AND row_ref = ANY(%s)",
        [*tx.stream, [_digest(b"key", key.encode()) for key in keys]],
    )


def places(row: LeftOut) -> Iterator[tuple[tuple[str, str], str]]:
    """Path and value of all that was left out of a row, as they are kept, with the reason."""
    for bad in (*row.rejected, *row.bad_values):
        yield place(bad), bad.reason


def place(bad: BadValue) -> tuple[str, str]:
    """Path and value as they are kept."""
    return _INDEX.sub("[]", _text(bad.path)), _text(bad.raw)


def row_ref(row: LeftOut) -> str:
    """What a row is kept under. Not its key: that may be longer than an index bears (docs/faults.md 36)."""
    return _digest(b"row", row.raw) if row.key is None else _digest(b"key", row.key.encode())


def _digest(kind: bytes, content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16, person=kind).hexdigest()


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
