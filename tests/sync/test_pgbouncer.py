"""Behind a real PgBouncer in transaction mode: two server sessions for all of an application's connections, and an
outage of it at any moment."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from syncd.errors import DatabaseError
from tests import truth
from tests.database_proxy import database_proxy
from tests.harness import PARTICIPANTS, Bench, benches
from tests.pgbouncer import PROGRAM, SERVER_SESSIONS, PgBouncer, pgbouncer
from tests.sync.test_resume import drivers, pages_of
from tests.sync.test_verify import verify

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer on the PATH: apt-get install pgbouncer"),
]

PAGES = 30
WORLD: Mapping[str, Any] = {"participants": 5 * PAGES, "activities": 10}


@pytest.fixture
async def bouncer(database_url: str) -> AsyncIterator[PgBouncer]:
    async with pgbouncer(database_url) as bouncer:
        yield bouncer


def declared(database_url: str, **more: str) -> dict[str, str]:
    """The settings that say what stands between."""
    pooler = {"DATABASE__POOLER": "transaction", "DATABASE__DIRECT_URL": database_url}
    return {**pooler, "REVENTO__PAGE_SIZE": "5", **more}


@asynccontextmanager
async def benches_behind(bouncer: PgBouncer, database_url: str, **world: Any) -> AsyncIterator[Bench]:
    """A bench whose application goes through the pooler, and which itself looks past it."""
    async with benches(bouncer.url) as start:
        bench = await start(declared(database_url), **{**WORLD, **world})
        bench.url = database_url
        yield bench


async def page_committed(bench: Bench, count: int) -> None:
    """Wait until so many pages of participants are committed."""
    async with asyncio.timeout(30):
        while pages_of(bench) < count:
            await asyncio.sleep(0.005)


@pytest.mark.fault(86)
async def test_two_installations_share_two_sessions(bouncer: PgBouncer, database_url: str) -> None:
    async with benches_behind(bouncer, database_url, events=2) as bench:
        both = [await bench.add(), await bench.add(bench.sandbox.event_ids[1])]
        others = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        for change in ("once", "twice"):
            results = await asyncio.gather(*(bench.sync(one) for one in both))
            assert [result.exit_code for result in results] == [0, 0]
            truth.assert_equal(database_url, bench.sandbox.truth())
            assert bench.value(f"SELECT count(*) FROM {others}") <= SERVER_SESSIONS
            bench.sandbox.world.patch(bench.event_id, "roles", "role_attendee", {"description": change})
        for one in both[1:]:
            assert {proof.status for proof in (await verify(bench, name=one.name)).values()} == {"equal"}
        proofs = await verify(bench, name=both[0].name)
        assert {name for name, proof in proofs.items() if proof.status != "equal"} == {"roles"}
    (pool,) = [pool for pool in bouncer.tell("SHOW POOLS") if pool["database"] != "pgbouncer"]
    assert pool["pool_mode"] == "transaction"
    assert bouncer.total("total_xact_count") > 4 * PAGES, "it was in between"


@pytest.mark.fault(86)
async def test_a_pooler_that_nobody_declared_is_noticed(bouncer: PgBouncer, database_url: str) -> None:
    """Or a session would run what another connection has prepared under the same name."""
    async with benches(bouncer.url) as start:
        bench = await start({"REVENTO__PAGE_SIZE": "5"}, events=2, **WORLD)
        both = [await bench.add(), await bench.add(bench.sandbox.event_ids[1])]
        results = await asyncio.gather(*(bench.sync(one) for one in both))
        assert [result.exit_code for result in results] == [0, 0]
        truth.assert_equal(database_url, bench.sandbox.truth())
        assert bench.value("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE '%pg3%'") == 0


@pytest.mark.fault(86)
@pytest.mark.fault(94)
async def test_drivers_that_are_killed_behind_a_pooler(
    bouncer: PgBouncer, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their transactions end with their connections, although the sessions that held them live on."""
    for name, value in declared(database_url).items():
        monkeypatch.setenv(f"SYNCD_{name}", value)
    async with benches_behind(bouncer, database_url, latency_s=0.005) as bench:
        installation = await bench.add()
        past, bench.url = bench.url, bouncer.url
        async with drivers(bench, installation.name) as its:
            bench.url = past
            for page in (3, 11, 17, 24):
                process_id = await its.start()
                await page_committed(bench, page)
                os.kill(process_id, signal.SIGKILL)
                assert await its.ended() == -signal.SIGKILL
            await its.start()
            assert await its.ended() == 0
        assert len(bench.calls(PARTICIPANTS)) <= PAGES + 2 * 4
        assert bench.query("SELECT DISTINCT outcome, generation FROM syncd.walks") == [("certified", 1)]
        truth.assert_equal(database_url, bench.sandbox.truth())


