"""The keys that are made on first use, beside an embedded database, and how one is added."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from syncd.credentials.vault import new_key
from syncd.logs import get_logger

log = get_logger(__name__)


def own_keys(path: Path) -> str:
    """The keys in `path`, made at the first call and readable by this account alone. Raises OSError.

    The file appears whole; of two processes at once the first wins. Once this returns, a power failure does not take
    it back: what is sealed under its keys will be opened again.
    """
    if not path.exists():
        # 0600; without a buffer, which on a full disk would be written once more when the file is closed
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, buffering=0) as fresh:
            fresh.write(new_key().encode("ascii"))
            os.fsync(fresh.fileno())
            with suppress(FileExistsError):
                path.hardlink_to(fresh.name)
                log.info("encryption_keys_made", path=str(path))
    _flush_folder(path.parent)  # at each call: who made the file may have been killed before
    return _read(path)


def stored_keys(path: Path) -> str | None:
    """The keys in `path`; None where there are none yet, and none are made. Raises OSError."""
    with suppress(FileNotFoundError):
        return _read(path)
    return None


def add_own_key(path: Path) -> str:
    """Put a new key in front of those in `path`, which stay, and return them all. Raises OSError.

    The file is replaced whole, and on disk when this returns. Nothing else may add one meanwhile: of two the last to
    replace the file would take the other's key away.
    """
    keys = f"{new_key()},{own_keys(path)}"
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as fresh:
        fresh.write(keys.encode("ascii"))
        fresh.flush()
        os.fsync(fresh.fileno())
    Path(fresh.name).replace(path)
    log.info("encryption_key_added", path=str(path))
    return own_keys(path)


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii", errors="replace").strip()


def _flush_folder(folder: Path) -> None:
    """Bring a folder's entries to disk: a file's own fsync does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EBADF, errno.EINVAL):  # file systems that cannot do it; PostgreSQL goes on as well
            raise
    finally:
        os.close(descriptor)
