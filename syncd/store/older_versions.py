"""Versions that are older than ours, as walks met them: what one walk after the other serves is the source's own.

An older version is a stale copy most often, and must not overwrite (docs/faults.md O3). Where the source's clock or
the source itself went back it is the truth, and would never be stored. So it is remembered when a walk meets it and
nothing else of its row, and accepted when the next walk meets it again after that one was certified.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Table

from syncd.store.database import Transaction


async def remember_older(tx: Transaction, table: Table, walk_id: UUID, met: Sequence[tuple[str, bytes, bytes]]) -> None:
    """Remember older versions, each by its row's key, its content's hash and its key's hash in the ledger.

    A row that an earlier page of the walk has served too counts for nothing: the listing shifted, or holds it twice.
    """
    if met:
        columns = map(list, zip(*met, strict=True))
        await tx.cursor.execute(_REMEMBER, [*tx.stream, table.name, walk_id, *columns, walk_id])


_REMEMBER = """
    INSERT INTO syncd.older_versions (installation, stream, entity, entity_key, content_hash, walk_id)
    SELECT %b, %b, %b, met.key, met.content_hash, %b
    FROM unnest(%b::text[], %b::bytea[], %b::bytea[]) AS met (key, content_hash, key_hash)
    WHERE NOT EXISTS (
        SELECT FROM syncd.walk_pages AS page WHERE page.walk_id = %b AND position(met.key_hash IN page.key_hashes) > 0)
    ON CONFLICT (installation, stream, entity, entity_key)
    DO UPDATE SET content_hash = EXCLUDED.content_hash, walk_id = EXCLUDED.walk_id
"""


async def forget_older(tx: Transaction, table: Table, keys: Collection[str]) -> None:
    """Forget what was older of rows that have been met in the version that is stored now."""
    if keys:
        await tx.cursor.execute(
            """DELETE FROM syncd.older_versions
               WHERE installation = %s AND stream = %s AND entity = %s AND entity_key = ANY(%s)""",
            [*tx.stream, table.name, list(keys)],
        )
