"""A database, and an installation in it that a test drives by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from syncd.credentials.vault import KeyRing
from syncd.model import Change, Installation, Lease, Row
from syncd.sources.revento import tables
from syncd.store.database import Database, open_database
from syncd.store.installations import promise, store_installation
from syncd.store.leases import claim
from syncd.wire.tokens import Tokens
from tests.postgres import Session

EVENT_ID = "evt_1"
STREAM = "participants"
VAULT = KeyRing({"k1": b"k" * 32})
LIFE = timedelta(hours=1)


@dataclass
class Store:
    """A database, its URL, and a lease on its first installation."""

    database: Database
    url: str
    lease: Lease
    run_id: UUID
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.session = Session(self.url)

    def begin(self, stream: str = STREAM) -> Any:
        """A fenced transaction."""
        return self.database.begin(self.lease, self.run_id, stream)

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query of our own."""
        return self.session.run(sql, *parameters)

    def value(self, sql: str, *parameters: object) -> Any:
        """The only value of a query."""
        ((value,),) = self.query(sql, *parameters)
        return value

    async def add(self, name: str) -> Lease:
        """Another installation, and a lease on it."""
        await store_installation(self.database, VAULT, installation(name), tokens(name))
        claimed = await claim(self.database, name, "test")
        assert claimed
        return claimed.lease


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """One installation with one promised stream."""
    async with open_database(database_url, pool_size=5, lease_s=60) as database:
        name = f"revento/{EVENT_ID}"
        await store_installation(database, VAULT, installation(name), tokens(name))
        await promise(database, "revento", {STREAM: timedelta(minutes=15)})
        claimed = await claim(database, name, "test")
        assert claimed
        store = Store(database, database_url, claimed.lease, uuid4())
        yield store
        store.session.close()


def installation(name: str) -> Installation:
    """An installation of that name."""
    return Installation(
        name=name,
        source="revento",
        account=name.partition("/")[2],
        organization=None,
        timezone="UTC",
        environment="sandbox",
        api_url="http://127.0.0.1:9",
        auth_url=None,
        scopes=("event.read",),
        state="active",
        grant_id=uuid4(),
    )


def tokens(mark: str) -> Tokens:
    """A pair that names its installation."""
    now = datetime.now(UTC)
    return Tokens(f"rev_install_{mark}", f"rev_refresh_{mark}", now + LIFE, now + 90 * 24 * LIFE, ("event.read",))


def person(n: int, *, updated: int = 0, **fields: Any) -> Change:
    """A participant, as of `updated` seconds after a fixed instant."""
    at = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(seconds=updated)
    row: Row = {"event_id": EVENT_ID, "participant_id": f"ptp_{n:04d}", "updated_at": at, **fields}
    return Change(tables.participants, row, at)


def role(n: int, name: str) -> Change:
    """A role, which has no stamp."""
    return Change(tables.roles, {"event_id": EVENT_ID, "role_id": f"role_{n:04d}", "name": name})
