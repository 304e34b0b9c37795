"""Locks that end with their holders, however these end, and the rhythm of waiting for them."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from syncd.errors import DatabaseError

POLL_S = 0.05
LOCK_TIMEOUT_S = 120.0


def ticks(timeout_s: float) -> Iterator[None]:
    """Yield at once, then every POLL_S until `timeout_s` is over: at least once."""
    deadline = time.monotonic() + timeout_s
    yield
    while time.monotonic() < deadline:
        time.sleep(POLL_S)
        yield


def try_lock(path: Path, kind: int = fcntl.LOCK_EX) -> int | None:
    """An open file descriptor that holds the lock on `path`, or None while another holder is in the way.

    The lock belongs to the open file (flock(2)): a child that inherits the descriptor holds it too, until the last
    holder has ended.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno != errno.EWOULDBLOCK:
            raise
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether somebody holds `path`. Asks with a shared lock: two who ask do not take each other for a holder."""
    if not path.exists():
        return False
    descriptor = try_lock(path, fcntl.LOCK_SH)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


@contextmanager
def exclusive(path: Path) -> Iterator[int]:
    """Let one process at a time in. Yields the descriptor that holds the lock.

    :raises DatabaseError: another process stayed inside for two minutes.
    """
    lock = next((held for _ in ticks(LOCK_TIMEOUT_S) if (held := try_lock(path)) is not None), None)
    if lock is None:
        raise DatabaseError(
            f"another process has been starting or stopping PostgreSQL for {LOCK_TIMEOUT_S:.0f} s: {path}",
            hint="see whether that process hangs, and end it",
        )
    try:
        yield lock
    finally:
        os.close(lock)
