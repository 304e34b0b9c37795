"""What changes at the source reaches the tables, what does not change is not touched, and nothing goes back in time."""

from __future__ import annotations

import random
from datetime import datetime
from typing import Any

import psycopg
import pytest

from syncd import main
from syncd.sync.round import Watch
from tests import truth
from tests.harness import EVENT, PARTICIPANTS, ROLES, Bench, OpenBench

PARTS_OF_ACTIVITIES = (
    " UNION ".join(
        f"SELECT '{table}', ctid::text, xmin::text FROM revento.{table}"
        for table in (
            "activity_private",
            "activity_hosts",
            "activity_markers",
            "activity_registration_waves",
            "activity_sign_ups",
        )
    )
    + " ORDER BY 1, 2"
)
NUMBERS = "SELECT sequencename, last_value FROM pg_sequences ORDER BY 1"
STREAMS = ("event", "roles", "participants", "threads", "locations", "activities", "waves")


def counts(result: Any, stream: str) -> tuple[int, int, int, int, int]:
    """Inserted, updated, unchanged, superseded, rejected."""
    (found,) = (one.counts for one in result.streams if one.stream == stream)
    return found.inserted, found.updated, found.unchanged, found.superseded, found.rejected


def synced(bench: Bench, table: str, key: str) -> dict[str, datetime]:
    return dict(bench.query(f"SELECT {key}, _syncd_synced_at FROM revento.{table} WHERE NOT _syncd_is_stub"))


def participant(bench: Bench, index: int) -> dict[str, Any]:
    rows: list[dict[str, Any]] = bench.sandbox.truth()["events"][0]["participants"]
    return rows[index]


def activity(bench: Bench, *, listed: int) -> dict[str, Any]:
    """An activity whose whole list shows at least so many people."""
    for row in bench.sandbox.truth()["events"][0]["activities"]:
        people = row.get("signed_up_participant_ids") or []
        if len(people) >= listed and len(people) == row["committed_signups_count"]:
            found: dict[str, Any] = row
            return found
    raise LookupError("the world has no such activity")


# --- changes arrive, and only they ----------------------------------------------------------------------------------


async def test_every_kind_of_change_arrives_and_touches_no_other_row(bench: Bench) -> None:
    await bench.sync()
    before = synced(bench, "participants", "participant_key")
    event, world = bench.event_id, bench.sandbox.world
    reviewed = participant(bench, 3)["id"]
    world.patch(event, "participants", reviewed, {"application_status": "rejected", "admin_notes": "called twice"})
    form = participant(bench, 5)
    answers = {"favorite_track": ["now", "a", "list"], "new_question": True}
    world.patch(event, "participants", form["id"], {"custom_form_fields": answers, "$remove": ["email"]})
    new = world.create(event, "participants", {})["id"]
    world.create(event, "registration-waves", {"activity_ids": ["act_unheard_of"]})
    world.patch_event(event, {"title": "Renamed", "venue_policy": {"pets": False}})
    moved = activity(bench, listed=2)
    times = {"start_time": "2026-05-20T10:00:00Z", "end_time": "2026-05-20T11:00:00Z", "location": None}
    world.patch(event, "activities", moved["id"], times)
    result = await bench.sync()

    assert result.exit_code == 0
    assert counts(result, "participants") == (1, 2, 58, 0, 0)
    assert counts(result, "activities") == (0, 1, 29, 0, 0)
    assert counts(result, "event") == (0, 1, 0, 0, 0)
    after = synced(bench, "participants", "participant_key")
    touched = {key.partition("/")[2] for key, at in after.items() if before.get(key) != at}
    assert touched == {reviewed, form["id"], new}
    # The form's dictionary only grows: the type seen first stays beside the new one.
    types = bench.value("SELECT value_types FROM revento.form_fields WHERE field_key = 'favorite_track'")
    assert types == ["array", "string"]
    with psycopg.connect(bench.url) as connection:
        lines = truth.compare(connection, bench.sandbox.truth())
    assert [line for line in lines if not line.startswith("form_fields")] == []


