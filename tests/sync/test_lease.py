"""One driver per installation: who comes second waits or leaves, and who comes back late writes nothing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from syncd.errors import DatabaseError, LeaseHeld, LeaseLost
from syncd.model import Lease
from syncd.store.leases import claim, holder, kept
from syncd.store.steering import remove_installation
from syncd.sync.round import Watch
from tests import truth
from tests.harness import PARTICIPANTS, Bench, OpenBench, ShiftedClock


@pytest.fixture
async def bench(open_bench: OpenBench) -> Bench:
    """A small world on pages of ten, and a lease of one second."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10", "DAEMON__LEASE_S": "1"}, participants=40)
    await bench.add()
    return bench


class Held:
    """A round that stops after its first page until it is let go."""

    def __init__(self, bench: Bench) -> None:
        self.reached, self.let_go = asyncio.Event(), asyncio.Event()
        bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 2, "delay_s": 3600})
        self._bench = bench

    async def __aenter__(self) -> asyncio.Task[Any]:
        task = asyncio.create_task(self._bench.sync())
        while len(self._bench.calls(PARTICIPANTS)) < 2:
            await asyncio.sleep(0.005)
        self._bench.sandbox.faults.clear()
        return task

    async def __aexit__(self, *_: object) -> None:
        return None


async def test_the_second_driver_leaves_when_it_may_not_wait(bench: Bench) -> None:
    async with Held(bench) as first, bench.second_app() as app:
        second = replace(bench, app=app)
        for _ in range(2):
            with pytest.raises(LeaseHeld, match=r"is being driven by test on .*, process") as held:
                await second.sync(wait=False)
            assert held.value.exit_code == 7
        assert len(bench.calls()) == 4, "it made no call"
        await asyncio.sleep(1.3)  # longer than the lease: the first driver renews it
        with pytest.raises(LeaseHeld):
            await second.sync(wait=False)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert (await second.sync(wait=False)).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())


async def test_a_lease_that_the_daemon_holds_is_free_soon(bench: Bench) -> None:
    assert await claim(bench.app.database, bench.names[0], "serve on a host, process 1") is not None
    with pytest.raises(LeaseHeld) as held:
        await bench.sync(wait=False)
    assert held.value.exit_code == 75


async def test_the_second_driver_waits_its_turn_and_says_for_whom(bench: Bench) -> None:
    told: list[str] = []
    async with Held(bench) as first, bench.second_app() as app:
        second = replace(bench, app=app)
        waiting = Watch(waiting=lambda _, holder: told.append(holder.owner))
        task = asyncio.create_task(second.sync(watch=waiting))
        while not told:
            await asyncio.sleep(0.01)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert (await task).exit_code == 0
    assert told[0].startswith("test on ")
    truth.assert_equal(bench.url, bench.sandbox.truth())


async def test_two_applications_at_once_walk_one_after_the_other(bench: Bench) -> None:
    async with bench.second_app(REVENTO__PAGE_SIZE="10") as app:
        results = await asyncio.gather(bench.sync(), replace(bench, app=app).sync())
    assert [result.exit_code for result in results] == [0, 0]
    assert len(bench.calls(PARTICIPANTS)) == 8
    assert bench.query("SELECT count(*), count(DISTINCT run_id) FROM syncd.walks WHERE outcome = 'certified'") == [
        (14, 2)
    ]
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(96)
@pytest.mark.fault(97)
async def test_who_was_overtaken_writes_nothing_more(open_bench: OpenBench) -> None:
    """The epoch moves on behind the driver's back, as after a pause that outlasted the lease.

    The lease is long, so that no renewal notices: only the fence does.
    """
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10", "DAEMON__LEASE_S": "600"}, participants=40)
    await bench.add()
    overtake = "UPDATE syncd.leases SET epoch = epoch + 1, owner = 'a rescuer', until = now() + interval '1 hour'"

    def note(progress: Any) -> None:
        if (progress.stream, progress.page_number) == ("participants", 1):
            bench.execute(overtake)

    with pytest.raises(LeaseLost, match="another driver has taken over"):
        await bench.sync(watch=Watch(page=note))
    assert bench.value("SELECT count(*) FROM revento.participant_private") == 10
    assert bench.value("SELECT count(*) FROM syncd.walk_pages JOIN syncd.walks USING (walk_id)") == 3
    assert bench.query("SELECT owner, epoch FROM syncd.leases") == [("a rescuer", 2)], "it gave nothing back either"
    bench.execute("UPDATE syncd.leases SET until = now()")
    assert (await bench.sync()).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())


