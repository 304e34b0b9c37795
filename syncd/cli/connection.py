"""Getting at the database for commands that only read, and showing where it is without its password."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote

from syncd.cli.session import Session
from syncd.cli.signals import run

if TYPE_CHECKING:
    from syncd.config import Settings
    from syncd.store.database import Database

T = TypeVar("T")

# Parameters of libpq that are secrets (PostgreSQL, "Parameter Key Words").
SECRET_PARAMETERS = {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}


def read(session: Session, ask: Callable[[Database], Awaitable[T]]) -> T:
    """What `ask` finds in the database. Raises ConfigError, DatabaseError, SchemaOutdated."""
    from syncd import main

    settings = session.settings()
    url = main.prepare_database(settings)

    async def asking() -> T:
        async with _opened(settings, url) as database:
            return await ask(database)

    return run(asking())


@asynccontextmanager
async def _opened(settings: Settings, url: str) -> AsyncIterator[Database]:
    from syncd.store.database import open_database

    behind_pooler = settings.database.pooler == "transaction"
    async with open_database(
        url, pool_size=1, lease_s=settings.daemon.lease_s, behind_pooler=behind_pooler
    ) as database:
        yield database


def without_password(url: str) -> tuple[str, str | None]:
    """A database URL without any secret in it, and the password that stood there."""
    # Not urlsplit: it loses the slashes of postgresql:///x. Not parse_qsl: to libpq a plus sign is no space.
    scheme, slashes, rest = url.partition("://")
    address, mark, query = rest.partition("?")
    netloc, slash, path = address.partition("/")
    user, at, hosts = netloc.rpartition("@")
    name, _, password = user.partition(":")
    parameters = [pair.partition("=") for pair in query.split("&")]
    kept = "&".join("".join(pair) for pair in parameters if unquote(pair[0]) not in SECRET_PARAMETERS)
    plain = f"{scheme}{slashes}{name}{at}{hosts}{slash}{path}{mark if kept else ''}{kept}"
    passwords = [password, *(value for key, _, value in parameters if unquote(key) == "password")]
    return plain, next((unquote(each) for each in passwords if each), None)


async def chosen_names(database: Database, names: Sequence[str]) -> list[str]:
    """The whole names of the installations meant; an empty list means all. Raises ConfigError."""
    from syncd.store.installations import find_installation

    return [(await find_installation(database, name)).name for name in names]
