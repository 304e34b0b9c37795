"""The only opener of database connections: a pool for page transactions, an engine for control queries.

The two never share a transaction. Nothing here relies on session state, so a transaction pooler may stand between.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection, AsyncCursor
from psycopg_pool import AsyncConnectionPool
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection as ControlConnection
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from syncd.errors import DatabaseError, LeaseLost
from syncd.model import Lease, StreamKey
from syncd.store.explain import explain
from syncd.store.oldest import require_supported
from syncd.store.reach import require_readable

CONNECT_TIMEOUT_S = 15
# A server that has vanished without a word is given up after half a minute (libpq's own names and units). A database
# may set another encoding for its sessions; not every character has a form in it.
SESSION: dict[str, Any] = {
    "client_encoding": "UTF8",
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


@dataclass(frozen=True, slots=True)
class Transaction:
    """One fenced transaction for one stream; `now` is its one instant, by the database's clock."""

    cursor: AsyncCursor[tuple[Any, ...]]
    stream: StreamKey
    run_id: UUID | None  # None: it is no run's doing
    now: datetime


@dataclass(frozen=True, slots=True)
class Database:
    """Connections to one database. `lease_s` is how long a driver's claim lasts without a renewal."""

    pool: AsyncConnectionPool[AsyncConnection[tuple[Any, ...]]]
    engine: AsyncEngine
    lease_s: float

    @asynccontextmanager
    async def begin(self, lease: Lease, run_id: UUID | None, stream: str) -> AsyncIterator[Transaction]:
        """A write transaction that commits only while `lease` is the newest claim. Raises LeaseLost, DatabaseError."""
        with translated():
            async with self.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
                now = await self._fence(cursor, lease)
                yield Transaction(cursor, StreamKey(lease.installation, stream), run_id, now)

    @asynccontextmanager
    async def begin_read(self, lease: Lease, stream: str) -> AsyncIterator[Transaction]:
        """A transaction of a driver that the database itself keeps from writing. Raises LeaseLost, DatabaseError."""
        with translated():
            async with self.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
                now = await self._fence(cursor, lease)
                await cursor.execute("SET TRANSACTION READ ONLY")
                yield Transaction(cursor, StreamKey(lease.installation, stream), None, now)

    @asynccontextmanager
    async def between_pages(self, stream: StreamKey) -> AsyncIterator[Transaction]:
        """A write transaction beside whoever drives the installation: it waits for a page that is being written, and
        the next one waits for it. Raises DatabaseError."""
        with translated():
            async with self.pool.connection() as connection, connection.transaction(), connection.cursor() as cursor:
                await self._set_up(cursor)
                await cursor.execute(
                    "SELECT FROM syncd.leases WHERE installation = %s FOR UPDATE", [stream.installation]
                )
                await cursor.execute("SELECT clock_timestamp()")
                (now,) = await cursor.fetchone() or ()
                yield Transaction(cursor, stream, None, now)

    @asynccontextmanager
    async def control(self) -> AsyncIterator[ControlConnection]:
        """A transaction for control queries, committed on leaving. Raises DatabaseError."""
        with translated():
            async with self.engine.begin() as connection:
                yield connection

    async def _fence(self, cursor: AsyncCursor[tuple[Any, ...]], lease: Lease) -> datetime:
        """Lock the claim against a takeover until we commit."""
        await self._set_up(cursor)
        await cursor.execute(
            "SELECT transaction_timestamp() FROM syncd.leases "
            "WHERE installation = %s AND epoch = %s AND owner = %s FOR SHARE",
            [lease.installation, lease.epoch, lease.owner],
        )
        row = await cursor.fetchone()
        if row is None:
            raise lost(lease)
        now: datetime = row[0]
        return now

    async def _set_up(self, cursor: AsyncCursor[tuple[Any, ...]]) -> None:
        """A lock on the claim must not outlive a process that stalls, or nobody could take over.

        Rows are found by key. The plan of a prepared statement, a foreign key's check included, is kept from when its
        table was empty; one that reads the whole table would make a first load quadratic.
        """
        await cursor.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, true), "
            "set_config('enable_seqscan', 'off', true)",
            [f"{self.lease_s * 1000 // 3:.0f}ms"],
        )


@asynccontextmanager
async def open_database(
    url: str, *, pool_size: int, lease_s: float, behind_pooler: bool = False
) -> AsyncIterator[Database]:
    """Connect, and disconnect on leaving.

    Raises DatabaseError when the server cannot be reached, ConfigError when it is too old or the URL unreadable.
    """
    with translated():
        behind_pooler |= await _finds_pooler(url)
    options: dict[str, Any] = SESSION | ({"prepare_threshold": None} if behind_pooler else {})
    for_control = max(1, pool_size // 3)

    async def connect() -> AsyncConnection[tuple[Any, ...]]:
        return await AsyncConnection.connect(url, **options)

    engine = create_async_engine(
        "postgresql+psycopg://",
        async_creator=connect,
        pool_size=for_control,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
    )
    pool = AsyncConnectionPool(
        url,
        open=False,
        min_size=0,
        max_size=max(1, pool_size - for_control),
        kwargs=options,
        check=AsyncConnectionPool.check_connection,
    )
    try:
        async with pool:
            yield Database(pool, engine, lease_s)
    finally:
        await engine.dispose()


async def fence(control: ControlConnection, lease: Lease) -> None:
    """Let the control transaction commit only while `lease` is the newest claim. Raises LeaseLost."""
    claim = await control.execute(
        text("""
            SELECT 1 FROM syncd.leases
            WHERE installation = :installation AND epoch = :epoch AND owner = :owner FOR SHARE
        """),
        named(lease),
    )
    if claim.first() is None:
        raise lost(lease)


def named(lease: Lease) -> dict[str, object]:
    """What tells a claim from all others, as a statement's parameters.

    The epoch alone does not: a database that a failover has set back gives the newest ones out once more.
    """
    return {"installation": lease.installation, "epoch": lease.epoch, "owner": lease.owner}


def lost(lease: Lease) -> LeaseLost:
    """The error of a driver that is one no longer."""
    return LeaseLost(f"another driver has taken over {lease.installation}; nothing more was written")


async def _finds_pooler(url: str) -> bool:
    """Whether another process answers than the one that the login named: a pooler makes that one up.

    Behind one that hands its sessions round, a statement that is prepared under a name may turn out to be another
    connection's of that name, and is run with our parameters. Raises ConfigError for a server that is too old.
    """
    require_readable(url)
    async with await AsyncConnection.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        require_supported(connection.info)
        answering = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
        return answering != (connection.info.backend_pid,)


def gone_back() -> DatabaseError:
    """The error of a driver whose database has lost what it had committed (docs/faults.md 83)."""
    return DatabaseError(
        "the database has gone back to an older state, and pages that were stored are lost with it",
        hint="nothing is amiss if it has just failed over: the next round walks them again",
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turn a driver's error into a DatabaseError without its detail, which may hold rows (docs/faults.md 93)."""
    try:
        yield
    except psycopg.Error as error:
        raise explain(error) from error
    except DBAPIError as error:
        raise explain(error.orig if isinstance(error.orig, psycopg.Error) else psycopg.Error()) from error
    except SQLAlchemyError as error:  # its pool's time-out is no DBAPIError
        raise DatabaseError(
            f"no connection to the database is free ({type(error).__name__})",
            hint="raise database.pool_size, or lower dispatch.concurrency",
        ) from error