async def test_a_claim_that_was_not_renewed_runs_out(bench: Bench) -> None:
    database, name = bench.app.database, f"revento/{bench.event_id}"
    first = await claim(database, name, "first")
    assert first is not None
    assert (first.after_crash, first.lease.epoch) == (False, 1)
    assert await claim(database, name, "second") is None
    assert (await holder(database, name)) is not None
    await asyncio.sleep(1.05)
    assert await holder(database, name) is None
    second = await claim(database, name, "second")
    assert second is not None
    assert (second.after_crash, second.lease.epoch) == (True, 2)
    with pytest.raises(LeaseLost):
        async with database.begin(first.lease, uuid4(), "roles"):
            raise AssertionError("the fence let the old driver in")
    async with kept(database, second.lease):
        await asyncio.sleep(1.2)
        assert await claim(database, name, "third") is None
    third = await claim(database, name, "third")
    assert third is not None
    assert not third.after_crash, "it was given back"


@pytest.mark.fault(96)
async def test_a_renewal_that_fails_is_tried_again(bench: Bench) -> None:
    database, name = bench.app.database, f"revento/{bench.event_id}"
    first = await claim(database, name, "first")
    assert first is not None
    until = "SELECT until FROM syncd.leases"
    async with kept(database, first.lease):
        bench.execute("ALTER TABLE syncd.leases RENAME TO leases_away")
        await asyncio.sleep(0.7)  # two renewals
        bench.execute("ALTER TABLE syncd.leases_away RENAME TO leases")
        before = bench.value(until)
        async with asyncio.timeout(10):
            while bench.value(until) == before:
                await asyncio.sleep(0.05)


@pytest.mark.fault(97)
async def test_who_was_overtaken_keeps_no_lease_alive(bench: Bench) -> None:
    """A driver that wakes up behind its rescuer renews nothing: should the rescuer die, its lease runs out."""
    database, name = bench.app.database, f"revento/{bench.event_id}"
    first = await claim(database, name, "slept")
    assert first is not None
    bench.execute("UPDATE syncd.leases SET until = now() - interval '1 second'")
    rescuer = await claim(database, name, "slept")
    assert rescuer is not None
    before = bench.query("SELECT owner, until, epoch FROM syncd.leases")
    async with kept(database, first.lease):
        await asyncio.sleep(0.7)  # two renewals
    assert bench.query("SELECT owner, until, epoch FROM syncd.leases") == before


async def test_a_driver_that_stalls_in_a_transaction_does_not_keep_its_rescuer_out(bench: Bench) -> None:
    """The fence locks the claim until commit; the server ends a transaction that does nothing before the lease ends."""
    database, name = bench.app.database, f"revento/{bench.event_id}"
    first = await claim(database, name, "stalls")
    assert first is not None
    started = asyncio.get_running_loop().time()

    async def stall() -> None:
        async with database.begin(first.lease, uuid4(), "roles") as tx:
            assert (await _claimed(bench, name)).epoch == 2
            assert asyncio.get_running_loop().time() - started < 2.5
            await tx.cursor.execute(
                "INSERT INTO revento.events (event_id, _syncd_synced_at) VALUES ('evt_late', now())"
            )

    with pytest.raises(DatabaseError, match="a transaction stood still for too long and was ended"):
        await stall()
    assert bench.value("SELECT count(*) FROM revento.events") == 0


async def _claimed(bench: Bench, name: str) -> Lease:
    async with asyncio.timeout(10):
        while (claimed := await claim(bench.app.database, name, "rescuer")) is None:
            await asyncio.sleep(0.05)
    return claimed.lease


async def test_the_fence_holds_a_takeover_off_until_the_page_is_committed(bench: Bench) -> None:
    """A claim that has run out may not be taken while its driver is writing: both would have written one page."""
    database, name = bench.app.database, f"revento/{bench.event_id}"
    first = await claim(database, name, "first")
    assert first is not None
    bench.execute("UPDATE syncd.leases SET until = now() - interval '1 second'")
    async with database.begin(first.lease, uuid4(), "roles") as tx:
        takeover = asyncio.create_task(_claimed(bench, name))
        await asyncio.sleep(0.1)
        assert not takeover.done()
        await tx.cursor.execute("INSERT INTO revento.events (event_id, _syncd_synced_at) VALUES ('evt_mine', now())")
    assert (await takeover).epoch == 2
    assert bench.value("SELECT count(*) FROM revento.events") == 1


@pytest.mark.fault(96)
@pytest.mark.parametrize("offset", ["1 hour", "-1 hour"])
async def test_a_lease_is_judged_by_the_databases_clock_alone(bench: Bench, offset: str) -> None:
    """Drivers on machines whose clocks differ agree, because none of them is asked."""
    name = f"revento/{bench.event_id}"
    bench.execute("CREATE SCHEMA shifted")
    bench.execute(
        f"""CREATE FUNCTION shifted.clock_timestamp() RETURNS timestamptz LANGUAGE sql
            RETURN pg_catalog.clock_timestamp() + interval '{offset}'"""
    )
    here = sql.Identifier(bench.value("SELECT current_database()"))
    with psycopg.connect(bench.url, autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} SET search_path = shifted, pg_catalog").format(here))
    async with bench.second_app(DAEMON__LEASE_S="1") as app:
        assert await claim(app.database, name, "first") is not None
        assert await claim(app.database, name, "second") is None
        held = await holder(app.database, name)
        assert held is not None
        assert 0 < held.remaining_s <= 1
        await asyncio.sleep(1.05)
        assert await claim(app.database, name, "second") is not None


