"""A walk: taken up where its last page left it, and closed by a certificate whose figures come from the ledger."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from syncd.errors import DatabaseError
from syncd.model import Counts, Page
from syncd.store.changes import apply_changes
from syncd.store.runs import StreamResult, end_stream, open_run
from syncd.store.walks import (
    Walk,
    abandon_open_walk,
    abandon_walk,
    begin_walk,
    certify,
    load_position,
    open_walk,
    record_page,
    save_position,
)
from syncd.wire.position import CursorAt, Start
from tests.store.conftest import STREAM, Store, person

QUERY = "/events/{event_id}/participants"


def at(tx: Any, cursor: str = "c1", grant: str = "g") -> CursorAt:
    return CursorAt(cursor, tx.now, QUERY, 50, grant)


async def turn(store: Store, walk: Walk, *changes: Any, cursor: str | None = "c1") -> Walk:
    """One page with its ledger entry and position; the last one brings the certificate."""
    async with store.begin() as tx:
        resume_at = at(tx, cursor) if cursor else None
        page = Page(uuid4(), tuple(changes), resume_at)
        counts = await apply_changes(tx, page.changes, page.request_id)
        await record_page(tx, walk, page, counts)
        if resume_at is None:
            await certify(tx, walk, limit=None)
            return walk
        await save_position(tx, resume_at)
        return walk.turned(resume_at)


async def opened(store: Store, grant: str = "g") -> Walk:
    async with store.begin() as tx:
        return await open_walk(tx, grant=grant)


async def test_a_walk_is_taken_up_where_its_last_page_left_it(store: Store) -> None:
    first = await opened(store)
    assert (first.generation, first.page_number, first.position) == (1, 0, Start())
    walk = await turn(store, await turn(store, first, person(1)), person(2), cursor="c2")
    again = await opened(store)
    assert again == walk
    assert (again.page_number, again.walk_id) == (2, first.walk_id)


async def test_a_walk_that_has_no_page_yet_is_taken_up_too(store: Store) -> None:
    assert await opened(store) == await opened(store)
    assert store.value("SELECT count(*) FROM syncd.walks") == 1


@pytest.mark.fault(31)
async def test_a_position_that_is_worth_nothing_begins_a_new_generation(store: Store) -> None:
    walk = await turn(store, await opened(store), person(1))
    other_grant = await opened(store, grant="another consent")
    assert (other_grant.generation, other_grant.page_number, other_grant.position) == (2, 0, Start(limit=50))
    assert other_grant.walk_id != walk.walk_id
    async with store.begin() as tx:
        await record_page(tx, other_grant, Page(uuid4(), (), at(tx)), Counts())
        await save_position(tx, replace(at(tx), issued_at=tx.now - timedelta(hours=23)))
    aged = await opened(store)
    assert aged.generation == 3
    outcomes = store.query("SELECT generation, outcome FROM syncd.walks ORDER BY 1")
    assert outcomes == [(1, "abandoned"), (2, "abandoned"), (3, "open")]


async def test_the_certificate_counts_the_ledger(store: Store) -> None:
    walk = await opened(store)
    walk = await turn(store, walk, person(1), person(2), person(2, updated=5))
    walk = await turn(store, walk, person(2, updated=5), person(3), cursor="c2")
    await turn(store, walk, cursor=None)
    certificate = store.query(
        """SELECT outcome, pages, rows, distinct_keys, duplicates, rejected, first_request_id <> last_request_id,
                  ended_at >= started_at FROM syncd.walks"""
    )
    assert certificate == [("certified", 3, 5, 3, 2, 0, True, True)]
    assert store.query("SELECT last_certified_at = started_at FROM syncd.stream_status, syncd.walks") == [(True,)]
    async with store.begin() as tx:
        assert await load_position(tx) == Start()
    assert (await opened(store)).generation == 1, "the next one begins anew"


async def test_an_abandoned_walk_turns_nothing_green(store: Store) -> None:
    walk = await turn(store, await opened(store), person(1))
    async with store.begin() as tx:
        await abandon_walk(tx, walk, "for a test")
        await begin_walk(tx, Start(limit=6), generation=2)
    assert store.query("SELECT last_certified_at FROM syncd.stream_status") == [(None,)]
    assert store.value("SELECT count(*) FROM revento.participants") == 1, "its rows stay"
    async with store.begin() as tx:
        assert await load_position(tx) == Start(limit=6)
        await abandon_open_walk(tx, "begun anew by hand")
        assert await load_position(tx) == Start()
    assert store.query("SELECT DISTINCT outcome FROM syncd.walks") == [("abandoned",)]


async def test_a_stream_has_one_open_walk_at_most(store: Store) -> None:
    await opened(store)
    with pytest.raises(DatabaseError, match="23505"):
        async with store.begin() as tx:
            await begin_walk(tx, Start(), generation=2)
    async with store.begin("roles") as tx:
        assert (await open_walk(tx, grant="g")).generation == 1


async def test_books_that_do_not_balance_are_refused_with_their_page(store: Store) -> None:
    walk = await opened(store)

    async def cook() -> None:
        async with store.begin() as tx:
            page = Page(uuid4(), (person(1), person(2)), at(tx))
            await apply_changes(tx, page.changes, page.request_id)
            await save_position(tx, at(tx))
            await record_page(tx, walk, page, Counts(inserted=1))

    with pytest.raises(DatabaseError, match="23514"):
        await cook()
    assert store.value("SELECT count(*) FROM revento.participants") == 0
    async with store.begin() as tx:
        assert await load_position(tx) == Start()


async def test_a_page_is_entered_once(store: Store) -> None:
    """A second driver that took the same page up cannot enter it again."""
    walk = await opened(store)
    await turn(store, walk, person(1))
    with pytest.raises(DatabaseError, match="23505"):
        await turn(store, walk, person(2))
    assert store.value("SELECT count(*) FROM revento.participants") == 1


@pytest.mark.fault(83)
async def test_a_walk_does_not_go_on_behind_a_page_that_a_failover_has_lost(store: Store) -> None:
    """Its driver may not notice: between two transactions it has no session to lose."""
    walk = await turn(store, await turn(store, await opened(store), person(1)), person(2))
    assert store.query("DELETE FROM syncd.walk_pages WHERE page_number = 2 RETURNING page_number") == [(2,)]
    for cursor in ("c3", None):
        with pytest.raises(DatabaseError, match="has gone back to an older state"):
            await turn(store, walk, person(3), cursor=cursor)
    assert store.query("SELECT outcome FROM syncd.walks") == [("open",)]
    assert (await opened(store)).page_number == 1


@pytest.mark.fault(83)
async def test_a_stream_is_not_green_by_a_certificate_that_a_failover_has_lost(store: Store) -> None:
    """Its driver has seen the certificate committed, and closes the stream's books after it."""
    run = await open_run(store.database, store.lease, "sync", uuid4(), [STREAM], resume=False)
    store.run_id = run.run_id
    await turn(store, await opened(store), person(1), cursor=None)
    async with store.begin() as tx:
        assert (await end_stream(tx, StreamResult(STREAM, "certified"))).pages == 1
    lost = "UPDATE syncd.walks SET outcome = 'open', ended_at = NULL RETURNING outcome"
    assert store.query(lost) == [("open",)]
    for status in ("certified", "held"):
        with pytest.raises(DatabaseError, match="has gone back to an older state"):
            async with store.begin() as tx:
                await end_stream(tx, StreamResult(STREAM, status))
    async with store.begin() as tx:
        assert (await end_stream(tx, StreamResult(STREAM, "failed", "the API was silent"))).pages == 1


async def test_streams_do_not_share_positions(store: Store) -> None:
    await turn(store, await opened(store), person(1))
    async with store.begin("roles") as tx:
        assert await load_position(tx) == Start()
    assert store.query("SELECT stream FROM syncd.positions") == [(STREAM,)]
