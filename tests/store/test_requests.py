"""The request record: kept until it is stored, stored once, and good for rebuilding a budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from syncd.errors import DatabaseError
from syncd.model import RequestRecord
from syncd.store.leases import claim, kept
from syncd.store.requests import PendingRequests, spent_ages_s, store_requests
from syncd.wire.rate_limit import STRAY_S
from tests.store.conftest import Store


def record(age_s: float = 0, duration_ms: int = 100, *, answered: bool = True) -> RequestRecord:
    sent_at = datetime.now(UTC) - timedelta(seconds=age_s)
    ended_at = sent_at + timedelta(milliseconds=duration_ms) if answered else None
    return RequestRecord(
        uuid4(), "/events/{event_id}", "0a1b", sent_at, ended_at, duration_ms, 200 if answered else None
    )


def test_a_record_is_kept_until_it_is_settled() -> None:
    pending = PendingRequests()
    first, second, third = record(), record(), record()
    for one in (first, second):
        pending.append(one)
    storing = pending.pending()
    pending.append(third)
    assert pending.pending() == (first, second, third), "nothing is lost while a transaction is open"
    pending.settle(storing)
    assert (pending.pending(), pending.made) == ((third,), 3)


async def test_a_record_is_stored_once(store: Store) -> None:
    pending = PendingRequests()
    pending.append(one := record())
    await store_requests(store.database, store.lease.installation, None, pending)
    assert pending.pending() == ()
    pending.append(one)
    await store_requests(store.database, store.lease.installation, None, pending)
    assert store.query("SELECT request_id, status, duration_ms, run_id FROM syncd.requests") == [
        (one.request_id, 200, 100, None)
    ]


@pytest.mark.fault(63)
async def test_the_ages_of_what_was_spent(store: Store) -> None:
    """By the reply, or by the end of the waiting for one; calls of the last hours, whoever made them."""
    pending = PendingRequests()
    for one in (record(10), record(100, 5000), record(200, 60_000, answered=False), record(8000)):
        pending.append(one)
    await store_requests(store.database, store.lease.installation, None, pending)
    other = PendingRequests()
    other.append(record())
    await store.add("revento/evt_2")
    await store_requests(store.database, "revento/evt_2", None, other)
    ages = await spent_ages_s(store.database, store.lease.installation, datetime.now(UTC), in_flight=2)
    assert sorted(ages) == pytest.approx([9.9, 95, 140 - STRAY_S], abs=1)


@pytest.mark.fault(65)
async def test_a_call_from_the_future_is_a_call_of_now(store: Store) -> None:
    pending = PendingRequests()
    pending.append(record(-500))
    await store_requests(store.database, store.lease.installation, None, pending)
    assert await spent_ages_s(store.database, store.lease.installation, datetime.now(UTC), in_flight=5) == [-STRAY_S]


@pytest.mark.fault(63)
async def test_calls_that_nobody_wrote_down_count_for_every_later_driver(store: Store) -> None:
    """Whoever claims first behind a driver that was cut off, a command that calls nobody included."""
    name, now = store.lease.installation, datetime.now(UTC)
    store.query("UPDATE syncd.leases SET until = now(), cut_off_at = ARRAY[now() - interval '3 hours'] RETURNING 1")
    second = await claim(store.database, name, "a command")
    assert second is not None
    async with kept(store.database, second.lease):
        pass
    for owner in ("a driver", "another"):
        later = await claim(store.database, name, owner)
        assert later is not None
        async with kept(store.database, later.lease):
            ages = await spent_ages_s(store.database, name, now, in_flight=3)
        assert sorted(ages) == pytest.approx([0] * 3, abs=5)
    assert store.value("SELECT cardinality(cut_off_at) FROM syncd.leases") == 1, "what is long ago is forgotten"


async def test_records_stay_pending_while_the_database_is_away(store: Store) -> None:
    pending = PendingRequests()
    pending.append(one := record())
    await store.database.pool.close()
    with pytest.raises(DatabaseError):
        await store_requests(store.database, store.lease.installation, None, pending)
    assert pending.pending() == (one,)
