"""Getting at the database for commands that only read, and showing where it is without its password."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

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
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(key, value) for key, value in parameters if key not in SECRET_PARAMETERS]
    plain = parts._replace(netloc=f"{name}{at}{hosts}", query=urlencode(kept, quote_via=quote)).geturl()
    return plain, unquote(password) or dict(parameters).get("password")


async def chosen_names(database: Database, names: Sequence[str]) -> list[str]:
    """The whole names of the installations meant; an empty list means all. Raises ConfigError."""
    from syncd.store.installations import find_installation

    return [(await find_installation(database, name)).name for name in names]
