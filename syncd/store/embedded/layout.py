"""The files of one embedded server's home directory: where they are and who may read them."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from syncd.errors import ConfigError, DatabaseError

SUPERUSER = "syncd"
LOOPBACK = "127.0.0.1"
ROOT_HOME = Path("/var/lib/syncd")
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO}


def default_home() -> Path:
    """Where the server lives unless `database.data_dir` says otherwise: the XDG data folder, as root /var/lib/syncd.

    A relative XDG_DATA_HOME is ignored, as the XDG base directory specification demands.

    :raises ConfigError: this account has no home directory.
    """
    if os.geteuid() == 0:
        return ROOT_HOME
    data_home = Path(os.environ.get("XDG_DATA_HOME", ""))
    if data_home.is_absolute():
        return data_home / "syncd"
    try:
        return Path.home() / ".local" / "share" / "syncd"
    except RuntimeError as error:
        raise ConfigError(
            f"no home directory for user {os.geteuid()}", hint="set database.data_dir or database.url"
        ) from error


@contextmanager
def disk_errors(home: Path) -> Iterator[None]:
    """Translate what the file system refuses into an error that names the path.

    :raises DatabaseError: the disk or quota is full, or the device fails.
    :raises ConfigError: a file or folder cannot be read, written or entered.
    """
    try:
        yield
    except OSError as error:
        message = f"cannot use {os.fsdecode(error.filename2 or error.filename or home)}: {error.strerror or error}"
        if error.errno in _FULL:
            raise DatabaseError(message, hint=full_disk(home)) from error
        raise ConfigError(
            message, hint=f"run as the user who owns {home}, or set database.data_dir to a folder you can write"
        ) from error


def full_disk(home: Path) -> str:
    """What to do about a disk that has no room left."""
    return f"free space on the disk of {home}, then repeat: what was stored is intact"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of a home directory. Made by `Layout.of`, so that `home` is absolute and free of symbolic links."""

    home: Path

    @classmethod
    def of(cls, home: Path) -> Layout:
        """The layout of `home`, which need not exist."""
        return cls(Path(os.path.realpath(home)))

    @property
    def data_dir(self) -> Path:
        """PGDATA: 0700, owned by the account that runs the server. It appears whole, by a rename."""
        return self.home / "postgres"

    @property
    def postmaster_pid(self) -> Path:
        """PostgreSQL's own note of the running server; stale after a kill."""
        return self.data_dir / "postmaster.pid"

    @property
    def binaries(self) -> Path:
        """A copy of the wheel's binaries, one folder a version; made as root only."""
        return self.home / "binaries"

    @property
    def log(self) -> Path:
        """What the server says, appended over all its starts."""
        return self.home / "postgres.log"

    @property
    def port(self) -> Path:
        """The port of the last start, tried first at the next one. No secret, readable by all."""
        return self.home / "port"

    @property
    def password_file(self) -> Path:
        """The superuser's password, alone on one line."""
        return self.home / "password"

    @property
    def pgpass(self) -> Path:
        """The same password in libpq's format, for the URL."""
        return self.home / "pgpass"

    @property
    def lock(self) -> Path:
        """Held by the process that starts or stops the server."""
        return self.home / "lock"

    @property
    def alive(self) -> Path:
        """Locked as long as any process of the server lives: each of them inherits the descriptor."""
        return self.home / "postgres.alive"

    def log_size(self) -> int:
        """Bytes; 0 when there is no log yet."""
        return self.log.stat().st_size if self.log.exists() else 0

    def create(self, mode: int) -> None:
        """Make the home and its missing parents with `mode`, whatever the umask. What exists keeps its mode."""
        for folder in reversed([self.home, *self.home.parents]):
            if not folder.exists():
                with suppress(FileExistsError):
                    folder.mkdir()
                    folder.chmod(mode)

    def read_password(self) -> str:
        """The superuser's password.

        :raises ConfigError: the file is lost; PostgreSQL keeps only a verifier, so that it cannot be found out.
        """
        try:
            return self.password_file.read_text().strip()
        except FileNotFoundError as error:
            raise ConfigError(
                f"the password of {self.data_dir} is missing: {self.password_file}",
                hint=f"restore that file, or move {self.data_dir} away to begin with an empty database",
            ) from error

    def ensure_password(self) -> str:
        """The superuser's password, made at the first call, with its `pgpass`; both 0600 and on disk."""
        if not self.password_file.exists() and not self.data_dir.exists():
            write_whole(self.password_file, secrets.token_urlsafe(24) + "\n", 0o600)
        password = self.read_password()
        line = f"{LOOPBACK}:*:*:{SUPERUSER}:{password}\n"
        if not self.pgpass.exists() or self.pgpass.read_text() != line:
            write_whole(self.pgpass, line, 0o600)
        return password


def write_whole(path: Path, text: str, mode: int) -> None:
    """Write `path` whole or not at all, with `mode` whatever the umask, and on disk when this returns."""
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.rename(path)
