"""Rows that are gone at the source: hidden by two witnesses, held by the brake, back as soon as they are listed."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd import main
from syncd.errors import DatabaseError
from syncd.store.leases import claim
from syncd.store.removals import Absence, Pending, Ref
from syncd.store.reports import report_installations
from syncd.store.runs import StreamResult
from syncd.sync import removals
from syncd.sync.outcome import exit_code
from syncd.sync.removals import Rules, decide
from tests import truth
from tests.harness import LOCATIONS, PARTICIPANTS, ROLES, Bench, OpenBench
from tests.sync.test_database_cuts import ORIGINAL
from tests.sync.test_resume import Cancelling

PEOPLE = ["participants"]
ALL = 60


@pytest.fixture
async def bench(open_bench: OpenBench) -> Bench:
    """A small world on pages of twenty, whose participants were copied once; pauses take no time."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "20"}, participants=ALL)
    await bench.add()
    bench.hurry()
    assert await walk(bench) == ("certified", 0, 0)
    return bench


@pytest.fixture
async def copied(bench: Bench) -> Bench:
    """The same, all of it."""
    assert (await bench.sync()).exit_code == 0
    return bench


def people(bench: Bench) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = bench.sandbox.truth()["events"][0]["participants"]
    return rows


def withdraw(bench: Bench, *rows: dict[str, Any]) -> None:
    for row in rows:
        bench.sandbox.world.delete(bench.event_id, "participants", row["id"])


def return_(bench: Bench, *rows: dict[str, Any]) -> None:
    for row in rows:
        bench.sandbox.world.create(bench.event_id, "participants", row)


async def walk(bench: Bench, stream: str = "participants") -> tuple[str, int, int]:
    """One round of the stream: its status, how many rows it removed, and the round's exit code."""
    result = await bench.sync(streams=[stream])
    (found,) = result.streams
    return found.status, found.removed, result.exit_code


def hidden(bench: Bench, table: str = "participants") -> set[str]:
    """The ids of rows that were served once and are hidden."""
    key = {"participants": "participant_id", "locations": "location_id", "roles": "role_id"}[table]
    rows = bench.query(f"SELECT {key} FROM revento.{table} WHERE _syncd_deleted_at IS NOT NULL AND NOT _syncd_is_stub")
    return {row[0] for row in rows}


def ids(rows: list[dict[str, Any]]) -> set[str]:
    return {row["id"] for row in rows}


def pending(bench: Bench, *, rejected: bool = False) -> set[str]:
    which = "rejected_at IS NOT NULL" if rejected else "rejected_at IS NULL"
    keys = bench.query(f"SELECT entity_key FROM syncd.pending_removals WHERE {which}")
    return {key.partition("/")[2] for (key,) in keys}


async def decide_on(bench: Bench, act: str, **options: Any) -> int:
    installation = await bench.installation()
    (stream,) = main.chosen_streams(installation, PEOPLE)
    return int(await getattr(removals, act)(bench.app.database, installation, stream, **options))


# --- two witnesses ----------------------------------------------------------------------------------------------------