@pytest.mark.fault(40)
async def test_a_renamed_role_arrives_though_no_stamp_moves(bench: Bench) -> None:
    await bench.sync()
    bench.sandbox.world.patch(bench.event_id, "roles", "role_attendee", {"name": "Guest"})
    result = await bench.sync()
    assert counts(result, "roles") == (0, 1, 5, 0, 0)
    assert counts(result, "participants") == (0, 0, 60, 0, 0), (
        "a copy of the role's name is no content of a participant"
    )
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(42)
@pytest.mark.parametrize("is_all_that_changes", [True, False])
async def test_a_location_moves_to_another_venue(bench: Bench, is_all_that_changes: bool) -> None:
    tree = bench.sandbox.truth()["events"][0]["locations"]
    first, second = tree["venues"]
    moved = first["locations"][0]
    if is_all_that_changes:  # outdoors already
        moved |= {"building": None, "floor": None}
        bench.sandbox.world.put_locations(bench.event_id, tree)
    await bench.sync()
    first["locations"].remove(moved)
    inside = {"building": None, "floor": None, "amenities": ["stairs", *moved["amenities"]]}
    second["locations"].append(moved if is_all_that_changes else moved | inside)
    bench.sandbox.world.put_locations(bench.event_id, tree)
    result = await bench.sync()
    assert counts(result, "locations") == (0, 1, 44, 0, 0)
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(88)
@pytest.mark.fault(89)
async def test_what_belongs_to_a_changed_row_and_stays_is_not_touched(bench: Bench) -> None:
    """No row version of a host, marker, link or sign-up, and no number of a sign-up."""
    await bench.sync()
    before = bench.query(PARTS_OF_ACTIVITIES), bench.query(NUMBERS)
    for row in bench.sandbox.truth()["events"][0]["activities"]:
        bench.sandbox.world.patch(bench.event_id, "activities", row["id"], {"title": f"{row['title']}, moved"})
    assert counts(await bench.sync(), "activities") == (0, 30, 0, 0, 0)
    assert (bench.query(PARTS_OF_ACTIVITIES), bench.query(NUMBERS)) == before
    assert len(before[0]) > 30


@pytest.mark.fault(38)
async def test_what_the_api_no_longer_shows_of_a_person_is_not_kept(bench: Bench) -> None:
    shown = next(row for row in bench.sandbox.truth()["events"][0]["participants"] if row.get("email"))
    await bench.sync()
    bench.sandbox.world.patch(bench.event_id, "participants", shown["id"], {"$remove": ["email", "nickname"]})
    await bench.sync()
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.fault(41)
async def test_streams_in_any_order_end_equal(bench: Bench, seed: int) -> None:
    """What is named before it is served is a stub, and the stub becomes the row."""
    order = list(STREAMS)
    random.Random(seed).shuffle(order)
    for stream in order:
        assert (await bench.sync(streams=[stream])).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    people = bench.query("SELECT participant_id FROM revento.participants WHERE _syncd_is_stub")
    assert people == [("ptp_of_nobody",)]


# --- sign-ups -------------------------------------------------------------------------------------------------------


