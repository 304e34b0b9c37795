"""The claim: one winner, an epoch that only grows, and no effect of a hand that has let go."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from syncd.errors import LeaseLost
from syncd.model import Lease
from syncd.store.leases import claim, holder, kept
from syncd.store.runs import end_run
from tests.store.conftest import Store


@pytest.mark.fault(96)
async def test_of_many_who_claim_at_once_one_wins(store: Store) -> None:
    name = store.lease.installation
    store.query("UPDATE syncd.leases SET until = NULL RETURNING 1")
    claims = await asyncio.gather(*(claim(store.database, name, f"driver {n}") for n in range(12)))
    won = [one for one in claims if one]
    assert len(won) == 1
    assert won[0].lease.epoch == 2
    assert store.query("SELECT owner, epoch FROM syncd.leases") == [(won[0].lease.owner, 2)]


async def test_a_lease_is_given_back_by_who_has_it(store: Store) -> None:
    name = store.lease.installation
    assert (await holder(store.database, name)) is not None
    async with kept(store.database, replace(store.lease, epoch=store.lease.epoch - 1)):
        pass
    assert (await holder(store.database, name)) is not None, "not by who had it once"
    async with kept(store.database, store.lease):
        pass
    assert await holder(store.database, name) is None
    assert store.query("SELECT owner, until, epoch FROM syncd.leases") == [(None, None, 1)]


async def test_a_lease_is_given_back_when_the_work_fails(store: Store) -> None:
    with pytest.raises(RuntimeError):
        async with kept(store.database, store.lease):
            raise RuntimeError
    assert await holder(store.database, store.lease.installation) is None


@pytest.mark.fault(97)
async def test_every_write_under_an_older_epoch_is_refused(store: Store) -> None:
    store.query("UPDATE syncd.leases SET until = now() - interval '1 s' RETURNING 1")
    second = await claim(store.database, store.lease.installation, store.lease.owner)
    assert second
    for stream in ("event", "participants"):
        with pytest.raises(LeaseLost):
            async with store.begin(stream):
                raise AssertionError("the fence let it in")
    async with store.database.begin(second.lease, store.run_id, "roles") as tx:
        assert tx.stream.stream == "roles"


@pytest.mark.fault(83)
@pytest.mark.fault(96)
async def test_an_epoch_that_a_failover_gives_out_once_more_is_its_new_owners(store: Store) -> None:
    """A standby that took over without the newest claim numbers the next one alike."""
    before = "UPDATE syncd.leases SET owner = NULL, until = NULL, epoch = epoch - 1 RETURNING epoch"
    assert store.query(before) == [(store.lease.epoch - 1,)]
    second = await claim(store.database, store.lease.installation, "second")
    assert second
    assert second.lease.epoch == store.lease.epoch
    row = store.query("SELECT owner, until, epoch FROM syncd.leases")
    with pytest.raises(LeaseLost):
        async with store.begin():
            raise AssertionError("the fence let it in")
    with pytest.raises(LeaseLost):
        await end_run(store.database, store.lease, store.run_id, "succeeded", 0)
    async with kept(replace(store.database, lease_s=0.05), store.lease):
        await asyncio.sleep(0.1)  # some renewals
    assert store.query("SELECT owner, until, epoch FROM syncd.leases") == row
    async with store.database.begin(second.lease, store.run_id, "roles") as tx:
        assert tx.stream.stream == "roles"


async def test_a_claim_on_one_installation_is_none_on_another(store: Store) -> None:
    other = await store.add("revento/evt_2")
    assert other.epoch == 1
    with pytest.raises(LeaseLost):
        async with store.database.begin(Lease("revento/evt_3", "nobody", 1), store.run_id, "roles"):
            raise AssertionError("the fence let it in")


async def test_the_time_of_a_transaction_is_the_databases(store: Store) -> None:
    async with store.begin() as tx:
        await tx.cursor.execute("SELECT transaction_timestamp()")
        assert (await tx.cursor.fetchone()) == (tx.now,)
        await tx.cursor.execute("SHOW idle_in_transaction_session_timeout")
        assert (await tx.cursor.fetchone()) == ("20s",), "a third of the lease"
    async with store.database.pool.connection() as connection:
        row = await (await connection.execute("SHOW idle_in_transaction_session_timeout")).fetchone()
        assert row == ("0",), "and of this transaction alone"