@pytest.mark.fault(28)
@pytest.mark.case("RV-26")
@pytest.mark.usefixtures("copied")
async def test_who_withdrew_is_hidden_by_the_second_walk_and_forgotten(bench: Bench) -> None:
    gone = people(bench)[7]
    bench.sandbox.world.patch(bench.event_id, "participants", gone["id"], {"shoe_size": 43})
    await walk(bench)
    kept = f"{bench.event_id}/{gone['id']}"
    before = bench.query(
        "SELECT _syncd_run_id, _syncd_request_id, _syncd_hash FROM revento.participants WHERE participant_key = %s",
        kept,
    )
    withdraw(bench, gone)
    assert await walk(bench) == ("certified", 0, 0)
    assert hidden(bench) == set(), "one walk may have overlooked it"
    assert bench.value("SELECT count(*) FROM revento.participant_private WHERE participant_key = %s", kept) == 1
    assert await walk(bench) == ("certified", 1, 0)
    assert hidden(bench) == {gone["id"]}
    truth.assert_equal(bench.url, bench.sandbox.truth())
    for table, key in (("participant_private", "participant_key"), ("unmapped_fields", "entity_key")):
        assert bench.value(f"SELECT count(*) FROM revento.{table} WHERE {key} = %s", kept) == 0
    row = bench.query(
        """SELECT _syncd_deleted_at = _syncd_synced_at, _syncd_deleted_at > (SELECT min(ended_at) FROM syncd.walks)
           FROM revento.participants WHERE participant_key = %s""",
        kept,
    )
    assert row == [(True, True)]
    after = bench.query(
        "SELECT _syncd_run_id, _syncd_request_id, _syncd_hash FROM revento.participants WHERE participant_key = %s",
        kept,
    )
    assert after == before, "they tell who last brought the row"
    assert bench.value("SELECT count(*) FROM bi.dim_participants WHERE participant_key = %s", kept) == 0
    assert bench.value("SELECT sum(removed) FROM syncd.run_streams") == 1
    # and that is all: nothing more to remove, nothing touched
    stamps = bench.query("SELECT participant_key, _syncd_synced_at, xmin::text FROM revento.participants ORDER BY 1")
    assert await walk(bench) == ("certified", 0, 0)
    assert (
        bench.query("SELECT participant_key, _syncd_synced_at, xmin::text FROM revento.participants ORDER BY 1")
        == stamps
    )


async def test_a_row_that_one_walk_missed_begins_at_nought(bench: Bench) -> None:
    lost = people(bench)[7]
    withdraw(bench, lost)
    await walk(bench)
    return_(bench, lost)
    await walk(bench)
    withdraw(bench, lost)
    assert await walk(bench) == ("certified", 0, 0)
    assert hidden(bench) == set()
    assert await walk(bench) == ("certified", 1, 0)


@pytest.mark.parametrize(
    "change", [{}, {"updated_at": "2020-01-01T00:00:00Z", "nickname": "older"}], ids=["same", "older"]
)
@pytest.mark.usefixtures("copied")
async def test_who_comes_back_shows_again(bench: Bench, change: dict[str, Any]) -> None:
    """Though the content be the same, or older than what is left of ours; with all that is personal."""
    gone = people(bench)[7]
    withdraw(bench, gone)
    for _ in range(2):
        await walk(bench)
    assert hidden(bench) == {gone["id"]}
    return_(bench, gone | change)
    assert (await bench.sync()).exit_code == 0
    assert hidden(bench) == set()
    truth.assert_equal(bench.url, bench.sandbox.truth())


async def test_more_witnesses_can_be_asked_for(open_bench: OpenBench) -> None:
    bench = await open_bench({"REMOVALS__WITNESSES": "3"})
    await bench.add()
    await bench.sync()
    withdraw(bench, people(bench)[7])
    assert [await walk(bench) for _ in range(3)] == [("certified", 0, 0)] * 2 + [("certified", 1, 0)]


