"""Which server runs in a home: asked of PostgreSQL itself, with our password."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from syncd.errors import ConfigError
from syncd.store.embedded.layout import LOOPBACK, SUPERUSER, Layout
from syncd.store.embedded.locks import is_locked

DATABASE = "syncd"
_LOG_TAIL_BYTES = 4096
_LOG_TAIL_LINES = 8


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `url` holds no secret: libpq reads the password from its `passfile`.

    `pid` is the postmaster's, `version` like 18.4; `was_started` is False for one that was adopted.
    """

    url: str
    port: int
    pid: int
    version: str
    home: Path
    log_path: Path
    was_started: bool


def answering(layout: Layout) -> Server | None:
    """The server that `postmaster.pid` names, if it is this home's and lets us in.

    :raises ConfigError: it is this home's and refuses our password, or the password is lost.
    """
    noted = noted_process(layout)
    if noted is None:
        return None
    pid, port = noted
    try:
        with connected(layout, port) as connection:
            row = connection.execute("SHOW data_directory").fetchone()
            version = connection.info.parameter_status("server_version") or ""
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error) and is_locked(layout.alive):
            raise ConfigError(
                f"PostgreSQL refuses the password of {layout.password_file}", hint="restore that file"
            ) from error
        return None
    if row is None or os.path.realpath(row[0]) != str(layout.data_dir):
        return None
    return Server(_url(layout, port), port, pid, version.split()[0], layout.home, layout.log, was_started=False)


def noted_process(layout: Layout) -> tuple[int, int] | None:
    """Process id and port: lines 1 and 4 of `postmaster.pid` (PostgreSQL, src/include/utils/pidfile.h)."""
    try:
        lines = layout.postmaster_pid.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 4 or not lines[0].isdigit() or not lines[3].isdigit():
        return None
    return int(lines[0]), int(lines[3])


@contextmanager
def connected(layout: Layout, port: int) -> Iterator[psycopg.Connection]:
    """A connection to the maintenance database; names all that a PG* variable could change."""
    with psycopg.connect(
        host=LOOPBACK,
        hostaddr=LOOPBACK,
        port=port,
        user=SUPERUSER,
        password=layout.read_password(),
        dbname="postgres",
        sslmode="disable",
        options="",
        connect_timeout=5,
        autocommit=True,
    ) as connection:
        yield connection


def _url(layout: Layout, port: int) -> str:
    # The server has no TLS; without this, a PGSSLMODE=require in the environment would refuse it.
    parameters = f"passfile={quote(str(layout.pgpass), safe='')}&sslmode=disable"
    return f"postgresql://{SUPERUSER}@{LOOPBACK}:{port}/{DATABASE}?{parameters}"


def quoted_log(layout: Layout, start: int = 0) -> str:
    """The last lines of the log after `start` bytes of it, and where the rest is."""
    size = layout.log_size()
    if size <= start:
        return f"{layout.log} says nothing of it"
    with layout.log.open("rb") as log:
        log.seek(max(start, size - _LOG_TAIL_BYTES))
        lines = log.read().decode(errors="replace").strip().splitlines()[-_LOG_TAIL_LINES:]
    return f"{layout.log} ends with: " + " | ".join(lines)
