"""The database and its keys, from the settings. Everything here blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import MetaData

from syncd.config import Settings
from syncd.credentials import own_keys
from syncd.credentials.vault import KeyRing, parse_keys
from syncd.errors import ConfigError, DatabaseError, LeaseHeld
from syncd.logs import get_logger
from syncd.sources import SOURCES
from syncd.store import embedded
from syncd.store.bi import CONTROL_VIEWS
from syncd.store.embedded.locks import try_lock
from syncd.store.tables import metadata as control_tables
from syncd.store.version import NEWEST, current, require_newest

TABLES: tuple[MetaData, ...] = (control_tables, *dict.fromkeys(source.schema for source in SOURCES.values()))
VIEWS = (*CONTROL_VIEWS, *(view for source in SOURCES.values() for view in source.views))

# Beside the embedded server's directory, and never inside a database: see `credentials.generations`.
GENERATIONS = "token_generations"

log = get_logger(__name__)


def home(settings: Settings) -> Path:
    """The directory of the embedded server, its password and its keys."""
    return settings.database.data_dir or embedded.default_home()


def database_url(settings: Settings, *, direct: bool = False) -> str:
    """The configured database, or the embedded one, started if it is not running. Raises ConfigError, DatabaseError."""
    configured = secret(settings.database.url)
    if configured is None:
        return embedded.start(home(settings)).url
    return (secret(settings.database.direct_url) if direct else None) or configured


def upgrade_database(url: str) -> str:
    """Bring a database to the newest schema and return its version."""
    from syncd.store.migrate import upgrade  # noqa: PLC0415 - alembic is slow to import, and seldom needed

    return upgrade(url, TABLES, VIEWS)


def prepare_database(settings: Settings) -> str:
    """The database's URL, once its schema is the newest. The embedded one is ours, so it is upgraded on the way.

    Raises SchemaOutdated when a database of somebody else's is not at the newest version.
    """
    direct = database_url(settings, direct=True)
    if settings.database.url is None and (current(direct) or "") < NEWEST:
        upgrade_database(direct)
    require_newest(direct)
    return database_url(settings)


class OwnKeyRing:
    """`model.Vault` under the keys in a file of ours, read at each use: another process may have rotated them since."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._ring(own_keys.stored_keys)  # a file that cannot be used is told before any work

    @property
    def first(self) -> str:
        """The id of the key that encrypts; one is made where there is none. Raises ConfigError, DatabaseError."""
        return self._ring(own_keys.own_keys).first

    def seal(self, secret: str, where: str) -> bytes:
        """Encrypt under the newest key; the first secret of all has it made.

        Raises DatabaseError alone, which has a renewed pair kept and stored later: it exists nowhere else.
        """
        try:
            return self._ring(own_keys.own_keys).seal(secret, where)
        except ConfigError as error:
            raise DatabaseError(str(error), hint=error.hint) from error

    def open(self, sealed: bytes, where: str) -> str:
        """Decrypt under any of the keys, and make none: a new one opens nothing. Raises ConfigError, DatabaseError."""
        return self._ring(own_keys.stored_keys).open(sealed, where)

    def _ring(self, read: Callable[[Path], str | None]) -> KeyRing:
        with embedded.disk_errors(self._path.parent):
            text = read(self._path)
        return KeyRing(
            {} if text is None else parse_keys(text, name=str(self._path)),
            f"put the lost key back into {self._path} (a comma between two keys), or connect the events anew",
        )


def open_vault(settings: Settings) -> KeyRing | OwnKeyRing:
    """The vault under the configured keys; beside an embedded database they are made for the first secret of all.

    Raises ConfigError for keys that are missing, malformed or unreadable, DatabaseError when the disk has no room.
    """
    configured = secret(settings.security.encryption_keys)
    if configured is None and settings.database.url is not None:
        raise ConfigError(
            "security.encryption_keys is not set, and credentials are stored only encrypted",
            hint="set SYNCD_SECURITY__ENCRYPTION_KEYS to what this prints, and keep it safe: "
            'echo "k1:$(head -c 32 /dev/urandom | base64)"',
        )
    if configured is not None:
        return KeyRing(parse_keys(configured))
    return OwnKeyRing(own_keys_path(settings))


@contextmanager
def lone_rotation(settings: Settings) -> Iterator[None]:
    """Let one rotation at a time in, from before it reads the keys that were made on first use until nothing is left to
    encrypt anew: the key that another one adds meanwhile would be lost, and with it what lies under that key.

    Configured keys are added by a person, and need none of this. Raises LeaseHeld while another rotation is inside.
    """
    if settings.security.encryption_keys is not None:
        yield
        return
    own = own_keys_path(settings)
    with embedded.disk_errors(own.parent):
        lock = try_lock(own.with_name(f"{own.name}.lock"))
    if lock is None:
        raise LeaseHeld(
            f"another `syncd keys rotate` is at work on {own}",
            hint="wait until it has ended, then see whether to repeat",
        )
    try:
        yield
    finally:
        os.close(lock)


def add_own_key(settings: Settings) -> bool:
    """Put a new key in front of those that were made on first use; False where the keys are configured.

    Inside `lone_rotation` only. Raises DatabaseError when the disk has no room.
    """
    if settings.security.encryption_keys is not None:
        return False
    own = own_keys_path(settings)
    with embedded.disk_errors(own.parent):
        own_keys.add_own_key(own)
    return True


def own_keys_path(settings: Settings) -> Path:
    """Where the keys lie that are made on first use."""
    return home(settings) / "encryption_keys"


def secret(value: SecretStr | None) -> str | None:
    """A secret's value, for those who hand it on; None when it is not set."""
    return value.get_secret_value() if value else None
