"""Blocking connections, for migrations and grants: one at a time, past any pooler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from syncd.store.database import CONNECT_TIMEOUT_S, translated
from syncd.store.oldest import require_supported
from syncd.store.reach import require_readable


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection in a transaction that commits on leaving. Raises DatabaseError, ConfigError for a wrong server."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: _connect(url),
        poolclass=NullPool,
        hide_parameters=True,
    )
    with translated(), engine.begin() as connection:
        yield connection


def _connect(url: str) -> psycopg.Connection:
    require_readable(url)
    connection = psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S, client_encoding="UTF8")
    try:
        require_supported(connection.info)
    except BaseException:
        connection.close()
        raise
    return connection


def recreate_database(url: str) -> None:
    """Put an empty database in the place of the one that `url` names, whoever uses it. Raises DatabaseError."""
    parts = conninfo_to_dict(url)
    name = sql.Identifier(str(parts["dbname"]))
    admin = make_conninfo(url, dbname="postgres", connect_timeout=CONNECT_TIMEOUT_S)
    with translated(), psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
