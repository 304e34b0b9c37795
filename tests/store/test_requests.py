"""The request record: kept until it is stored, stored once, and good for rebuilding a budget."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from syncd.errors import DatabaseError
from syncd.model import RequestRecord
from syncd.store.leases import claim, kept
from syncd.store.requests import PendingRequests, pause_left_s, spent_ages_s, store_requests
from syncd.wire.rate_limit import STRAY_S, Headroom
from tests.harness import HastyClock
from tests.store.conftest import Store


def record(ahead_s: float = 0, duration_ms: int = 100, *, answered: bool = True) -> RequestRecord:
    """A call that is over now; `ahead_s`: how far the clock of the host that made it is ahead."""
    sent_at = datetime.now(UTC) + timedelta(seconds=ahead_s, milliseconds=-duration_ms)
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
async def test_the_ages_of_what_was_spent(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the reply, or by the end of the waiting for one; calls of the last hours, whoever made them."""
    clock, pending = HastyClock(), PendingRequests()
    monkeypatch.setattr("syncd.store.requests._CLOCK", clock)
    for one, then_s in (
        (record(), 7800),
        (record(duration_ms=60_000, answered=False), 100),
        (record(duration_ms=5000), 90),
        (record(), 10),
    ):
        pending.append(one)
        await clock.sleep(then_s)
    await store_requests(store.database, store.lease.installation, None, pending)
    other = PendingRequests()
    other.append(record())
    await store.add("revento/evt_2")
    await store_requests(store.database, "revento/evt_2", None, other)
    ages = await spent_ages_s(store.database, store.lease.installation, in_flight=2)
    assert sorted(ages) == pytest.approx([10, 100, 200 - STRAY_S], abs=1)


@pytest.mark.fault(65)
@pytest.mark.parametrize("ahead_s", [0, 30, -30, 7200, -7200])
async def test_times_are_stored_by_the_databases_clock(store: Store, ahead_s: float) -> None:
    """Drivers run on hosts whose clocks differ, or are set: neither frees a budget early, nor blocks it."""
    pending, name = PendingRequests(), store.lease.installation
    refused = record(ahead_s, 2000)
    assert refused.ended_at
    headroom = Headroom(500, 0, refused.ended_at + timedelta(seconds=900))
    pending.append(replace(refused, status=429, error_code="http_429", retry_after_s=60, headroom=headroom))
    pending.append(record(ahead_s, 3000, answered=False))
    await store_requests(store.database, name, None, pending)
    assert sorted(await spent_ages_s(store.database, name, in_flight=2)) == pytest.approx([-STRAY_S, 0], abs=1)
    assert await pause_left_s(store.database, name) == pytest.approx(60, abs=1)
    shown = store.query(
        """SELECT extract(epoch FROM now() - sent_at)::float, extract(epoch FROM now() - ended_at)::float,
                  extract(epoch FROM rate_reset_at - now())::float FROM syncd.requests ORDER BY duration_ms"""
    )
    assert shown == [pytest.approx((2, 0, 900), abs=1), (pytest.approx(3, abs=1), None, None)]


@pytest.mark.fault(65)
async def test_a_call_from_the_future_is_a_call_of_now(store: Store) -> None:
    """A failover may set the database's own clock back."""
    pending = PendingRequests()
    pending.append(record())
    await store_requests(store.database, store.lease.installation, None, pending)
    store.query("UPDATE syncd.requests SET ended_at = ended_at + interval '500 seconds' RETURNING 1")
    assert await spent_ages_s(store.database, store.lease.installation, in_flight=5) == [-STRAY_S]


@pytest.mark.fault(63)
async def test_calls_that_nobody_wrote_down_count_for_every_later_driver(store: Store) -> None:
    """Whoever claims first behind a driver that was cut off, a command that calls nobody included."""
    name = store.lease.installation
    store.query("UPDATE syncd.leases SET until = now(), cut_off_at = ARRAY[now() - interval '3 hours'] RETURNING 1")
    second = await claim(store.database, name, "a command")
    assert second is not None
    async with kept(store.database, second.lease):
        pass
    for owner in ("a driver", "another"):
        later = await claim(store.database, name, owner)
        assert later is not None
        async with kept(store.database, later.lease):
            ages = await spent_ages_s(store.database, name, in_flight=3)
        assert sorted(ages) == pytest.approx([0] * 3, abs=5)
    assert store.value("SELECT cardinality(cut_off_at) FROM syncd.leases") == 1, "what is long ago is forgotten"


async def test_records_stay_pending_while_the_database_is_away(store: Store) -> None:
    pending = PendingRequests()
    pending.append(one := record())
    await store.database.pool.close()
    with pytest.raises(DatabaseError):
        await store_requests(store.database, store.lease.installation, None, pending)
    assert pending.pending() == (one,)
