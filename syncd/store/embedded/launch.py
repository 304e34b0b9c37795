"""Launch a server in a home where none runs."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import replace

from syncd.errors import DatabaseError
from syncd.store.embedded.account import Account, require_entry, run_as, server_account
from syncd.store.embedded.binaries import Installation, choose, copied, data_major, installed
from syncd.store.embedded.cluster import make_data_dir, server_environment
from syncd.store.embedded.layout import LOOPBACK, Layout, full_disk, write_whole
from syncd.store.embedded.locks import ticks
from syncd.store.embedded.running import Server, answering, quoted_log

START_TIMEOUT_S = 60.0
PORT_ATTEMPTS = 5
# With less a server can neither note its process nor begin a new piece of its log.
NEEDED_BYTES = 1_000_000


def launch(layout: Layout, options: Mapping[str, str], *, lock: int, alive: int) -> Server:
    """Start a server that inherits the lock `alive`, which is closed here; make its data directory if there is none.

    :raises ConfigError: no fitting binaries, or the server's account cannot enter the home.
    :raises DatabaseError: initdb or the server failed; quotes what they said.
    """
    try:
        account = server_account(layout.data_dir)
        major = data_major(layout.data_dir)
        installation = choose(installed(), major)
        if account is not None:
            require_entry(account, layout.home)
            installation = copied(installation, layout.binaries)
        layout.ensure_password()
        if major is None:
            durable = options.get("fsync") != "off"
            make_data_dir(layout, installation, account, lock=lock, durable=durable)
        # Nobody of an earlier server lives, for we hold `alive`. PostgreSQL itself would take a process that has
        # got the old number since for a running server.
        layout.postmaster_pid.unlink(missing_ok=True)
        return _launch_on_free_port(layout, installation, account, options, alive)
    finally:
        os.close(alive)


def _launch_on_free_port(
    layout: Layout, installation: Installation, account: Account | None, options: Mapping[str, str], alive: int
) -> Server:
    for _ in range(PORT_ATTEMPTS):
        port = _free_port(layout)
        log_start = layout.log_size()
        process = _spawn(layout, installation, account, {**options, **_fixed_settings(port)}, alive)
        try:
            if server := _ready(layout, process):
                write_whole(layout.port, f"{port}\n", 0o644)
                return server
        finally:
            _let_go(process)
        if _is_free(port):
            break
    raise _not_started(layout, quoted_log(layout, log_start))


def _not_started(layout: Layout, said: str) -> DatabaseError:
    is_full = os.strerror(errno.ENOSPC) in said or shutil.disk_usage(layout.home).free < NEEDED_BYTES
    if is_full:
        return DatabaseError(f"PostgreSQL did not start, its disk is full. {said}", hint=full_disk(layout.home))
    return DatabaseError(f"PostgreSQL did not start. {said}", hint="correct what it says, and repeat")


def _fixed_settings(port: int) -> dict[str, str]:
    return {"listen_addresses": LOOPBACK, "port": str(port), "unix_socket_directories": "", "logging_collector": "off"}


def _spawn(
    layout: Layout, installation: Installation, account: Account | None, settings: Mapping[str, str], alive: int
) -> subprocess.Popen[bytes]:
    """Run the postmaster in a session of its own, so that Ctrl-C on us does not stop it."""
    arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    with os.fdopen(os.open(layout.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
        os.fchmod(log.fileno(), 0o600)
        return subprocess.Popen(
            [installation.bin_dir / "postgres", "-D", layout.data_dir, *arguments],
            **run_as(account),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=server_environment(),
            cwd="/",
            start_new_session=True,
            pass_fds=[alive],
        )


def _ready(layout: Layout, process: subprocess.Popen[bytes]) -> Server | None:
    """The server as soon as it lets us in; None when it has ended.

    :raises DatabaseError: it needs longer than a minute. It is left to itself: a recovery begun is worth ending.
    """
    for _ in ticks(START_TIMEOUT_S):
        if server := answering(layout):
            return replace(server, was_started=True)
        if process.poll() is not None:
            return None
    raise DatabaseError(
        f"PostgreSQL is not ready after {START_TIMEOUT_S:.0f} s and goes on starting. {quoted_log(layout)}",
        hint="repeat the command later: it will adopt the server",
    )


def _let_go(process: subprocess.Popen[bytes]) -> None:
    """Keep Popen from warning of a child that is meant to outlive it; `stop` reaps it."""
    if process.poll() is None:
        process.returncode = 0


def _free_port(layout: Layout) -> int:
    """The port of the last start if it is free, else one that the kernel picks."""
    remembered = layout.port.read_text().strip() if layout.port.exists() else ""
    if remembered.isdigit() and _is_free(int(remembered)):
        return int(remembered)
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True