async def test_epochs_go_on_when_an_installation_is_removed_and_added_again(bench: Bench) -> None:
    """A driver that slept through both would else find its own epoch again, and write."""
    database, name = bench.app.database, f"revento/{bench.event_id}"
    slept = await claim(database, name, "sleeps")
    assert slept is not None
    await remove_installation(database, slept.lease)
    await bench.add()
    bench.execute("UPDATE syncd.leases SET until = now() - interval '1 second'")
    awake = await claim(database, name, "works")
    assert awake is not None
    assert awake.lease.epoch > slept.lease.epoch
    with pytest.raises(LeaseLost):
        async with database.begin(slept.lease, uuid4(), "roles"):
            raise AssertionError("the fence let the old driver in")


@pytest.mark.fault(96)
@pytest.mark.fault(97)
async def test_a_driver_that_stops_in_the_middle_of_a_message_is_ended_by_its_rescuer(bench: Bench) -> None:
    """The server waits for the rest of a pipeline and counts that as work: no time-out of a session ends it."""
    database, name = bench.app.database, bench.names[0]
    assert await claim(database, name, "first")
    stalled = await psycopg.AsyncConnection.connect(bench.url)
    await stalled.execute("SET idle_in_transaction_session_timeout = '300ms'")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(stalled.pipeline())
        await stalled.execute("SELECT FROM syncd.leases FOR SHARE")  # its pipeline's end is never sent
        stalled.pgconn.flush()
        await asyncio.sleep(1.2)
        is_there = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        assert bench.value(is_there, stalled.info.backend_pid) == 1
        async with asyncio.timeout(2):
            second = await claim(database, name, "second")
        assert second is not None
        assert second.lease.epoch == 2
        async with asyncio.timeout(10):  # its locks are gone before it is itself
            while bench.value(is_there, stalled.info.backend_pid):
                await asyncio.sleep(0.02)
        stack.pop_all()
    await stalled.close()


@pytest.mark.fault(96)
async def test_who_is_at_work_or_waits_too_or_holds_a_table_is_not_ended(bench: Bench) -> None:
    """A rescuer waits, longer than half a lease, for: somebody who works, then another rescuer, then a migration."""
    database, name = bench.app.database, bench.names[0]
    assert await claim(database, name, "first")
    await asyncio.sleep(1.05)
    async with await psycopg.AsyncConnection.connect(bench.url) as other:
        await other.execute("SELECT FROM syncd.leases FOR SHARE")
        at_work = asyncio.create_task(other.execute("SELECT pg_sleep(1.5)"))
        await asyncio.sleep(0.1)
        rescuers = [asyncio.create_task(claim(database, name, f"rescuer {n}")) for n in range(2)]
        await at_work
        await other.commit()
        assert sum(claimed is not None for claimed in await asyncio.gather(*rescuers)) == 1
        await asyncio.sleep(1.05)
        await other.execute("LOCK TABLE syncd.leases IN EXCLUSIVE MODE")
        waiting = asyncio.create_task(claim(database, name, "third"))
        await asyncio.sleep(1.3)
        await other.commit()
        assert await waiting


@pytest.mark.fault(96)
async def test_nobody_is_ended_while_the_lease_lasts(open_bench: OpenBench) -> None:
    bench = await open_bench({"DAEMON__LEASE_S": "3"})
    await bench.add()
    database, name = bench.app.database, bench.names[0]
    assert await claim(database, name, "first")
    async with await psycopg.AsyncConnection.connect(bench.url) as silent:
        await silent.execute("SELECT FROM syncd.leases FOR SHARE")
        waiting = asyncio.create_task(claim(database, name, "second"))
        await asyncio.sleep(2.2)
        await silent.execute("SELECT 1")
        await silent.commit()
        assert await waiting is None


@pytest.mark.fault(65)
async def test_a_driver_whose_clock_is_ahead_frees_no_budget(open_bench: OpenBench) -> None:
    """The minute that its predecessor spent is over when it is over, whatever the two hosts' clocks say."""
    bench = await open_bench({"REVENTO__LIMITS__PER_MINUTE": "1"})
    await bench.add()
    assert (await bench.sync(streams=["roles"])).exit_code == 0
    clock = ShiftedClock(600)
    bench.app = replace(bench.app, clock=clock)
    assert (await bench.sync(streams=["roles"])).exit_code == 0
    assert clock.slept == [pytest.approx(60, abs=10)]
