"""PostgreSQL for the tests: one server for a session, one database for a test, cloned from a template."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from syncd.store import embedded
from syncd.store.embedded.locks import try_lock

FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
FOLDER_PREFIX = "syncd-tests-"
# A database is some three hundred files: in memory it is made and dropped in less than half of the time.
IN_MEMORY, ROOM_FOR_A_SERVER = Path("/dev/shm"), 1 << 30


def _parents() -> list[Path]:
    """Where servers may live, the quickest first: in memory where there is room, and among the temporary files.

    Whoever sets TMPDIR has chosen.
    """
    roomy = os.access(IN_MEMORY, os.W_OK) and shutil.disk_usage(IN_MEMORY).free > ROOM_FOR_A_SERVER
    temporary = Path(tempfile.gettempdir())
    return [IN_MEMORY, temporary] if roomy and "TMPDIR" not in os.environ else [temporary]


@dataclass
class Session:
    """An autocommitting session of a test's own, opened with its first statement and anew when it is broken.

    A login costs more than most statements.
    """

    url: str
    _connection: psycopg.Connection | None = None
    _is_over: bool = False

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run one statement; its rows, if it has any."""
        if self._connection is not None and not self._connection.closed:
            try:
                return _rows(self._connection, statement, values)
            except psycopg.OperationalError:
                if not self._connection.closed:
                    raise
        # none yet, or it was ended since the last statement
        self._connection = psycopg.connect(self.url, autocommit=True, prepare_threshold=None)
        rows = _rows(self._connection, statement, values)
        if self._is_over:
            self._connection.close()
        return rows

    def close(self) -> None:
        """End it; what is asked afterwards has a session of its own."""
        self._is_over = True
        if self._connection is not None:
            self._connection.close()


def _rows(connection: psycopg.Connection, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    cursor = connection.execute(statement.encode(), values or None)
    return cursor.fetchall() if cursor.description else []


@contextmanager
def session_server() -> Iterator[str]:
    """The URL of a server's administrator: SYNCD_TEST_DATABASE_URL, else a server that ends with the block.

    Each xdist worker has its own.
    """
    if url := os.environ.get("SYNCD_TEST_DATABASE_URL"):
        yield url
    else:
        with homes_folder() as folder:
            yield embedded.start(folder / "home", options=FAST).url


@contextmanager
def homes_folder(*, on_disk: bool = False) -> Iterator[Path]:
    """A folder for home directories, whose servers are stopped after the block; `on_disk`: as operators have them.

    The server's account can enter it (pytest's own folders are 0700 as root). What a session that was killed has
    left behind is removed by the next one.
    """
    _remove_leftovers()
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=_parents()[-1 if on_disk else 0]))
    folder.chmod(0o711)
    mark = _mark_as_used(folder)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(mark)


def _mark_as_used(folder: Path) -> int:
    """Lock `folder`/session as long as this process lives. It appears locked, by a rename."""
    mark = try_lock(folder / "session.new")
    assert mark is not None
    (folder / "session.new").rename(folder / "session")
    return mark


def _remove_leftovers() -> None:
    for mark_path in (path for parent in _parents() for path in parent.glob(f"{FOLDER_PREFIX}*/session")):
        with suppress(FileNotFoundError):  # another session may be removing it
            if mark_path.stat().st_uid == os.geteuid() and (mark := try_lock(mark_path)) is not None:
                _remove(mark_path.parent)
                os.close(mark)


def _remove(folder: Path) -> None:
    for lock in folder.glob("**/postgres.alive"):
        embedded.stop(lock.parent)
    shutil.rmtree(folder)


@contextmanager
def temporary_database(admin: psycopg.Connection, url: str, template: str = "template0") -> Iterator[str]:
    """The URL of a new database, a copy of `template`, which is dropped after the block whoever is connected."""
    name = f"syncd_test_{secrets.token_hex(6)}"
    # Without fsync a copy of the files takes 15 ms, the default strategy (through the log) 70 ms.
    database, source = sql.Identifier(name), sql.Identifier(template)
    admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(database, source))
    try:
        yield urlsplit(url)._replace(path=f"/{name}").geturl()
    finally:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


@contextmanager
def template_database(admin: psycopg.Connection, url: str) -> Iterator[str]:
    """The name of a database that holds what `prepare_template` makes."""
    with temporary_database(admin, url) as template_url:
        prepare_template(template_url)
        yield urlsplit(template_url).path.lstrip("/")


def prepare_template(url: str) -> None:
    """Migrate an empty database to the newest schema, with the views of all sources."""
    # Here, because most tests need no database and none of these slow imports.
    from syncd.main import upgrade_database

    upgrade_database(url)
