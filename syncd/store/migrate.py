"""Bringing a database to the newest schema: numbered migrations, then views, comments and grants, which are rebuilt.

Blocking; one migrator at a time, by a lock that ends with its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text

from syncd.model import View
from syncd.store.bi import create_views, write_comments
from syncd.store.engine import connected
from syncd.store.grants import apply_grants
from syncd.store.version import NEWEST, require_ours

# Any number will do, as long as it stays this one.
_MIGRATION_LOCK = 779_203_001
# A migration that waits for a reader makes every later reader wait behind it (docs/faults.md 90).
_LOCK_TIMEOUT = "10s"


def upgrade(url: str, metadatas: Iterable[MetaData], views: Iterable[View]) -> str:
    """Apply what is missing, re-apply comments, views and grants, and return the schema's version. Safe to repeat.

    Raises ConfigError for a server that is too old, SchemaOutdated for a newer or foreign database, DatabaseError when
    the database refuses.
    """
    metadatas, views = list(metadatas), list(views)
    with connected(url) as connection:
        _enter(connection)
        require_ours(connection, _schemas(metadatas))
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS syncd"))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        _rebuild(connection, metadatas, views)
    return NEWEST


def rebuild_views(url: str, metadatas: Iterable[MetaData], views: Iterable[View]) -> None:
    """Re-apply comments, views and grants to a database of the newest schema. Raises DatabaseError."""
    with connected(url) as connection:
        _enter(connection)
        _rebuild(connection, list(metadatas), list(views))


def _enter(connection: Connection) -> None:
    """Be the only migrator until the transaction ends, and no one that waits for ever for a table."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    connection.execute(text("SELECT set_config('lock_timeout', :timeout, true)"), {"timeout": _LOCK_TIMEOUT})


def _rebuild(connection: Connection, metadatas: list[MetaData], views: list[View]) -> None:
    write_comments(connection, metadatas)
    create_views(connection, views)
    apply_grants(connection, metadatas)


def _schemas(metadatas: Iterable[MetaData]) -> set[str]:
    """All that syncd fills: the tables' schemas, and `bi`, where the views are."""
    return {"bi", *(table.schema for metadata in metadatas for table in metadata.tables.values() if table.schema)}


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    return config


def _migrations() -> Path:
    """Inside the package when it is installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"
