"""The embedded server: is it there, does it run, has it room, and who may read its secrets. Blocking, reads only."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from syncd.errors import ConfigError, DatabaseError
from syncd.findings import Finding, State
from syncd.store.embedded import Server, status
from syncd.store.embedded.binaries import choose, data_major, installed
from syncd.store.embedded.layout import Layout, disk_errors

TOPIC = "embedded server"
MIB = 2**20
# A server without room for its log of writes stops at once: max_wal_size is 1 GB unless set.
ROOM_BYTES = 2048 * MIB
LEAST_ROOM_BYTES = 256 * MIB


def check_embedded(home: Path, secrets: Iterable[Path]) -> tuple[list[Finding], Server | None]:
    """What is to be said of the server of `home`, and the server if it runs. It is not started."""
    layout = Layout.of(home)
    try:
        with disk_errors(home):
            if not layout.data_dir.exists():
                return [_wrong(f"there is no database in {home} yet", "`syncd db upgrade` makes it")], None
            room = check_room(shutil.disk_usage(layout.data_dir).free, layout.data_dir)
            mine = (layout.password_file, layout.pgpass, *layout.home.glob("password-*"), *secrets)
            files = list(check_files(path for path in mine if path.exists()))
            server = status(home)
            if server is None:
                choose(installed(), data_major(layout.data_dir))  # what could not be started is told as such
    except (ConfigError, DatabaseError) as error:
        return [_wrong(str(error), error.hint)], None
    return [_running(server, home), room, *files], server


def check_room(free_bytes: int, folder: Path) -> Finding:
    """Whether the disk has room to go on."""
    sentence = f"{free_bytes // MIB:,} MiB are free for {folder}"
    if free_bytes >= ROOM_BYTES:
        return Finding(TOPIC, "ok", sentence)
    state: State = "warning" if free_bytes >= LEAST_ROOM_BYTES else "wrong"
    return Finding(TOPIC, state, f"only {sentence}", "free space there, or move database.data_dir to another disk")


def check_files(paths: Iterable[Path]) -> Iterator[Finding]:
    """Whether files that hold secrets are their owner's alone."""
    paths = list(paths)
    opened = [path for path in paths if path.stat().st_mode & 0o077]
    for path in opened:
        yield _wrong(f"{path} holds a secret and can be read by others", f"chmod 600 {path}")
    if paths and not opened:
        yield Finding(TOPIC, "ok", f"its {len(paths)} files with secrets are readable by their owner alone")


def _running(server: Server | None, home: Path) -> Finding:
    if server is None:
        return _wrong(f"the embedded server of {home} does not run", "`syncd db start`; `syncd serve` starts it too")
    return Finding(
        TOPIC, "ok", f"PostgreSQL {server.version} runs in {home} (process {server.pid}, port {server.port})"
    )


def _wrong(sentence: str, fix: str | None) -> Finding:
    return Finding(TOPIC, "wrong", sentence, fix)
