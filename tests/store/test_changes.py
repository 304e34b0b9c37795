"""Writing a page: decided row by row, written in one order, and balanced."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import DatabaseError
from syncd.model import Change, Content, Counts, Dictionary
from syncd.sources.revento import tables
from syncd.store.changes import (
    AHEAD,
    Keyed,
    Known,
    Verdict,
    _content_hash,
    _keyed,
    apply_changes,
    foresee_changes,
    judge,
    key_hashes,
    newest_of,
)
from syncd.store.database import Database
from tests.store.conftest import EVENT_ID, Store, person, role

NOW = datetime(2026, 5, 1, tzinfo=UTC)
ROW_VERSIONS = """SELECT xmin::text, ctid::text FROM revento.participants
                  UNION SELECT xmin::text, ctid::text FROM revento.roles"""


async def apply(store: Store, *changes: Change, stream: str = "participants") -> Counts:
    async with store.begin(stream) as tx:
        counts: Counts = await apply_changes(tx, changes, uuid4())
        return counts


# --- the verdict, as a table ----------------------------------------------------------------------------------------


@pytest.mark.fault(40)
@pytest.mark.parametrize(
    ("known", "version", "same", "verdict"),
    [
        (None, NOW, False, Verdict.INSERT),
        (None, None, False, Verdict.INSERT),
        (Known(None, None, is_stub=True), NOW, False, Verdict.INSERT),
        (Known(b"hash", NOW, is_stub=False), NOW, True, Verdict.UNCHANGED),
        (Known(b"hash", NOW, is_stub=False), NOW - timedelta(1), True, Verdict.UNCHANGED),
        (Known(b"hash", NOW, is_stub=False), NOW, False, Verdict.UPDATE),
        (Known(b"hash", NOW, is_stub=False), NOW + timedelta(seconds=1), False, Verdict.UPDATE),
        (Known(b"hash", NOW, is_stub=False), NOW - timedelta(seconds=1), False, Verdict.SUPERSEDED),
        (Known(b"hash", None, is_stub=False), NOW, False, Verdict.UPDATE),
        (Known(b"hash", NOW, is_stub=False), None, False, Verdict.UPDATE),
        (Known(b"hash", None, is_stub=False), None, False, Verdict.UPDATE),
        (Known(b"hash", NOW + AHEAD, is_stub=False), NOW, False, Verdict.SUPERSEDED),
        (Known(b"hash", NOW + AHEAD + timedelta(seconds=1), is_stub=False), NOW, False, Verdict.UPDATE),
    ],
)
def test_the_verdict_on_a_row(known: Known | None, version: datetime | None, same: bool, verdict: Verdict) -> None:
    change = replace(person(1), version=version)
    assert judge(known, Keyed("k", b"hash" if same else b"other", change), NOW) is verdict


# --- one page -------------------------------------------------------------------------------------------------------


async def test_the_books_of_a_page_balance(store: Store) -> None:
    assert await apply(store, person(1), person(2), person(3, updated=9)) == Counts(inserted=3)
    page = [person(1), person(2, user_id="u"), person(3, user_id="older"), person(4), person(4, updated=5)]
    assert await apply(store, *page) == Counts(inserted=1, updated=1, unchanged=1, superseded=2)
    assert store.query("SELECT participant_id, user_id FROM revento.participants ORDER BY 1") == [
        ("ptp_0001", None),
        ("ptp_0002", "u"),
        ("ptp_0003", None),
        ("ptp_0004", None),
    ]


@pytest.mark.fault(88)
async def test_a_dry_run_judges_a_row_by_what_earlier_pages_would_have_stored(store: Store) -> None:
    foreseen: dict[tuple[str, str], Known] = {}
    older, newer = person(1, updated=4, user_id="older"), person(1, updated=6, user_id="newer")
    async with store.begin() as tx:
        assert await foresee_changes(tx, [person(1, updated=5)], foreseen) == Counts(inserted=1)
        assert await foresee_changes(tx, [older], foreseen) == Counts(superseded=1)
        assert await foresee_changes(tx, [newer], foreseen) == Counts(updated=1)
        assert await foresee_changes(tx, [newer], foreseen) == Counts(unchanged=1)


async def test_an_unchanged_row_is_not_touched(store: Store) -> None:
    await apply(store, person(1), role(1, "a"))
    before = store.query(ROW_VERSIONS)
    assert await apply(store, person(1), role(1, "a")) == Counts(unchanged=2)
    assert store.query(ROW_VERSIONS) == before


async def test_a_first_load_finds_its_rows_by_key_although_it_began_with_empty_tables(store: Store) -> None:
    for page in range(20):  # a statement is prepared by its sixth use, and its plan kept from the sixth use of that on
        content = [Content(tables.participant_private, "participant_key", ({"email": f"{n}"},)) for n in range(5)]
        people = [replace(person(page * 5 + n), parts=(each,)) for n, each in enumerate(content)]
        async with store.begin() as tx:
            await apply_changes(tx, people, uuid4())
            await tx.cursor.execute(
                """SELECT coalesce(sum(seq_scan), 0) FROM pg_stat_xact_user_tables
                   WHERE relname IN ('participants', 'participant_private')"""
            )
            ((whole_reads,),) = await tx.cursor.fetchall()
    assert whole_reads == 0


@pytest.mark.fault(34)
@given(stamps=st.lists(st.integers(0, 3), min_size=1, max_size=6), known=st.none() | st.integers(0, 3))
def test_of_rows_with_one_key_the_newest_wins_and_the_rest_is_superseded(stamps: list[int], known: int | None) -> None:
    rows = [_keyed(person(1, updated=stamp, user_id=f"u{n}")) for n, stamp in enumerate(stamps)]
    (winner,) = newest_of(rows).values()
    last = max(n for n, stamp in enumerate(stamps) if stamp == max(stamps))
    assert winner is rows[last]


def test_the_hash_covers_parts_and_unknown_fields() -> None:
    plain = person(1)
    content = Content(tables.participant_private, "participant_key", ({"participant_key": "k", "email": "a@b"},))
    forms = Dictionary(tables.form_fields, "value_types", ({"event_id": "e", "field_key": "f", "value_types": ["x"]},))
    variants = [
        plain,
        person(1, user_id="u"),
        person(1, updated=1),
        replace(plain, unmapped={"a": 1}),
        replace(plain, unmapped={"a": None}),
        replace(plain, parts=(content,)),
        replace(plain, parts=(content, forms)),
        replace(plain, parts=(replace(content, rows=({"participant_key": "k", "email": None},)),)),
    ]
    assert len({_content_hash(change) for change in variants}) == len(variants)
    assert _content_hash(person(1, a=1, b=2)) == _content_hash(person(1, b=2, a=1)), (
        "the order of columns is no content"
    )


def test_the_ledger_remembers_keys_not_content() -> None:
    assert key_hashes([person(1), person(2)]) == key_hashes([person(2, user_id="x"), person(1)])
    assert len(key_hashes([person(n) for n in range(50)])) == 400
    assert key_hashes([person(1)]) != key_hashes([role(1, "a")])
    assert key_hashes([]) == b""


# --- stubs ----------------------------------------------------------------------------------------------------------


@pytest.mark.fault(41)
async def test_what_a_row_names_is_a_stub_until_it_comes(store: Store) -> None:
    await apply(store, person(1, role_id="role_0007"))
    stub = "SELECT name, _syncd_is_stub, _syncd_hash IS NULL, _syncd_run_id IS NULL FROM revento.roles"
    assert store.query(stub) == [(None, True, True, True)]
    assert store.query("SELECT event_id, title, _syncd_is_stub FROM revento.events") == [(EVENT_ID, None, True)]
    assert await apply(store, role(7, "Staff"), stream="roles") == Counts(inserted=1)
    assert store.query(stub) == [("Staff", False, False, False)]
    await apply(store, person(2, role_id="role_0007"))
    assert store.query(stub) == [("Staff", False, False, False)], "a stub never overwrites a row"


async def test_a_key_is_divided_by_its_first_slash(store: Store) -> None:
    await apply(store, person(1, role_id="a/b/c"))
    assert store.query("SELECT event_id, role_id, role_key FROM revento.roles") == [
        (EVENT_ID, "a/b/c", f"{EVENT_ID}/a/b/c")
    ]


# --- order ----------------------------------------------------------------------------------------------------------


@pytest.mark.fault(84)
async def test_pages_that_share_rows_never_lock_each_other_out(store: Store) -> None:
    """Four drivers write the same two hundred rows, each in an order of its own."""
    leases = [await store.add(f"revento/evt_{n}") for n in range(2, 6)]
    rng = Random(1)

    async def write(database: Database, lease: Any, mark: int) -> None:
        for turn in range(12):
            page = [person(n, updated=turn, user_id=f"{mark}/{turn}", role_id=f"role_{n:04d}") for n in range(200)]
            rng.shuffle(page)
            async with database.begin(lease, store.run_id, "participants") as tx:
                await apply_changes(tx, page, uuid4())

    await asyncio.gather(*(write(store.database, lease, mark) for mark, lease in enumerate(leases)))
    assert store.value("SELECT count(*) FROM revento.participants") == 200


@pytest.mark.fault(84)
async def test_two_pages_that_meet_in_the_middle_do_not_lock_each_other_out(store: Store) -> None:
    """One waits for the last of its rows and holds the others; the other one asks for those the other way round."""
    other = await store.add("revento/evt_2")
    await apply(store, *(person(n) for n in (1, 2, 3)))

    async def write(lease: Any, *numbers: int) -> None:
        async with store.database.begin(lease, store.run_id, "participants") as tx:
            await apply_changes(tx, [person(n, updated=1) for n in numbers], uuid4())

    with psycopg.connect(store.url) as holder:
        holder.execute("SELECT FROM revento.participants WHERE participant_id = 'ptp_0003' FOR UPDATE")
        pages = [asyncio.create_task(write(store.lease, 1, 3, 2))]
        await _until_waiting(store, 1)
        pages.append(asyncio.create_task(write(other, 2, 1)))
        await _until_waiting(store, 2)
    await asyncio.gather(*pages)
    assert store.value("SELECT count(*) FROM revento.participants WHERE updated_at > '2026-05-01'") == 3


async def _until_waiting(store: Store, sessions: int) -> None:
    waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(30):
        while store.value(f"SELECT count(*) FROM {waiting}") < sessions:
            await asyncio.sleep(0.01)


# --- what users may not see -----------------------------------------------------------------------------------------


@pytest.mark.fault(93)
async def test_an_error_of_the_database_shows_no_row(store: Store) -> None:
    bad = Change(tables.roles, {"event_id": "a/b", "role_id": "r", "name": "CANARY"})
    with pytest.raises(DatabaseError) as error:
        await apply(store, bad, stream="roles")
    assert "CANARY" not in str(error.value)
    assert "SQLSTATE" in str(error.value)
    assert "a/b" not in str(error.value)


@pytest.mark.fault(77)
async def test_keys_from_data_never_become_sql(store: Store) -> None:
    nasty = """x'); DROP TABLE revento.roles; --"%s%%(a)s{}$1"""
    change = Change(
        tables.participants,
        {"event_id": EVENT_ID, "participant_id": nasty, "user_id": nasty},
        parts=(
            Content(
                tables.participant_private,
                "participant_key",
                ({"custom_form_fields": {nasty: nasty}, "nickname": nasty},),
            ),
            Dictionary(
                tables.form_fields,
                "value_types",
                ({"event_id": EVENT_ID, "field_key": nasty, "value_types": ["string"], "is_sensitive": False},),
            ),
        ),
        unmapped={nasty: [nasty]},
    )
    assert await apply(store, change) == Counts(inserted=1)
    stored = store.query(
        """SELECT participant_id, custom_form_fields, field_key, fields FROM revento.participants
           JOIN revento.participant_private USING (participant_key), revento.form_fields, revento.unmapped_fields"""
    )
    assert stored == [(nasty, {nasty: nasty}, nasty, {nasty: [nasty]})]
