"""A real PgBouncer in transaction mode before a test's database, as far as this machine has one."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from syncd.store.embedded.account import run_as, server_account
from tests.postgres import homes_folder

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
# Fewer than the connections of one application, so that its sessions are mixed up all the time.
SERVER_SESSIONS = 2
_PORT = 6432  # names the socket in a folder of our own; no port of the machine is taken
_START_S = 10.0


@dataclass
class PgBouncer:
    """`url` leads through it to the database."""

    url: str
    folder: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        """Run it, and return when it listens."""
        assert PROGRAM
        account = server_account(self.folder)
        arguments = [PROGRAM, "--quiet", str(self.folder / "pgbouncer.ini")]
        self._process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, cwd="/", **run_as(account))
        deadline = time.monotonic() + _START_S
        while True:
            try:
                self.tell("SHOW VERSION")
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.01)

    def kill(self) -> None:
        """End it as a crash does: every connection on either side of it breaks."""
        if self._process:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def tell(self, command: LiteralString) -> list[dict[str, Any]]:
        """What its console answers."""
        console = make_conninfo(host=str(self.folder), port=_PORT, user="pgbouncer", dbname="pgbouncer")
        with psycopg.connect(console, autocommit=True) as connection:
            # it speaks the simple protocol alone
            answer = psycopg.ClientCursor(connection, row_factory=dict_row).execute(command)
            return answer.fetchall() if answer.description else []

    def total(self, figure: str) -> int:
        """A figure of SHOW TOTALS since it was started."""
        return next(int(row["value"]) for row in self.tell("SHOW TOTALS") if row["name"] == figure)


@asynccontextmanager
async def pgbouncer(url: str) -> AsyncIterator[PgBouncer]:
    """PgBouncer before the database of `url`, run by an ordinary account: it refuses to run as root."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        server = connection.info
        target = f"host={server.host} port={server.port} dbname={server.dbname} user={server.user}"
        secret = f" password={server.password}" if server.password else ""
        name, user = server.dbname, server.user
    with homes_folder() as parent:
        folder = parent / "pgbouncer"
        folder.mkdir(mode=0o700)
        (folder / "pgbouncer.ini").write_text(_settings(folder, f"{name} = {target}{secret}"))
        if account := server_account(folder):
            for path in (folder, folder / "pgbouncer.ini"):
                os.chown(path, account.uid, account.gid)
        its = PgBouncer(f"postgresql://{user}@/{name}?host={folder}&port={_PORT}", folder)
        try:
            await asyncio.to_thread(its.start)
            yield its
        finally:
            its.kill()


def _settings(folder: Path, database: str) -> str:
    """As it is shipped (no reset query between transactions), but for the mode and the few sessions."""
    return f"""
[databases]
{database}

[pgbouncer]
pool_mode = transaction
default_pool_size = {SERVER_SESSIONS}
unix_socket_dir = {folder}
listen_port = {_PORT}
auth_type = any
admin_users = pgbouncer
logfile = {folder}/log
server_login_retry = 0.1
"""
