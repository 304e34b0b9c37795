"""Blocking connections, for migrations and grants: one at a time, past any pooler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import NullPool

from syncd.store.database import CONNECT_TIMEOUT_S, translated


@contextmanager
def connected(url: str) -> Iterator[Connection]:
    """A connection in a transaction that commits on leaving. Raises DatabaseError."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S),
        poolclass=NullPool,
        hide_parameters=True,
    )
    with translated(), engine.begin() as connection:
        yield connection
