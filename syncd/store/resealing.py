"""Every stored secret, under which key it lies, and how it comes under the newest one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sqlalchemy import select, update

from syncd.model import Vault
from syncd.store.database import Database
from syncd.store.tables import credentials
from syncd.store.tokens import place, write_event

_SECRETS = ("access_token", "refresh_token")


async def reseal(database: Database, vault: Vault, first: str, key_id_of: Callable[[bytes], str]) -> int:
    """Encrypt each stored secret anew that does not lie under key `first`, and return in how many rows there was one.

    Row by row, each locked against a renewal meanwhile: what was begun and broken off goes on at the next call. Raises
    ConfigError for a secret that does not open, which stays as it is; the rows before it are done.
    """
    resealed = 0
    for name in await _names(database):
        async with database.control() as control:
            mine = credentials.c.installation == name
            row = (await control.execute(select(credentials).where(mine).with_for_update())).mappings().first()
            secrets = {} if row is None else {column: row[column] for column in _SECRETS if row[column] is not None}
            old = {column: sealed for column, sealed in secrets.items() if key_id_of(sealed) != first}
            if old:
                fresh = {
                    column: vault.seal(vault.open(sealed, place(name, column)), place(name, column))
                    for column, sealed in old.items()
                }
                await control.execute(update(credentials).where(mine).values(fresh))
                await write_event(control, name, "resealed", None, first)
                resealed += 1
    return resealed


async def count_secrets(database: Database, vault: Vault, key_id_of: Callable[[bytes], str]) -> Counter[str]:
    """How many stored secrets lie under each key. Every one is opened: raises ConfigError for one that does not."""
    async with database.control() as control:
        rows = (await control.execute(select(credentials))).mappings().all()
    found: Counter[str] = Counter()
    for row in rows:
        for column in _SECRETS:
            if (sealed := row[column]) is not None:
                vault.open(sealed, place(row["installation"], column))
                found[key_id_of(sealed)] += 1
    return found


async def _names(database: Database) -> list[str]:
    async with database.control() as control:
        return list((await control.execute(select(credentials.c.installation).order_by("installation"))).scalars())