def spells(bench: Bench, row: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Participant, place, still on the list, with a lower bound."""
    return bench.query(
        """SELECT split_part(participant_key, '/', 2), position, is_current, first_seen_lower_bound IS NOT NULL
           FROM revento.activity_sign_ups WHERE activity_key LIKE '%%/' || %s ORDER BY position, sign_up_id""",
        row["id"],
    )


async def sign_ups(bench: Bench, row: dict[str, Any], people: list[str] | None, committed: int | None = None) -> None:
    change: dict[str, Any] = {"committed_signups_count": len(people or ()) if committed is None else committed}
    change |= {"$remove": ["signed_up_participant_ids"]} if people is None else {"signed_up_participant_ids": people}
    bench.sandbox.world.patch(bench.event_id, "activities", row["id"], change)
    assert (await bench.sync(streams=["activities"])).exit_code == 0


async def test_sign_ups_open_close_and_open_again(bench: Bench) -> None:
    row = activity(bench, listed=3)
    first, second, *rest = row["signed_up_participant_ids"]
    newcomer = next(
        one["id"]
        for one in bench.sandbox.truth()["events"][0]["participants"]
        if one["id"] not in row["signed_up_participant_ids"]
    )
    await bench.sync()
    await sign_ups(bench, row, [second, *rest, newcomer])
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert (first, 0, False, False) in spells(bench, row), "closed where it stood, there at first sight"
    assert (newcomer, len(rest) + 1, True, True) in spells(bench, row), "seen to come"
    await sign_ups(bench, row, [second, *rest, newcomer, first])
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert [spell for spell in spells(bench, row) if spell[0] == first] == [
        (first, 0, False, False),
        (first, len(rest) + 2, True, True),
    ]
    bounds = bench.query(
        """SELECT first_seen_lower_bound < first_seen_at AND coalesce(removed_at >= first_seen_at, true)
           FROM revento.activity_sign_ups WHERE first_seen_lower_bound IS NOT NULL"""
    )
    assert set(bounds) == {(True,)}


@pytest.mark.fault(38)
@pytest.mark.case("RV-38")
async def test_a_list_that_is_cut_or_gone_closes_nothing(bench: Bench) -> None:
    row = activity(bench, listed=4)
    people = row["signed_up_participant_ids"]
    await bench.sync()
    before = len(spells(bench, row))
    key = f"{bench.event_id}/{row['id']}"
    kept = [(key, f"{bench.event_id}/{one}", place) for place, one in enumerate(people)]
    await sign_ups(bench, row, people[:1], committed=len(people))
    truth.assert_equal(bench.url, bench.sandbox.truth(), kept_sign_ups=kept[1:])
    await sign_ups(bench, row, None, committed=0)
    truth.assert_equal(bench.url, bench.sandbox.truth(), kept_sign_ups=kept)
    assert all(is_current for _, _, is_current, _ in spells(bench, row))
    await sign_ups(bench, row, [])
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert len(spells(bench, row)) == before, "closed, not deleted"


# --- versions -------------------------------------------------------------------------------------------------------


@pytest.mark.fault(29)
async def test_an_older_stamp_never_overwrites(bench: Bench) -> None:
    row = participant(bench, 4)
    await bench.sync()
    older = {"updated_at": "2020-01-01T00:00:00Z", "application_status": "pending", "real_name": "An Older Name"}
    bench.sandbox.world.patch(bench.event_id, "participants", row["id"], older)
    result = await bench.sync()
    assert counts(result, "participants") == (0, 0, 59, 1, 0)
    kept = bench.query(
        """SELECT application_status, updated_at, real_name FROM revento.participants
           JOIN revento.participant_private USING (participant_key) WHERE participant_id = %s""",
        row["id"],
    )
    assert kept == [(row["application_status"], datetime.fromisoformat(row["updated_at"]), row.get("real_name"))]


def put_back(bench: Bench, row: dict[str, Any], to: str) -> None:
    """Serve an older version of a person from now on, as a source does that was restored from a backup."""
    older = {"updated_at": to, "nickname": f"as of {to}"}
    bench.sandbox.world.patch(bench.event_id, "participants", row["id"], older)


async def people_of_a_round(bench: Bench) -> tuple[int, int, int, int]:
    """Updated, and reverted among them, unchanged, superseded."""
    result = await bench.sync(streams=["participants"])
    (found,) = (one.counts for one in result.streams)
    return found.updated, found.reverted, found.unchanged, found.superseded


@pytest.mark.fault(40)
async def test_an_older_version_that_two_walks_meet_is_accepted(bench: Bench) -> None:
    row = participant(bench, 4)
    await bench.sync()
    put_back(bench, row, "2020-01-01T00:00:00Z")
    assert await people_of_a_round(bench) == (0, 0, 59, 1)
    put_back(bench, row, "2020-01-02T00:00:00Z")
    assert await people_of_a_round(bench) == (0, 0, 59, 1), "another one: it has been met once"
    assert await people_of_a_round(bench) == (1, 1, 59, 0)
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert bench.query("SELECT * FROM syncd.older_versions") == []
    assert bench.query("SELECT reverted FROM syncd.run_streams WHERE reverted > 0") == [(1,)]
    assert await people_of_a_round(bench) == (0, 0, 60, 0)


@pytest.mark.fault(40)
async def test_a_stamp_from_the_future_freezes_no_row(bench: Bench) -> None:
    """What is stamped later is older by its stamp, changes from walk to walk, and is stored each time."""
    row = participant(bench, 4)
    put_back(bench, row, "2126-01-01T00:00:00Z")
    await bench.sync()
    for stamp in ("2026-05-03T10:00:00Z", "2026-05-03T10:00:01Z"):
        put_back(bench, row, stamp)
        assert await people_of_a_round(bench) == (1, 0, 59, 0)
        truth.assert_equal(bench.url, bench.sandbox.truth())
    assert await people_of_a_round(bench) == (0, 0, 60, 0)


@pytest.mark.fault(29)
async def test_an_older_version_counts_only_where_nothing_newer_is_met_since(bench: Bench) -> None:
    row = participant(bench, 4)
    await bench.sync()
    for _ in range(2):  # a stale copy now and then
        put_back(bench, row, "2020-01-01T00:00:00Z")
        assert await people_of_a_round(bench) == (0, 0, 59, 1)
        bench.sandbox.world.patch(bench.event_id, "participants", row["id"], row)
        assert (await people_of_a_round(bench))[2:] == (60, 0)
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(29)
async def test_a_walk_that_was_not_certified_says_nothing_of_older_versions(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "20"})
    await bench.add()
    await bench.sync()
    put_back(bench, participant(bench, 4), "2020-01-01T00:00:00Z")
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 2, "set": {"has_more": "perhaps"}})
    assert (await bench.sync(streams=["participants"])).state == "failed"
    assert bench.value("SELECT count(*) FROM syncd.older_versions") == 1
    bench.execute("UPDATE syncd.walks SET outcome = 'abandoned' WHERE outcome = 'open'")
    bench.execute("DELETE FROM syncd.positions")
    assert (await people_of_a_round(bench))[1:] == (0, 59, 1)


@pytest.mark.fault(29)
async def test_a_row_that_is_listed_in_two_versions_keeps_the_newer_one(open_bench: OpenBench) -> None:
    """In either order, and in turns."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "20"})
    await bench.add()
    await bench.sync()
    served = bench.sandbox.truth()["events"][0]["participants"]
    older = served[4] | {"updated_at": "2020-01-01T00:00:00Z", "nickname": "as it was"}
    for first, last in ((served[4], older), (older, served[4]), (older, served[4]), (served[4], older)):
        pages = {1: [*served[:4], first, *served[5:20]], 3: [*served[40:60], last]}
        for nth, page in pages.items():
            bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": nth, "set": {"data": page}})
        assert await people_of_a_round(bench) == (0, 0, 60, 1)
    truth.assert_equal(bench.url, bench.sandbox.truth())


async def test_a_dry_run_foretells_a_row_that_is_listed_in_two_versions(open_bench: OpenBench) -> None:
    """A page with the row as it is stored forgets that an older version was met."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "20"})
    await bench.add()
    await bench.sync()
    served = bench.sandbox.truth()["events"][0]["participants"]
    put_back(bench, served[4], "2020-01-01T00:00:00Z")
    older = participant(bench, 4)
    await people_of_a_round(bench)
    pages = {1: served[:20], 3: [*served[40:60], older]}
    rounds = []
    for is_dry in (True, False):
        bench.sandbox.faults.clear()
        for nth, page in pages.items():
            bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": nth, "set": {"data": page}})
        if is_dry:
            installation = await bench.installation()
            order = bench.app.order(installation, "sync", main.chosen_streams(installation, ["participants"]))
            (result,) = await bench.app.preview([order], Watch())
            assert not isinstance(result, BaseException)
            (foretold,) = result.streams
            rounds.append((foretold.counts.updated, foretold.counts.unchanged, foretold.counts.superseded))
        else:
            updated, _, unchanged, superseded = await people_of_a_round(bench)
            rounds.append((updated, unchanged, superseded))
    assert rounds == [(0, 60, 1), (0, 60, 1)]


@pytest.mark.fault(40)
async def test_of_older_versions_within_one_page_the_newest_is_remembered(bench: Bench) -> None:
    row = participant(bench, 4)
    await bench.sync()
    served = bench.sandbox.truth()["events"][0]["participants"]
    versions = [served[4] | {"updated_at": f"2020-01-0{day}T00:00:00Z", "nickname": f"day {day}"} for day in (2, 1)]
    page = {"data": [*served[:4], *versions, *served[5:]], "has_more": False, "next_cursor": None}
    for books in ((0, 0, 59, 2), (1, 1, 59, 1)):
        bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "set": page})
        assert await people_of_a_round(bench) == books
    nickname = "SELECT nickname FROM revento.participant_private WHERE participant_key LIKE '%%/' || %s"
    assert bench.value(nickname, row["id"]) == "day 2"


@pytest.mark.fault(40)
async def test_a_change_within_the_same_second_is_not_lost(bench: Bench) -> None:
    row = participant(bench, 4)
    await bench.sync()
    same = {"updated_at": row["updated_at"], "nickname": "changed within the second"}
    bench.sandbox.world.patch(bench.event_id, "participants", row["id"], same)
    assert counts(await bench.sync(), "participants") == (0, 1, 59, 0, 0)
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.parametrize("newest_at", [0, 1, 2])
@pytest.mark.fault(34)
async def test_of_a_row_that_repeats_in_a_page_the_newest_counts(bench: Bench, newest_at: int) -> None:
    row = participant(bench, 4)
    stamps = ["2026-04-01T00:00:00Z", "2026-04-02T00:00:00Z"]
    stamps.insert(newest_at, "2026-04-03T00:00:00Z")
    page = [row | {"updated_at": stamp, "nickname": f"as of {stamp}"} for stamp in stamps]
    bench.sandbox.faults.add(
        {"endpoint": PARTICIPANTS, "set": {"data": page, "has_more": False, "next_cursor": None}, "times": 1}
    )
    result = await bench.sync(streams=["participants"])
    assert counts(result, "participants") == (1, 0, 0, 2, 0)
    assert bench.value("SELECT nickname FROM revento.participant_private") == "as of 2026-04-03T00:00:00Z"
    assert bench.query("SELECT rows, distinct_keys, duplicates FROM syncd.walks") == [(3, 1, 2)]


@pytest.mark.fault(26)
@pytest.mark.case("RV-25")
async def test_rows_that_a_later_page_repeats_are_unchanged(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "20"}, participants=60)
    await bench.add()
    served = bench.sandbox.truth()["events"][0]["participants"]
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 2, "set": {"data": served[15:40]}})
    result = await bench.sync()
    assert counts(result, "participants") == (60, 0, 5, 0, 0)
    books = bench.query("SELECT rows, distinct_keys, duplicates FROM syncd.walks WHERE stream = 'participants'")
    assert books == [(65, 60, 5)]
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(28)
async def test_a_row_that_was_away_comes_back(bench: Bench) -> None:
    """Its row stays while it is away; one that was hidden meanwhile shows again, though its content is the same."""
    row = participant(bench, 7)
    await bench.sync()
    bench.sandbox.world.delete(bench.event_id, "participants", row["id"])
    assert counts(await bench.sync(), "participants") == (0, 0, 59, 0, 0)
    hide = "UPDATE revento.participants SET _syncd_deleted_at = now() WHERE participant_id = %s"
    bench.execute(hide, row["id"])
    bench.sandbox.world.create(bench.event_id, "participants", row)
    await bench.sync()
    truth.assert_equal(bench.url, bench.sandbox.truth())


# --- values that no column holds --------------------------------------------------------------------------------------


@pytest.mark.fault(79)
async def test_a_poisoned_row_costs_itself_alone(bench: Bench) -> None:
    page = bench.sandbox.truth()["events"][0]["roles"]
    nul = {"id": "role_nul", "name": "a\0b", "description": "kept", "rank": 10**30, "a\0key": True}
    poison = [{"name": "no id"}, 7, nul]
    bench.sandbox.faults.add({"endpoint": ROLES, "set": {"data": [*page, *poison]}, "times": None})
    for exit_code, quarantined in ((3, 5), (0, 0)):
        result = await bench.sync()
        assert (result.exit_code, counts(result, "roles")[4]) == (exit_code, 2)
        (books,) = (one.counts for one in result.streams if one.stream == "roles")
        assert books.seen == len(page) + 3
        assert books.quarantined_values == quarantined, "counted when it is new"
    row = bench.query("SELECT name, description FROM revento.roles WHERE role_id = 'role_nul'")
    assert row == [(None, "kept")]
    kept = dict(bench.query("SELECT json_path, reason FROM syncd.quarantined_values"))
    assert kept == {
        "$.data[].id": "not an identifier",
        "$.data[]": "not an object",
        "$.data['role_nul'].name": "holds a NUL character",
        "$.data['role_nul'].rank": "an integer of more than 64 bits",
        "$.data['role_nul'].a\\u0000key": "holds a NUL character",
    }
    assert bench.value("SELECT count(*) FROM revento.roles WHERE NOT _syncd_is_stub") == len(page) + 1


@pytest.mark.fault(33)
async def test_a_page_of_another_event_is_refused_whole(bench: Bench) -> None:
    page = bench.sandbox.truth()["events"][0]["roles"]
    bench.sandbox.faults.add({"endpoint": ROLES, "set": {"data": [page[0], page[1] | {"event_id": "evt_foreign"}]}})
    bench.sandbox.faults.add({"endpoint": EVENT, "set": {"id": "evt_foreign"}})
    result = await bench.sync(streams=["event", "roles"])
    assert [(one.status, one.error_code) for one in result.streams] == [("failed", "contract_breach")] * 2
    assert bench.value("SELECT count(*) FROM revento.roles") == 0
    assert bench.value("SELECT count(*) FROM revento.events") == 0