@pytest.mark.usefixtures("copied")
async def test_a_stub_is_hidden_when_its_own_listing_does_not_know_it(bench: Bench) -> None:
    """The stub came behind the first walk, which so was no witness."""
    stub = "SELECT _syncd_deleted_at IS NOT NULL, _syncd_hash IS NULL FROM revento.participants WHERE _syncd_is_stub"
    assert bench.query(stub) == [(False, True)]
    assert await walk(bench) == ("certified", 0, 0)
    assert bench.query(stub) == [(False, True)]
    assert await walk(bench) == ("certified", 0, 0), "nothing that anybody saw was removed"
    assert bench.query(stub) == [(True, True)]
    truth.assert_equal(bench.url, bench.sandbox.truth())
    return_(bench, {"id": "ptp_of_nobody"})
    await walk(bench)
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(42)
@pytest.mark.usefixtures("copied")
async def test_a_location_that_leaves_the_tree(bench: Bench) -> None:
    """A tree holds several tables; what hangs on a row goes out of sight with it, and comes back with it."""
    before = bench.sandbox.truth()["events"][0]["locations"]
    tree = bench.sandbox.truth()["events"][0]["locations"]
    location = tree["venues"][0]["locations"].pop(0)
    floor = tree["venues"][0]["buildings"][0]["floors"].pop()
    for other in tree["venues"][0]["locations"]:
        if (other.get("floor") or {}).get("id") == floor["id"]:
            other["floor"] = None
    bench.sandbox.world.put_locations(bench.event_id, tree)
    for expected in (0, 2):
        result = await bench.sync()
        assert [one.removed for one in result.streams if one.stream == "locations"] == [expected]
    assert hidden(bench, "locations") == {location["id"]}
    assert bench.query("SELECT floor_id FROM revento.floors WHERE _syncd_deleted_at IS NOT NULL") == [(floor["id"],)]
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert location["id"] not in {one for (one,) in bench.query("SELECT location_id FROM bi.dim_locations")}
    bench.sandbox.world.put_locations(bench.event_id, before)
    await bench.sync()
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.usefixtures("copied")
async def test_an_activity_and_a_wave_that_are_gone(bench: Bench) -> None:
    """Their links and sign-ups stay as last seen; when they are back, the sign-ups meanwhile have no lower bound."""
    event, world = bench.event_id, bench.sandbox.world
    served = bench.sandbox.truth()["events"][0]
    activity = next(
        row
        for row in served["activities"]
        if row["markers"] and len(row.get("signed_up_participant_ids") or ()) == row["committed_signups_count"] > 0
    )
    wave = next(row for row in served["registration_waves"] if row["activity_ids"])
    world.delete(event, "activities", activity["id"])
    world.delete(event, "registration-waves", wave["id"])
    for removed in (0, 2):
        assert sum(one.removed for one in (await bench.sync()).streams) == removed
    truth.assert_equal(bench.url, bench.sandbox.truth())
    key = f"{event}/{activity['id']}"
    spells = "SELECT count(*), count(removed_at) FROM revento.activity_sign_ups WHERE activity_key = %s"
    assert bench.query(spells, key) == [(activity["committed_signups_count"], 0)]

    listed = activity["signed_up_participant_ids"]
    newcomer = next(one["id"] for one in people(bench) if one["id"] not in listed)
    more = {"signed_up_participant_ids": [*listed, newcomer], "committed_signups_count": len(listed) + 1}
    world.create(event, "activities", activity | more)
    world.create(event, "registration-waves", wave)
    await bench.sync()
    truth.assert_equal(bench.url, bench.sandbox.truth())
    bounds = bench.query("SELECT first_seen_lower_bound FROM revento.activity_sign_ups WHERE activity_key = %s", key)
    assert set(bounds) == {(None,)}


async def test_two_events_are_judged_apart(open_bench: OpenBench) -> None:
    bench = await open_bench(events=2)
    first, second = [await bench.add(event_id) for event_id in bench.sandbox.event_ids]
    await bench.sync(first)
    await bench.sync(second)
    for _ in range(3):
        await bench.sync(first)
    gone = "SELECT count(*) FROM revento.participants WHERE _syncd_deleted_at IS NOT NULL AND NOT _syncd_is_stub"
    assert bench.value(gone) == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())


# --- walks that are no witnesses --------------------------------------------------------------------------------------