@pytest.mark.fault(81)
@pytest.mark.fault(86)
async def test_a_pooler_that_crashes_in_mid_walk(bouncer: PgBouncer, database_url: str) -> None:
    """Back at once it costs little; while it is away the round ends, and the next one goes on."""
    async with benches_behind(bouncer, database_url, latency_s=0.005) as bench:
        await bench.add()
        broken = 0
        for page in (4, 9, 16, 23):
            syncing = asyncio.create_task(bench.sync())
            await page_committed(bench, page)
            bouncer.kill()
            await asyncio.sleep(0.02)
            bouncer.start()
            try:
                await syncing
            except DatabaseError:
                broken += 1
                bench.execute("UPDATE syncd.leases SET until = now() WHERE until IS NOT NULL")
        assert broken, "none of the crashes met a round at work"
        assert (await bench.sync()).exit_code == 0
        truth.assert_equal(database_url, bench.sandbox.truth())
        books = "SELECT sum(inserted) FROM syncd.walk_pages JOIN syncd.walks USING (walk_id) WHERE stream = %s"
        assert bench.value(books, "participants") == 5 * PAGES


@pytest.mark.fault(86)
async def test_a_pooler_that_pauses_is_waited_for(bouncer: PgBouncer, database_url: str) -> None:
    """As its operators do for a restart of the server: transactions end, what begins is held, and all sessions are
    new ones afterwards."""
    async with benches_behind(bouncer, database_url, latency_s=0.005) as bench:
        await bench.add()
        syncing = asyncio.create_task(bench.sync())
        await page_committed(bench, 5)
        await asyncio.to_thread(bouncer.tell, "PAUSE")
        try:
            before = pages_of(bench)
            await asyncio.sleep(0.3)
            assert (pages_of(bench), syncing.done()) == (before, False)
        finally:
            bouncer.tell("RESUME")
        assert (await syncing).exit_code == 0
        truth.assert_equal(database_url, bench.sandbox.truth())
        assert bench.query("SELECT DISTINCT outcome, generation FROM syncd.walks") == [("certified", 1)]


@pytest.mark.fault(82)
@pytest.mark.fault(86)
@pytest.mark.parametrize("nth", range(1, 46, 11))
async def test_a_commit_whose_reply_is_lost_behind_the_pooler(database_url: str, nth: int) -> None:
    async with (
        database_proxy(database_url) as proxy,
        pgbouncer(proxy.url) as bouncer,
        benches_behind(bouncer, database_url, participants=60, activities=30) as bench,
    ):
        await bench.add()
        proxy.lose_commit = nth
        try:
            await bench.sync()
        except DatabaseError:
            bench.execute("UPDATE syncd.leases SET until = now() WHERE until IS NOT NULL")
        assert proxy.lost == 1
        assert (await bench.sync()).exit_code == 0
        truth.assert_equal(database_url, bench.sandbox.truth())
        books = "SELECT sum(inserted) FROM syncd.walk_pages JOIN syncd.walks USING (walk_id) WHERE stream = %s"
        assert bench.value(books, "participants") == 60
