"""Bringing a database to the newest schema: numbered migrations, then views, comments and grants, which are rebuilt.

Blocking; one migrator at a time, by a lock that ends with its transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, MetaData, text

from syncd.errors import ConfigError
from syncd.model import View
from syncd.store.bi import create_views, write_comments
from syncd.store.engine import connected
from syncd.store.grants import apply_grants
from syncd.store.version import NEWEST

OLDEST_SERVER = 150_000
# Any number will do, as long as it stays this one.
_MIGRATION_LOCK = 779_203_001
# A migration that waits for a reader makes every later reader wait behind it (docs/faults.md 90).
_LOCK_TIMEOUT = "10s"


def upgrade(url: str, metadatas: Iterable[MetaData], views: Iterable[View]) -> str:
    """Apply what is missing, re-apply comments, views and grants, and return the schema's version. Safe to repeat.

    Raises ConfigError for a server that is too old, DatabaseError when the database refuses.
    """
    metadatas = list(metadatas)
    with connected(url) as connection:
        _check_server(connection)
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        connection.execute(text("SELECT set_config('lock_timeout', :timeout, true)"), {"timeout": _LOCK_TIMEOUT})
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS syncd"))
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        write_comments(connection, metadatas)
        create_views(connection, views)
        apply_grants(connection, metadatas)
    return NEWEST


def _check_server(connection: Connection) -> None:
    version = connection.execute(text("SELECT current_setting('server_version_num')::int, version()")).one()
    if version[0] < OLDEST_SERVER:
        raise ConfigError(
            f"the database server is {version[1].split(',')[0]}", hint="syncd needs PostgreSQL 15 or newer"
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    return config


def _migrations() -> Path:
    """Inside the package when it is installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"
