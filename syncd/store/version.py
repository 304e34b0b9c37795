"""Which schema a database has, and which one this program needs. Apart from `migrate`: alembic is slow to import."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, text

from syncd.errors import SchemaOutdated
from syncd.store.engine import connected

# The number of the last file in migrations/versions; a test holds it there.
NEWEST = "0013"


def current(url: str) -> str | None:
    """The version that the database is at; None when it has never been migrated. Raises DatabaseError."""
    with connected(url) as connection:
        return version_of(connection)


def require_newest(url: str) -> None:
    """Raise SchemaOutdated unless the database is at exactly the version that this program needs."""
    found = current(url)
    if found != NEWEST:
        raise outdated(found)


def outdated(found: str | None) -> SchemaOutdated:
    """The error for a database that is at another version than the newest."""
    if found is None:
        return SchemaOutdated(
            f"the database holds no schema of syncd's yet, this program needs version {NEWEST}",
            hint="run `syncd db upgrade`",
        )
    if found < NEWEST:
        return SchemaOutdated(
            f"the database is at schema version {found}, this program needs {NEWEST}", hint="run `syncd db upgrade`"
        )
    return SchemaOutdated(
        f"the database is at schema version {found}, which this program does not know: its newest is {NEWEST}",
        hint="use the syncd that upgraded the database, or a newer one; nothing was changed",
    )


def require_ours(connection: Connection, schemas: Iterable[str]) -> None:
    """Raise SchemaOutdated for a database that this program must not upgrade: a newer one, or somebody else's."""
    found = version_of(connection)
    if found is not None:
        if found > NEWEST:
            raise outdated(found)
        return
    foreign = connection.scalar(_ANY_TABLE, {"schemas": list(schemas)})
    if foreign is not None:
        raise SchemaOutdated(
            f"the database has a table {foreign} that is not of syncd's making; nothing was changed",
            hint="give syncd a database of its own: CREATE DATABASE syncd, and name it in database.url",
        )


def version_of(connection: Connection) -> str | None:
    """The same as `current`, over an open connection."""
    if connection.scalar(text("SELECT to_regclass('syncd.alembic_version')")) is None:
        return None
    version: str | None = connection.scalar(text("SELECT version_num FROM syncd.alembic_version"))
    return version


# alembic's own table outlives a downgrade to nothing
_ANY_TABLE = text("""
    SELECT concat(nspname, '.', relname)
    FROM pg_class JOIN pg_namespace AS schema ON schema.oid = relnamespace
    WHERE nspname = ANY(:schemas) AND relkind IN ('r', 'p', 'v', 'm', 'f')
      AND (nspname, relname) <> ('syncd', 'alembic_version')
    ORDER BY 1 LIMIT 1
""")
