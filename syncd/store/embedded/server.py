"""Start, adopt, stop the embedded server. It outlives the command that started it, and the next command adopts it."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from syncd.errors import DatabaseError
from syncd.store.embedded.launch import START_TIMEOUT_S, launch
from syncd.store.embedded.layout import Layout, disk_errors
from syncd.store.embedded.locks import exclusive, is_locked, ticks, try_lock
from syncd.store.embedded.running import DATABASE, Server, answering, connected, noted_process, quoted_log

STOP_TIMEOUT_S = 60.0


def start(home: Path, *, options: Mapping[str, str] | None = None) -> Server:
    """The running server of `home`: adopted as it is, or started with the server settings `options`.

    One server results however many processes call this at once. It accepts connections when this returns.

    :raises ConfigError: no fitting binaries; a folder that cannot be used; a lost or wrong password.
    :raises DatabaseError: the server failed or did not get ready; quotes its log. Or the disk is full.
    """
    layout = Layout.of(home)
    with disk_errors(layout.home):
        layout.create(0o711 if os.geteuid() == 0 else 0o700)
        with exclusive(layout.lock) as lock:
            server = _adopt(layout)
            if isinstance(server, int):
                server = launch(layout, options or {}, lock=lock, alive=server)
            _ensure_database(layout, server)
            return server


def stop(home: Path) -> bool:
    """Stop the server of `home`, whoever started it: sessions are cut, transactions rolled back. False: none ran.

    :raises DatabaseError: it was still there after a minute; quotes its log.
    """
    layout = Layout.of(home)
    with disk_errors(layout.home):
        if not layout.data_dir.exists():
            return False
        with exclusive(layout.lock):
            return _stop(layout)


def status(home: Path) -> Server | None:
    """The server of `home`, None when it does not run.

    :raises DatabaseError: it runs, but does not accept connections now (it is starting, stopping or recovering).
    """
    layout = Layout.of(home)
    with disk_errors(layout.home):
        server = answering(layout)
        if server is None and is_locked(layout.alive):
            raise DatabaseError(f"PostgreSQL runs and accepts no connections. {quoted_log(layout)}")
        return server


def _adopt(layout: Layout) -> Server | int:
    """The running server, or, when none runs, the lock that the one to be started shall inherit.

    Waits for a server that another process has left starting, and for the last children of one that was killed.
    """
    for _ in ticks(START_TIMEOUT_S):
        if server := answering(layout):
            return server
        if (alive := try_lock(layout.alive)) is not None:
            return alive
    raise DatabaseError(f"a server that runs already accepts no connections. {quoted_log(layout)}")


def _ensure_database(layout: Layout, server: Server) -> None:
    try:
        with connected(layout, server.port) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
    except psycopg.Error as error:
        raise DatabaseError(f"cannot make the database {DATABASE} in {layout.data_dir}: {error}") from error


def _stop(layout: Layout) -> bool:
    noted = noted_process(layout)
    ours = is_locked(layout.alive)
    if noted is None or not (ours or answering(layout)):
        return False
    with suppress(ProcessLookupError):
        os.kill(noted[0], signal.SIGINT)  # "fast shutdown" (PostgreSQL, "Shutting Down the Server")
    if not any(_has_gone(layout, ours=ours) for _ in ticks(STOP_TIMEOUT_S)):
        raise DatabaseError(f"PostgreSQL did not stop within {STOP_TIMEOUT_S:.0f} s. {quoted_log(layout)}")
    with suppress(ChildProcessError):  # it is a child of ours only if we started it
        os.waitpid(noted[0], 0)
    return True


def _has_gone(layout: Layout, *, ours: bool) -> bool:
    """Whether no process is left; of a server started by other means, whether it has removed its note.

    Its process number would not tell: a dead process keeps it until its parent, perhaps a container's careless first
    process, has asked after it.
    """
    return not (is_locked(layout.alive) if ours else layout.postmaster_pid.exists())
