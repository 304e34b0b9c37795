"""Credentials that came with a copy of a database: which they are, and what a person's word for it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from psycopg.errors import InsufficientPrivilege
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from syncd.logs import get_logger
from syncd.store.database import Database
from syncd.store.tokens import write_event

log = get_logger(__name__)

SPENT = "the database was restored, and its refresh token has been spent since the backup"


@dataclass(frozen=True, slots=True)
class Restored:
    """What becomes of an installation's credentials.

    `spent`: the stored refresh token was used after the backup, only a new consent helps. `moved`: the pair was stored
    in another database and is this one's now. `same`: nothing is known against it.
    """

    installation: str
    fate: Literal["spent", "moved", "same"]


async def where_we_are(database: Database) -> str | None:
    """The server's and the database's own numbers, which no dump carries along; None where the server keeps them back.

    A physical copy has the same ones: of that the generation tells. Raises DatabaseError for any other failure: taken
    for not known, it would let a copy spend the original's token.
    """
    async with database.control() as control:
        try:
            return str((await control.execute(_WHERE)).scalar_one())
        except DBAPIError as error:
            if not isinstance(error.orig, InsufficientPrivilege):
                raise
    log.info("server_not_identified", reason="the user of database.url may not call pg_control_system()")
    return None


async def accept_restored(database: Database, newest: Callable[[UUID], int]) -> list[Restored]:
    """Take this database for the one that counts from now on; `newest` is the generation remembered of a grant.

    Each grant whose stored refresh token is spent waits for a new consent from now on. Raises DatabaseError.
    """
    here = await where_we_are(database)
    found = []
    async with database.control() as control:
        for name, grant_id, generation, stored_in in await control.execute(_PAIRS):
            if generation < newest(grant_id):
                await control.execute(_PARK, {"name": name, "reason": SPENT})
                await write_event(control, name, "refused", None, "restored")
                found.append(Restored(name, "spent"))
            else:
                found.append(Restored(name, "moved" if stored_in and here and stored_in != here else "same"))
            await control.execute(_ADOPT, {"name": name, "here": here})
    return found


_WHERE = text("""
    SELECT system_identifier || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
    FROM pg_control_system()
""")
_PAIRS = text("""
    SELECT name, grant_id, generation, stored_in FROM syncd.credentials JOIN syncd.installations ON name = installation
    ORDER BY name FOR UPDATE
""")
_PARK = text("""
    UPDATE syncd.installations SET state = 'needs_consent', state_reason = :reason, updated_at = clock_timestamp()
    WHERE name = :name
""")
# What is known stays where the server keeps its numbers back.
_ADOPT = text("""
    UPDATE syncd.credentials SET stored_in = coalesce(CAST(:here AS text), stored_in) WHERE installation = :name
""")
