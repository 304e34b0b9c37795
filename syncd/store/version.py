"""Which schema a database has, and which one this program needs. Apart from `migrate`: alembic is slow to import."""

from __future__ import annotations

from sqlalchemy import text

from syncd.errors import SchemaOutdated
from syncd.store.engine import connected

# The number of the last file in migrations/versions; a test holds it there.
NEWEST = "0002"


def current(url: str) -> str | None:
    """The version that the database is at; None when it has never been migrated. Raises DatabaseError."""
    with connected(url) as connection:
        if connection.scalar(text("SELECT to_regclass('syncd.alembic_version')")) is None:
            return None
        version: str | None = connection.scalar(text("SELECT version_num FROM syncd.alembic_version"))
        return version


def require_newest(url: str) -> None:
    """Raise SchemaOutdated unless the database is at exactly the version that this program needs."""
    found = current(url)
    if found != NEWEST:
        raise SchemaOutdated(
            f"the database is at schema version {found or 'none'}, this program needs {NEWEST}",
            hint="run `syncd db upgrade`; if the database is newer, upgrade this program",
        )