@pytest.mark.case("RV-27")
async def test_a_walk_that_fails_removes_nothing_and_is_no_witness(open_bench: OpenBench) -> None:
    """Page seven of nine fails to the end, twice; nothing is hidden though two walks and two tries have missed it."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "7"}, participants=ALL)
    await bench.add()
    bench.hurry()
    await walk(bench)
    gone = people(bench)[0]
    withdraw(bench, gone)
    await walk(bench)
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 7, "status": 503, "times": None})
    for _ in range(2):
        assert (await walk(bench))[0] == "failed"
    assert hidden(bench) == set()
    assert bench.value("SELECT count(*) FROM revento.participant_private") == ALL
    bench.sandbox.faults.clear()
    assert await walk(bench) == ("certified", 1, 0), "the same walk, taken up: its pages are of one grant and one query"
    assert hidden(bench) == {gone["id"]}


@pytest.mark.fault(28)
async def test_what_a_broken_walk_met_is_not_gone(bench: Bench) -> None:
    """Missed, met by a walk that broke behind it, missed: that is no second miss in a row."""
    served = people(bench)
    withdraw(bench, served[7])
    await walk(bench)
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "set": {"data": served[:20]}})
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 2, "status": 503, "times": None})
    assert (await walk(bench))[0] == "failed"
    bench.sandbox.faults.clear()
    assert (await bench.sync(streams=PEOPLE, fresh=True)).exit_code == 0
    outcomes = bench.query("SELECT outcome FROM syncd.walks WHERE stream = 'participants' ORDER BY started_at")
    assert outcomes == [("certified",), ("certified",), ("abandoned",), ("certified",)]
    assert hidden(bench) == set()
    assert await walk(bench) == ("certified", 1, 0)


@pytest.mark.fault(19)
@pytest.mark.fault(32)
async def test_a_walk_that_was_restarted_is_no_witness(bench: Bench) -> None:
    withdraw(bench, people(bench)[7])
    await walk(bench)
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 2, "error": "invalid_cursor"})
    assert await walk(bench) == ("certified", 0, 0)
    assert bench.query("SELECT generation FROM syncd.walks ORDER BY started_at DESC LIMIT 1") == [(2,)]
    assert hidden(bench) == set()
    assert await walk(bench) == ("certified", 1, 0)


@pytest.mark.fault(20)
async def test_a_walk_whose_page_size_changed_is_no_witness(bench: Bench) -> None:
    """The lenient server goes on behind the same cursor with fewer rows; whether it skipped some nobody can tell."""
    withdraw(bench, people(bench)[7])
    await walk(bench)
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 2, "error": "payload_too_large"})
    assert await walk(bench) == ("certified", 0, 0)
    sizes = "SELECT DISTINCT page_limit FROM syncd.walk_pages JOIN syncd.walks USING (walk_id) WHERE stream = %s"
    assert set(bench.query(sizes, "participants")) == {(20,), (10,)}
    assert await walk(bench) == ("certified", 1, 0), "the next begins at the smaller size and keeps it"


async def test_a_walk_that_could_not_read_a_row_is_no_witness(bench: Bench) -> None:
    """Nobody knows which row it was."""
    served = bench.sandbox.truth()["events"][0]["roles"]
    assert await walk(bench, "roles") == ("certified", 0, 0)
    unreadable = [*served[1:], {"name": "without an id"}]
    bench.sandbox.faults.add({"endpoint": ROLES, "set": {"data": unreadable}, "times": None})
    for _ in range(3):
        assert (await walk(bench, "roles"))[:2] == ("certified", 0)
    bench.sandbox.faults.clear()
    bench.sandbox.faults.add({"endpoint": ROLES, "set": {"data": served[1:]}, "times": None})
    assert [await walk(bench, "roles") for _ in range(2)] == [("certified", 0, 0), ("certified", 1, 0)]
    assert hidden(bench, "roles") == {served[0]["id"]}


@pytest.mark.fault(30)
async def test_a_walk_whose_listing_shifted_is_no_witness(bench: Bench) -> None:
    """What a later page repeats pushed something else out."""
    served = people(bench)
    for _ in range(3):
        shifted = [*served[15:20], *served[25:40]]
        bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 2, "set": {"data": shifted}})
        assert await walk(bench) == ("certified", 0, 0)
    assert hidden(bench) == set()
    assert bench.query("SELECT duplicates FROM syncd.walks WHERE NOT is_witness") == [(5,)] * 3


@pytest.mark.fault(30)
async def test_a_listing_in_no_order_at_all_removes_nothing(open_bench: OpenBench) -> None:
    """Each walk skips a third of the rows; that it repeats as many gives it away."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "20"}, participants=ALL, gaps={"G6": "arbitrary"})
    await bench.add()
    for _ in range(6):
        assert (await walk(bench))[1] == 0
    assert bench.value("SELECT count(*) FROM syncd.walks WHERE outcome = 'certified' AND NOT is_witness") == 6


