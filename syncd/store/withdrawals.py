"""Entities that the API calls gone: what is known of them stays and is marked, and what is personal goes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Table

from syncd.model import Row
from syncd.store.database import Transaction
from syncd.store.quarantine import forget_rows
from syncd.store.statements import delete_entities, key_of, withdraw_entities


def leaves_no_row(table: Table) -> bool:
    """Whether an entity of the table that is gone is deleted."""
    return bool(table.info.get("personal"))


async def write_gone(
    tx: Transaction, table: Table, rows: Sequence[Row], hashes: Sequence[bytes], request_id: UUID
) -> None:
    """Write down that these entities are gone. `rows` are their keys, `request_id` the call that said so."""
    if leaves_no_row(table):
        keys = [key_of(table, row) for row in rows]
        for statement in delete_entities(table):
            await tx.cursor.execute(statement, [keys])
        await forget_rows(tx, keys)
        return
    ids = [[row[name] for row in rows] for name in table.info["key"]]
    await tx.cursor.execute(withdraw_entities(table), [tx.now, tx.run_id, request_id, tx.now, *ids, list(hashes)])
