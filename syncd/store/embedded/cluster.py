"""Make a new data directory: initdb, once in the life of a home."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncd.errors import DatabaseError
from syncd.store.embedded.account import Account, run_as
from syncd.store.embedded.binaries import Installation
from syncd.store.embedded.layout import SUPERUSER, Layout, write_whole

INITDB_TIMEOUT_S = 300.0


def server_environment() -> dict[str, str]:
    """All that PostgreSQL's processes see of ours: no PG* variable misleads them, no secret reaches them."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def initdb_arguments(major: int) -> list[str]:
    """What every data directory begins with. PostgreSQL has the built-in locale provider since 17."""
    builtin = ["--locale-provider=builtin", "--locale=C.UTF-8"]
    return [
        *("--username", SUPERUSER, "--auth=scram-sha-256", "--encoding=UTF8", "--data-checksums"),
        *(builtin if major >= 17 else ["--locale=C"]),
        "--no-instructions",
    ]


def make_data_dir(
    layout: Layout, installation: Installation, account: Account | None, *, lock: int, durable: bool
) -> None:
    """Make `layout.data_dir` whole or not at all. Not `durable` leaves out the fsync.

    initdb inherits `lock`: should we be killed, the next process waits until it has ended.

    :raises DatabaseError: initdb failed; quotes it.
    """
    fresh = layout.home / "postgres.new"
    _make_empty(fresh, account)
    try:
        with _password_for(layout, account) as password_file:
            command: list[str | Path] = [installation.bin_dir / "initdb", *initdb_arguments(installation.major)]
            command += ["--pgdata", fresh, "--pwfile", password_file, *([] if durable else ["--no-sync"])]
            _run(command, account, lock)
        fresh.rename(layout.data_dir)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _make_empty(folder: Path, account: Account | None) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    _give(folder, account)


def _give(path: Path, account: Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)


@contextmanager
def _password_for(layout: Layout, account: Account | None) -> Iterator[Path]:
    path = layout.home / "password.initdb"
    write_whole(path, layout.ensure_password() + "\n", 0o600)
    _give(path, account)
    try:
        yield path
    finally:
        path.unlink()


def _run(command: list[str | Path], account: Account | None, lock: int) -> None:
    try:
        subprocess.run(
            command,
            **run_as(account),
            check=True,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            env=server_environment(),
            cwd="/",
            pass_fds=[lock],
            timeout=INITDB_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()[-5:]
        raise DatabaseError("initdb failed: " + " | ".join(said), hint="correct the cause and repeat") from error
    except subprocess.TimeoutExpired as error:
        raise DatabaseError(f"initdb did not end within {INITDB_TIMEOUT_S:.0f} s") from error