async def test_a_ledger_that_was_cleared_away_is_no_witness(bench: Bench) -> None:
    bench.execute("DELETE FROM syncd.walk_pages WHERE page_number = 2")
    withdraw(bench, people(bench)[7])
    assert [await walk(bench) for _ in range(2)] == [("certified", 0, 0), ("certified", 1, 0)]
    bench.execute("DELETE FROM syncd.walk_pages WHERE page_number = 2")
    gone = people(bench)[8]
    withdraw(bench, gone)
    await walk(bench)
    bench.execute("DELETE FROM syncd.walk_pages WHERE page_number = 2")
    assert await walk(bench) == ("certified", 0, 0)


@pytest.mark.fault(94)
@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.usefixtures("copied")
async def test_a_crash_behind_any_page_of_the_second_walk(bench: Bench, page: int) -> None:
    """Rows, certificate and removal are one transaction; what is taken up goes on as the same walk."""
    withdraw(bench, people(bench)[7])
    await walk(bench)
    assert await Cancelling(after=2 + page).run(bench) is None
    assert len(hidden(bench)) == (1 if page == 3 else 0)
    result = await bench.sync()
    assert [one.removed for one in result.streams if one.stream == "participants"] == [1]
    assert bench.value("SELECT sum(removed) FROM syncd.run_streams") == 1
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(81)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE revento.participants SET _syncd_deleted_at",
        "DELETE FROM revento.participant_private",
        "DELETE FROM syncd.pending_removals",
        "INSERT INTO syncd.run_streams",
    ],
)
async def test_a_session_that_is_ended_within_a_removal(
    bench: Bench, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    withdraw(bench, people(bench)[7])
    await walk(bench)
    cut: list[Any] = []

    async def execute(cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
        if statement in str(query) and not cut:
            cut.append(query)
            with psycopg.connect(bench.url, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", [cursor.connection.info.backend_pid])
        return await ORIGINAL(cursor, query, *args, **options)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", execute)
    with pytest.raises(DatabaseError):
        await walk(bench)
    monkeypatch.undo()
    assert cut
    assert hidden(bench) == set()
    assert bench.value("SELECT count(*) FROM revento.participant_private") == ALL
    assert bench.value("SELECT count(*) FROM syncd.walks WHERE outcome = 'certified'") == 2
    assert await walk(bench) == ("certified", 1, 0)


# --- the brake --------------------------------------------------------------------------------------------------------


async def hold(bench: Bench, number: int = 15) -> list[dict[str, Any]]:
    """Withdraw so many people: the first walk that misses them asks."""
    gone = people(bench)[:number]
    withdraw(bench, *gone)
    assert await walk(bench) == ("held", 0, 5)
    return gone


@pytest.mark.usefixtures("copied")
async def test_a_large_set_is_held_whole_until_it_is_accepted(bench: Bench) -> None:
    gone = await hold(bench)
    assert (hidden(bench), pending(bench)) == (set(), ids(gone))
    assert bench.value("SELECT count(*) FROM revento.participant_private") == ALL
    result = await bench.sync()
    (found,) = (one for one in result.streams if one.stream == "participants")
    assert (result.exit_code, result.state) == (5, "refused")
    assert found.reason == (
        f"15 of 60 rows are gone at the source and are held until `syncd deletes accept {bench.names[0]} "
        "--stream participants`, or `reject`"
    )
    fresh = "SELECT is_stale, reason FROM bi.data_freshness WHERE stream = 'participants'"
    assert bench.query(fresh) == [(False, found.reason)]
    held = bench.query("SELECT entity_key, held_at, xmin::text FROM syncd.pending_removals ORDER BY 1")
    await walk(bench)
    assert bench.query("SELECT entity_key, held_at, xmin::text FROM syncd.pending_removals ORDER BY 1") == held

    assert await decide_on(bench, "accept", rejected=False) == 15
    assert (hidden(bench), pending(bench)) == (ids(gone), set())
    assert bench.query(fresh) == [(False, None)]
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert await walk(bench) == ("certified", 0, 0)


@pytest.mark.parametrize(
    ("environ", "gone", "is_held"),
    [
        ({}, 10, False),  # not more than ten rows
        ({}, 12, False),  # more than ten, not more than a fifth
        ({}, 13, True),
        ({"REMOVALS__MIN_ROWS": "13"}, 13, False),
        ({"REMOVALS__MAX_SHARE": "0.1"}, 11, True),
        ({"REMOVALS__MAX_ROWS": "3"}, 4, True),
    ],
)
async def test_where_the_brake_takes_hold(
    open_bench: OpenBench, environ: dict[str, str], gone: int, is_held: bool
) -> None:
    bench = await open_bench(environ, participants=ALL)
    await bench.add()
    await bench.sync(streams=PEOPLE)
    withdraw(bench, *people(bench)[:gone])
    assert await walk(bench) == (("held", 0, 5) if is_held else ("certified", 0, 0))
    assert await walk(bench) == (("held", 0, 5) if is_held else ("certified", gone, 0))


@pytest.mark.usefixtures("copied")
async def test_an_empty_walk_over_rows_is_held_however_few_they_are(bench: Bench) -> None:
    empty: dict[str, Any] = {"endpoint": ROLES, "set": {"data": []}, "times": None}
    bench.sandbox.faults.add(empty)
    for _ in range(2):
        assert await walk(bench, "roles") == ("held", 0, 5)
        assert hidden(bench, "roles") == set()
    bench.sandbox.faults.clear()
    assert (await bench.sync()).exit_code == 0
    assert bench.value("SELECT count(*) FROM syncd.pending_removals") == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())


async def test_an_empty_tree_is_held(bench: Bench) -> None:
    assert await walk(bench, "locations") == ("certified", 0, 0)
    bench.sandbox.faults.add({"endpoint": LOCATIONS, "set": {"venues": []}, "times": None})
    assert [await walk(bench, "locations") for _ in range(2)] == [("held", 0, 5)] * 2
    entities = bench.query("SELECT DISTINCT entity FROM syncd.pending_removals ORDER BY 1")
    assert entities == [("buildings",), ("floors",), ("locations",), ("venues",)]


@pytest.mark.usefixtures("copied")
async def test_a_held_row_that_comes_back_leaves_the_set_and_an_empty_set_ends_the_hold(bench: Bench) -> None:
    gone = await hold(bench)
    return_(bench, *gone[3:])
    assert await walk(bench) == ("held", 0, 5), "however small it has become, it waits for a person"
    assert pending(bench) == ids(gone[:3])
    return_(bench, *gone[:3])
    assert await walk(bench) == ("certified", 0, 0)
    assert pending(bench) == set()
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.usefixtures("copied")
async def test_a_held_set_grows_and_accept_takes_what_is_held_then(bench: Bench) -> None:
    gone = await hold(bench)
    later = people(bench)[0]
    withdraw(bench, later)
    await walk(bench)
    assert pending(bench) == ids([*gone, later])
    back = gone.pop(0)
    return_(bench, back)
    assert await Cancelling(after=2 + 3).run(bench) is None
    assert await decide_on(bench, "accept", rejected=False) == 15
    assert hidden(bench) == ids([*gone, later]), "who is back is not hidden"


@pytest.mark.fault(28)
@pytest.mark.usefixtures("copied")
async def test_what_is_held_since_a_person_was_asked_stays_held(bench: Bench) -> None:
    gone = await hold(bench)
    shown = bench.value("SELECT max(held_at) FROM syncd.pending_removals")
    later = people(bench)[0]
    withdraw(bench, later)
    await walk(bench)
    await walk(bench)
    assert await decide_on(bench, "accept", rejected=False, shown=shown) == 15
    assert (hidden(bench), pending(bench)) == (ids(gone), ids([later]))
    assert bench.value("SELECT status FROM syncd.stream_status WHERE stream = 'participants'") == "held"
    assert await decide_on(bench, "accept", rejected=False) == 1
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.usefixtures("copied")
async def test_accept_leaves_alone_what_an_open_walk_has_met(bench: Bench) -> None:
    gone = await hold(bench)
    back = people(bench)[0] | {"id": gone[0]["id"]}
    page = {"data": [back, *people(bench)[1:20]]}
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "set": page})
    assert await Cancelling(after=2 + 1).run(bench) is None
    assert bench.value("SELECT count(*) FROM syncd.walks WHERE outcome = 'open'") == 1
    assert await decide_on(bench, "accept", rejected=False) == 14
    assert hidden(bench) == ids(gone[1:])


