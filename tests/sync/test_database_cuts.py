"""The database goes away in the middle of a page: all of the page is there or nothing, and the next run brings the
rest."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from syncd.errors import DatabaseError
from syncd.store import embedded
from tests import truth
from tests.database_proxy import database_proxy
from tests.harness import PARTICIPANTS, Bench, benches
from tests.postgres import FAST, homes_folder, prepare_template
from tests.sampling import sampled

SMALL_PAGES = {"REVENTO__PAGE_SIZE": "5"}


class Cutter:
    """Ends the session of a page's transaction from outside, before its nth statement."""

    def __init__(self, url: str, nth: int) -> None:
        self._url, self._left = url, nth
        self.cut_at: str | None = None

    async def execute(self, cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
        """What `AsyncCursor.execute` does, when the time has not come."""
        self._left -= 1
        if self._left == 0:
            self.cut_at = str(query)
            with psycopg.connect(self._url, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", [cursor.connection.info.backend_pid])
        return await ORIGINAL(cursor, query, *args, **options)


ORIGINAL = psycopg.AsyncCursor.execute


@pytest.mark.fault(81)
@pytest.mark.parametrize("nth", sampled(range(4, 64, 4)))
async def test_a_session_that_is_ended_at_any_statement(
    bench: Bench, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first statement of the walk to beyond its last: the page is there whole or not at all."""
    await bench.sync()
    people = bench.sandbox.truth()["events"][0]["participants"]
    for row in people[::7]:
        bench.sandbox.world.patch(bench.event_id, "participants", row["id"], {"application_status": "rejected"})
    cutter = Cutter(bench.url, nth)

    async def execute(cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
        return await cutter.execute(cursor, query, *args, **options)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", execute)
    try:
        await bench.sync(streams=["participants"])
    except DatabaseError:
        assert cutter.cut_at
    monkeypatch.undo()
    torn = bench.query(
        """SELECT page.request_id, count(participant_key) = page.inserted + page.updated FROM syncd.walk_pages AS page
           JOIN syncd.walks USING (walk_id) LEFT JOIN revento.participants ON _syncd_request_id = page.request_id
           WHERE stream = 'participants' AND page.updated > 0
           GROUP BY page.request_id, page.inserted, page.updated"""
    )
    assert all(whole for _, whole in torn)
    assert (await bench.sync(streams=["participants"])).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    updates = "SELECT sum(updated) FROM syncd.walk_pages JOIN syncd.walks USING (walk_id) WHERE stream = 'participants'"
    assert bench.value(updates) == len(people[::7]), "each is in the books once"


# --- the reply to a commit is lost ------------------------------------------------------------------------------------

# Commits of the first round, from that of its lease to that of its end.
COMMITS = range(1, 46, 4)


@pytest.mark.fault(82)
@pytest.mark.parametrize("nth", sampled(COMMITS))
async def test_a_commit_whose_reply_is_lost(database_url: str, nth: int) -> None:
    """It has happened, and nobody was told. The next round reads where it stands; nothing is lost, or there twice."""
    async with database_proxy(database_url) as proxy, benches(proxy.url) as start:
        bench = await start(SMALL_PAGES)
        bench.url = database_url
        await bench.add()
        proxy.lose_commit = nth
        try:
            await bench.sync()
        except DatabaseError:
            bench.execute("UPDATE syncd.leases SET until = now() WHERE until IS NOT NULL")
        assert proxy.lost == 1
        assert (await bench.sync()).exit_code == 0
    truth.assert_equal(database_url, bench.sandbox.truth())
    books = bench.query(
        """SELECT stream, sum(inserted), sum(updated) FROM syncd.walk_pages JOIN syncd.walks USING (walk_id)
           WHERE stream IN ('roles', 'participants', 'activities') GROUP BY stream ORDER BY stream"""
    )
    assert books == [("activities", 30, 0), ("participants", 60, 0), ("roles", 6, 0)]
    assert bench.value("SELECT count(*) FROM syncd.requests") >= len(bench.calls()), "each call is written down, once"


# --- sessions and servers that end ------------------------------------------------------------------------------------


@pytest.mark.fault(81)
async def test_sessions_that_were_ended_while_nobody_used_them(bench: Bench) -> None:
    """A firewall, or an administrator between two rounds: what is dead is not used."""
    for _ in range(2):
        assert (await bench.sync()).exit_code == 0
        others = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        assert bench.value(f"SELECT count(pg_terminate_backend(pid, 5000)) FROM {others}") >= 2
    assert (await bench.sync()).exit_code == 0


@asynccontextmanager
async def held_up(bench: Bench) -> AsyncIterator[None]:
    """The next page's transaction stands at a table that another session keeps to itself."""
    keeper = await psycopg.AsyncConnection.connect(bench.url)
    await keeper.execute("LOCK TABLE syncd.walk_pages IN ACCESS EXCLUSIVE MODE")
    async with asyncio.timeout(20):
        while not bench.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
            await asyncio.sleep(0.005)
    yield
    await keeper.close()


@pytest.mark.fault(83)
@pytest.mark.parametrize("ending", [signal.SIGQUIT, signal.SIGKILL])
async def test_a_server_that_is_killed_in_mid_walk(ending: signal.Signals) -> None:
    """Commits that it had not written to disk yet are gone: rows and position together.

    It dies within a page's transaction: between two of them a round would merely wait until the server is back.
    """
    with homes_folder() as folder:
        server = embedded.start(folder / "home", options=FAST)
        prepare_template(server.url)
        async with benches(server.url) as start:
            bench = await start(SMALL_PAGES, participants=150, activities=10, latency_s=0.01)
            await bench.add()
            bench.execute("CHECKPOINT")
            for page in (2, 17):
                syncing = asyncio.create_task(bench.sync())
                while len(bench.calls(PARTICIPANTS)) < page:
                    await asyncio.sleep(0.005)
                async with held_up(bench):
                    os.kill(server.pid, ending)
                server = await asyncio.to_thread(embedded.start, folder / "home", options=FAST)
                assert server.was_started
                with pytest.raises(DatabaseError):
                    await syncing
                bench.execute("UPDATE syncd.leases SET until = now()")
            assert (await bench.sync()).exit_code == 0
            truth.assert_equal(server.url, bench.sandbox.truth())
            books = "SELECT sum(inserted) FROM syncd.walk_pages JOIN syncd.walks USING (walk_id) WHERE stream = %s"
            assert bench.value(books, "participants") == 150