async def test_accept_needs_no_lease_and_tears_no_page(bench: Bench) -> None:
    """It waits for the page that the driver is writing, not for the round."""
    gone = await hold(bench)
    claimed = await claim(bench.app.database, bench.names[0], "somebody else")
    assert claimed
    async with bench.app.database.begin(claimed.lease, uuid4(), "participants"):
        accepting = asyncio.create_task(decide_on(bench, "accept", rejected=False))
        async with asyncio.timeout(20):
            while not bench.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                assert not accepting.done()
                await asyncio.sleep(0.01)
        assert hidden(bench) == set()
    assert await accepting == len(gone)


@pytest.mark.usefixtures("copied")
async def test_rejected_rows_stay_and_are_in_nobodys_way(bench: Bench) -> None:
    gone = await hold(bench)
    assert await decide_on(bench, "reject") == 15
    assert (pending(bench), pending(bench, rejected=True)) == (set(), ids(gone))
    for _ in range(2):
        assert await walk(bench) == ("certified", 0, 0)
    one_more = people(bench)[0]
    withdraw(bench, one_more)
    assert [await walk(bench) for _ in range(2)] == [("certified", 0, 0), ("certified", 1, 0)]
    assert hidden(bench) == {one_more["id"]}
    # one that is listed again is judged like any other when it goes once more
    return_(bench, gone[0])
    await walk(bench)
    assert pending(bench, rejected=True) == ids(gone[1:])
    withdraw(bench, gone[0])
    assert [await walk(bench) for _ in range(2)] == [("certified", 0, 0), ("certified", 1, 0)]
    assert await decide_on(bench, "accept", rejected=False) == 0
    assert await decide_on(bench, "accept", rejected=True) == 14
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.case("RV-40")
@pytest.mark.usefixtures("copied")
async def test_a_sandbox_that_is_reset(bench: Bench) -> None:
    """All ids change: the new rows are in at once, the old ones are held, further walks confirm it, a person applies
    it."""
    old = people(bench)
    withdraw(bench, *old)
    for row in old:
        bench.sandbox.world.create(bench.event_id, "participants", {**row, "id": f"ptp_new_{row['id'][4:]}"})
    for _ in range(3):
        assert await walk(bench) == ("held", 0, 5)
        assert bench.value("SELECT count(*) FROM revento.participants WHERE NOT _syncd_is_stub") == 2 * ALL
        assert (hidden(bench), pending(bench)) == (set(), ids(old))
    assert await decide_on(bench, "accept", rejected=False) == ALL
    assert await walk(bench) == ("certified", 0, 0)
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.usefixtures("copied")
async def test_a_round_that_was_cut_off_behind_a_held_stream_still_says_so(bench: Bench) -> None:
    await hold(bench)
    assert await Cancelling(after=2 + 3).run(bench) is None
    mark = bench.mark()
    result = await bench.sync()
    assert bench.calls(PARTICIPANTS, mark) == []
    assert (result.exit_code, [one.status for one in result.streams].count("held")) == (5, 1)


@pytest.mark.fault(28)
@pytest.mark.usefixtures("copied")
async def test_what_is_held_shows_behind_a_later_failure(bench: Bench) -> None:
    await hold(bench)
    bench.hurry()
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "status": 503, "times": None})
    await bench.sync(streams=PEOPLE)
    fresh = bench.query("SELECT held_rows, reason FROM bi.data_freshness WHERE stream = 'participants'")
    assert [(rows, "held" in reason) for rows, reason in fresh] == [(15, False)]
    (report,) = await report_installations(bench.app.database)
    assert {each.stream: each.state for each in report.streams}["participants"] == "held"
    await decide_on(bench, "reject")
    assert bench.value("SELECT sum(held_rows) FROM bi.data_freshness") == 0


async def test_scheduled_rounds_remove_and_hold_too(bench: Bench) -> None:
    async def fall_due() -> None:
        bench.execute("UPDATE syncd.stream_status SET last_certified_at = last_certified_at - interval '1 hour'")
        await bench.app.run_due(bench.names[0])

    withdraw(bench, people(bench)[0])
    await fall_due()
    await fall_due()
    assert len(hidden(bench)) == 1
    withdraw(bench, *people(bench)[:30])
    await fall_due()
    assert (len(hidden(bench)), len(pending(bench))) == (1, 30)
    ended = bench.query("SELECT trigger, state, exit_code FROM syncd.runs ORDER BY started_at DESC LIMIT 1")
    assert ended == [("schedule", "refused", 5)]


# --- the decision, pure -----------------------------------------------------------------------------------------------


def refs(numbers: set[int]) -> frozenset[Ref]:
    return frozenset(Ref("things", str(number)) for number in numbers)


def test_a_hold_is_worse_than_a_failure_and_better_than_a_lost_consent() -> None:
    held = StreamResult("participants", "held", exit_code=5)
    failed, refused = (StreamResult("roles", "failed", exit_code=code) for code in (1, 4))
    assert [exit_code(results) for results in ([held], [held, failed], [held, failed, refused])] == [5, 5, 4]


SETS = st.sets(st.integers(0, 40), max_size=40)


@given(
    newest=SETS,
    agreed=SETS,
    held=SETS,
    rejected=SETS,
    stubs=st.integers(0, 5),
    more=st.integers(0, 60),
    was_empty=st.booleans(),
)
def test_the_decision_is_whole_and_never_hides_past_the_brake(
    newest: set[int], agreed: set[int], held: set[int], rejected: set[int], stubs: int, more: int, was_empty: bool
) -> None:
    """What more walks agree on is part of what the newest has missed; all of that is held, or none of it."""
    rules = Rules(max_share=0.25, min_rows=4, max_rows=20)
    missed = Absence(len(newest) + more, refs(newest), refs(set(range(100, 106))))
    absence = Absence(missed.live, refs(newest & agreed), refs(set(range(100, 100 + stubs))))
    pending = Pending(refs(held - rejected), refs(rejected))
    decision = decide(rules, missed, absence, pending, was_empty=was_empty)
    due = refs(newest - rejected)
    assert decision.hide >= absence.stubs
    if decision.hold:
        assert (decision.hide, decision.hold) == (absence.stubs, due)
        too_many = len(due) > 20 or (len(due) > 4 and len(due) > 0.25 * missed.live)
        assert was_empty or too_many or due & pending.held
    else:
        assert decision.hide - absence.stubs == refs((newest & agreed) - rejected)
        assert len(due) <= 20
        assert not due or not was_empty
        assert not due & pending.held
        assert len(due) <= 4 or len(due) <= 0.25 * missed.live
