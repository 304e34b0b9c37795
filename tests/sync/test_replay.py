"""What was left out is tried again with a newer reader, without a call; nothing newer is ever overwritten."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from syncd import main
from syncd.errors import LeaseHeld, LeaseLost
from syncd.main.by_hand import replay_kept
from syncd.model import Lease
from syncd.store.leases import claim
from syncd.sync.removals import reject
from syncd.sync.replay import PENDING, Replayed, replay
from syncd.sync.round import Watch
from syncd.wire import readers
from tests import truth
from tests.harness import ACTIVITIES, LOCATIONS, PARTICIPANTS, ROLES, Bench

VALUES = "SELECT json_path, reason FROM syncd.quarantined_values ORDER BY 1"
ROWS = "SELECT count(*) FROM syncd.quarantined_rows"
NEWER = "name = 'newer', _syncd_hash = '', _syncd_synced_at = now(), _syncd_request_id = gen_random_uuid()"
HELD = "UPDATE syncd.quarantined_rows SET raw_row = convert_to(replace(convert_from(raw_row, 'UTF8'), %s, %s), 'UTF8')"


def first(bench: Bench, listing: str) -> dict[str, Any]:
    row: dict[str, Any] = bench.sandbox.truth()["events"][0][listing][0]
    return row


def serve(bench: Bench, endpoint: str, listing: str, **changed: object) -> None:
    """Serve the first row of a listing with these fields until the faults are cleared; the world itself stays."""
    rows = bench.sandbox.truth()["events"][0][listing]
    bench.sandbox.faults.clear()
    page = {"data": [rows[0] | changed, *rows[1:40]], "has_more": False, "next_cursor": None}
    bench.sandbox.faults.add({"endpoint": endpoint, "set": page, "times": None})


async def try_again(bench: Bench, *ids: int) -> Replayed:
    installation = await bench.installation()
    streams = main.chosen_streams(installation, ())
    return await replay_kept(bench.app, installation, streams, ids, Watch(), wait=False)


@pytest.fixture
def newer_reader(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Prepares a version that reads times without an offset and longer ids; `setattr` what it shall read."""
    return monkeypatch


def read_naive_stamps(patch: pytest.MonkeyPatch) -> None:
    strict = readers.parse_stamp
    patch.setattr(readers, "parse_stamp", lambda text: strict(text) or datetime.fromisoformat(text).replace(tzinfo=UTC))


# --- what can be read now ---------------------------------------------------------------------------------------------


@pytest.mark.fault(78)
async def test_a_value_that_can_be_read_now_is_stored_without_a_call(
    bench: Bench, newer_reader: pytest.MonkeyPatch
) -> None:
    row = first(bench, "participants")
    serve(bench, PARTICIPANTS, "participants", registered_at="2026-05-01T10:00:00", created_at="2026-05-01T09:00:00")
    assert (await bench.sync(streams=["participants"])).exit_code == 3
    columns = "registered_at, display_name, participants._syncd_request_id, participants._syncd_run_id"
    stored = f"""SELECT {columns} FROM revento.participants JOIN revento.participant_private USING (participant_key)
                 WHERE participant_id = '{row["id"]}'"""
    ((nothing, name, *origin),) = bench.query(stored)
    assert (nothing, bench.value(ROWS)) == (None, 1), "a row is kept once, however much of it was left out"
    assert bench.query("SELECT row_key FROM syncd.quarantined_rows") == [(f"{bench.event_id}/{row['id']}",)]

    unchanged = await try_again(bench)
    assert (unchanged.resolved, sum(unchanged.left.values()), unchanged.counts.unchanged) == (0, 2, 1)
    read_naive_stamps(newer_reader)
    before = bench.mark()
    done = await try_again(bench)
    assert (done.counts.updated, done.resolved, done.newly_kept, dict(done.left)) == (1, 2, 0, {})
    assert bench.query(stored) == [(datetime(2026, 5, 1, 10, tzinfo=UTC), name, *origin)]
    assert (bench.query(VALUES), bench.value(ROWS), bench.mark()) == ([], 0, before)
    assert await try_again(bench) == Replayed()


@pytest.mark.fault(36)
async def test_a_row_whose_id_was_too_long_is_stored_whole(bench: Bench, newer_reader: pytest.MonkeyPatch) -> None:
    long = "r" * 1200
    serve(bench, ROLES, "roles", id=long)
    await bench.sync(streams=["roles"])
    assert (await try_again(bench)).counts.rejected == 1
    newer_reader.setattr(readers, "LONGEST_ID_BYTES", 1300)
    done = await try_again(bench)
    assert (done.counts.inserted, done.counts.rejected, done.resolved) == (1, 0, 1)
    assert bench.value("SELECT count(*) FROM revento.roles WHERE role_id = %s", long) == 1
    assert (bench.query(VALUES), bench.value(ROWS)) == ([], 0)


@pytest.mark.fault(36)
async def test_a_row_with_the_longest_key_is_kept(bench: Bench) -> None:
    """Its key and the names beside it may be more than an index bears, so a digest stands for it there."""
    serve(bench, ROLES, "roles", id="".join(f"{number:05}" for number in range(200)), name="a\0b")
    assert (await bench.sync(streams=["roles"])).exit_code == 3
    assert bench.query("SELECT length(row_key), length(row_ref) FROM syncd.quarantined_rows") == [
        (len(f"{bench.event_id}/") + 1000, 32)
    ]


async def test_what_still_cannot_be_stored_stays_with_its_reason(
    bench: Bench, newer_reader: pytest.MonkeyPatch
) -> None:
    serve(bench, PARTICIPANTS, "participants", registered_at="2026-05-01T10:00:00", nickname="a\0b")
    await bench.sync(streams=["participants"])
    read_naive_stamps(newer_reader)
    done = await try_again(bench)
    assert (done.counts.updated, done.resolved, dict(done.left)) == (
        1, 1, {("participants", "holds a NUL character"): 1},
    )  # fmt: skip
    assert [reason for _, reason in bench.query(VALUES)] == ["holds a NUL character"]
    assert bench.value(ROWS) == 1
    again = await try_again(bench)
    assert (again.counts.unchanged, again.resolved, sum(again.left.values())) == (1, 0, 1)


async def test_one_entry_stands_for_its_row_alone(bench: Bench, newer_reader: pytest.MonkeyPatch) -> None:
    serve(bench, PARTICIPANTS, "participants", registered_at="2026-05-01T10:00:00", created_at="2026-05-01T09:00:00")
    serve_roles = {"endpoint": ROLES, "set": {"data": [first(bench, "roles") | {"name": "a\0b"}]}, "times": None}
    bench.sandbox.faults.add(serve_roles)
    await bench.sync(streams=["roles", "participants"])
    read_naive_stamps(newer_reader)
    chosen = bench.value("SELECT min(quarantine_id) FROM syncd.quarantined_values WHERE stream = 'participants'")
    done = await try_again(bench, chosen)
    assert (done.resolved, dict(done.left)) == (2, {})
    assert [reason for _, reason in bench.query(VALUES)] == ["holds a NUL character"]


async def test_a_place_in_the_tree_is_stored_and_what_changed_beside_it_stays(bench: Bench) -> None:
    tree = bench.sandbox.truth()["events"][0]["locations"]["venues"]
    tree[0]["name"] = "Hall\0one"
    bench.sandbox.faults.add({"endpoint": "/events/{event_id}/locations", "set": {"venues": tree}, "times": None})
    await bench.sync(streams=["locations"])
    bench.execute(HELD, "Hall\\u0000one", "Hall one")
    beside = bench.value("SELECT min(location_key) FROM revento.locations")
    bench.execute(f"UPDATE revento.locations SET {NEWER} WHERE location_key = %s", beside)
    done = await try_again(bench)
    assert (done.counts.updated, done.counts.superseded, done.resolved) == (1, 1, 1)
    assert bench.value("SELECT name FROM revento.venues WHERE venue_id = %s", tree[0]["id"]) == "Hall one"
    assert bench.value("SELECT name FROM revento.locations WHERE location_key = %s", beside) == "newer"


# --- nothing goes back in time ----------------------------------------------------------------------------------------


@pytest.mark.fault(39)
@pytest.mark.parametrize("endpoint", [PARTICIPANTS, ROLES])
async def test_an_older_row_never_overwrites_a_newer_one(
    bench: Bench, newer_reader: pytest.MonkeyPatch, endpoint: str
) -> None:
    """Of the two only participants have a stamp of their own."""
    listing = endpoint.rpartition("/")[2]
    field, bad = ("registered_at", "2026-05-01T10:00:00") if listing == "participants" else ("name", "a\0b")
    serve(bench, endpoint, listing, **{field: bad})
    await bench.sync(streams=[listing])
    bench.sandbox.faults.clear()
    bench.sandbox.world.patch(bench.event_id, listing, first(bench, listing)["id"], {field: "2026-05-02T10:00:00Z"})
    await bench.sync()
    read_naive_stamps(newer_reader)
    bench.execute(HELD, "a\\u0000b", "older")
    done = await try_again(bench)
    assert (done.counts.superseded, done.counts.updated, done.resolved) == (1, 0, 1)
    assert (bench.query(VALUES), bench.value(ROWS)) == ([], 0)
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(78)
async def test_a_value_that_went_and_came_back_is_not_outdated(bench: Bench, newer_reader: pytest.MonkeyPatch) -> None:
    """The row is kept from before, in the very same form; what was written in between is what is outdated."""
    for stamp in ("2026-05-01T10:00:00", "2026-05-02T10:00:00Z", "2026-05-01T10:00:00"):
        serve(bench, PARTICIPANTS, "participants", registered_at=stamp)
        await bench.sync(streams=["participants"])
    kept = bench.query("SELECT request_id, saved_at FROM syncd.quarantined_rows")
    await bench.sync(streams=["participants"])
    assert bench.query("SELECT request_id, saved_at FROM syncd.quarantined_rows") == kept, "nothing was written"
    read_naive_stamps(newer_reader)
    done = await try_again(bench)
    assert (done.counts.superseded, done.counts.updated, done.resolved) == (0, 1, 1)
    who = first(bench, "participants")["id"]
    stamps = bench.query("SELECT registered_at FROM revento.participants WHERE participant_id = %s", who)
    assert stamps == [(datetime(2026, 5, 1, 10, tzinfo=UTC),)]


@pytest.mark.fault(78)
async def test_a_value_inside_a_tree_that_went_and_came_back_is_not_outdated(
    bench: Bench, newer_reader: pytest.MonkeyPatch
) -> None:
    long = "r" * 1200
    venues = bench.sandbox.truth()["events"][0]["locations"]["venues"]
    for name, amenities in (("A", ["wifi", long]), ("B", ["wifi"]), ("A", ["wifi", long])):
        venues[0]["locations"][0] |= {"name": name, "amenities": amenities}
        bench.sandbox.faults.clear()
        bench.sandbox.faults.add({"endpoint": LOCATIONS, "set": {"venues": venues}, "times": None})
        await bench.sync(streams=["locations"])
    newer_reader.setattr(readers, "LONGEST_ID_BYTES", 1300)
    assert (await try_again(bench)).resolved == 1
    assert bench.value("SELECT count(*) FROM revento.location_amenities WHERE amenity = %s", long) == 1


@pytest.mark.fault(34)
async def test_a_row_that_was_not_stored_is_not_read_again(bench: Bench) -> None:
    """Of two rows with one key the newer is stored, and the older has a value that cannot be."""
    roles = bench.sandbox.truth()["events"][0]["roles"]
    twice = [roles[0] | {"name": "older", "description": "a\0b"}, roles[0] | {"name": "newer"}, *roles[1:]]
    bench.sandbox.faults.add({"endpoint": ROLES, "set": {"data": twice}, "times": None})
    for _ in range(2):
        await bench.sync(streams=["roles"])
        done = await try_again(bench)
        assert (done.counts.updated, done.without_row, len(bench.query(VALUES))) == (0, 1, 1)
    assert bench.value("SELECT name FROM revento.roles WHERE role_id = %s", roles[0]["id"]) == "newer"


@pytest.mark.fault(28)
@pytest.mark.parametrize("is_rejected", [False, True])
async def test_what_waits_for_a_decision_is_not_read_again(
    bench: Bench, newer_reader: pytest.MonkeyPatch, is_rejected: bool
) -> None:
    """What is written counts as seen: it would leave the held set, and go by itself later."""
    people = bench.sandbox.truth()["events"][0]["participants"]
    bench.sandbox.world.patch(bench.event_id, "participants", people[0]["id"], {"registered_at": "2026-05-01T10:00:00"})
    await bench.sync(streams=["participants"])
    for person in people[:20]:
        bench.sandbox.world.delete(bench.event_id, "participants", person["id"])
    for _ in range(2):
        await bench.sync(streams=["participants"])
    installation = await bench.installation()
    (stream,) = main.chosen_streams(installation, ["participants"])
    if is_rejected:
        assert await reject(bench.app.database, installation, stream) == 20
    read_naive_stamps(newer_reader)
    done = await try_again(bench)
    assert (done.resolved, [reason for _, reason in done.left]) == (0, [PENDING])
    await bench.sync(streams=["participants"])
    assert bench.value("SELECT count(*) FROM syncd.pending_removals") == 20


async def test_what_is_still_left_out_of_an_outdated_row_is_forgotten(bench: Bench) -> None:
    serve(bench, ROLES, "roles", name="a\0b")
    await bench.sync(streams=["roles"])
    bench.sandbox.faults.clear()
    bench.sandbox.world.patch(bench.event_id, "roles", first(bench, "roles")["id"], {"name": "newer"})
    await bench.sync()
    done = await try_again(bench)
    assert (done.counts.superseded, done.resolved, sum(done.left.values())) == (1, 1, 0)
    assert (bench.query(VALUES), bench.value(ROWS)) == ([], 0)


async def test_an_older_row_does_not_count_as_met_again_when_it_is_read_again(bench: Bench) -> None:
    """The walk that kept it has met it once, and a replay is no walk."""
    await bench.sync()
    row = bench.sandbox.truth()["events"][0]["participants"][4]
    stale = {"updated_at": "2020-01-01T00:00:00Z", "nickname": "stale\0copy"}
    bench.sandbox.world.patch(bench.event_id, "participants", row["id"], stale)
    await bench.sync(streams=["participants"])
    assert bench.value("SELECT count(*) FROM syncd.older_versions") == 1
    bench.sandbox.world.patch(bench.event_id, "participants", row["id"], row)
    replayed = await try_again(bench)
    assert (replayed.counts.superseded, replayed.counts.updated) == (1, 0)
    stamp = "SELECT updated_at = %s::timestamptz FROM revento.participants WHERE participant_id = %s"
    assert bench.value(stamp, row["updated_at"], row["id"])


async def test_the_row_is_kept_as_it_was_served_last(bench: Bench, newer_reader: pytest.MonkeyPatch) -> None:
    for name in ("first", "second"):
        serve(bench, PARTICIPANTS, "participants", registered_at="2026-05-01T10:00:00", nickname=name)
        result = await bench.sync(streams=["participants"])
    assert (result.exit_code, len(bench.query(VALUES))) == (0, 1), "the value is not new"
    serve(bench, PARTICIPANTS, "participants", registered_at="2026-05-02T10:00:00", nickname="second")
    (stream,) = (await bench.sync(streams=["participants"])).streams
    assert (stream.counts.updated, len(bench.query(VALUES))) == (0, 2), "what can be stored of it is the same"
    read_naive_stamps(newer_reader)
    assert (await try_again(bench)).counts.updated == 1
    stored = """SELECT nickname, registered_at FROM revento.participants
                JOIN revento.participant_private USING (participant_key) WHERE participant_id = %s"""
    who = first(bench, "participants")["id"]
    assert bench.query(stored, who) == [("second", datetime(2026, 5, 2, 10, tzinfo=UTC))]


async def test_a_row_that_is_gone_is_not_brought_back_and_nothing_is_kept_of_it(bench: Bench) -> None:
    serve(bench, ROLES, "roles", name="a\0b")
    await bench.sync(streams=["roles"])
    hidden = "UPDATE revento.roles SET _syncd_deleted_at = now(), _syncd_synced_at = now() WHERE role_id = %s"
    role = first(bench, "roles")["id"]
    bench.execute(hidden, role)
    bench.execute(HELD, "\\u0000", "")
    assert (await try_again(bench)).counts.superseded == 1
    assert bench.value("SELECT count(*) FROM revento.roles WHERE _syncd_deleted_at IS NOT NULL") == 1

    await bench.sync(streams=["roles"])
    assert (bench.value(ROWS), len(bench.query(VALUES))) == (1, 1)
    rest = bench.sandbox.truth()["events"][0]["roles"][1:]
    bench.sandbox.faults.clear()
    bench.sandbox.faults.add({"endpoint": ROLES, "set": {"data": rest}, "times": None})
    for _ in range(2):
        await bench.sync(streams=["roles"])
    assert bench.value("SELECT _syncd_deleted_at IS NOT NULL FROM revento.roles WHERE role_id = %s", role)
    assert (bench.value(ROWS), bench.query(VALUES)) == (0, [])


async def test_what_a_row_merely_repeats_is_not_set_back(bench: Bench) -> None:
    rows = bench.sandbox.truth()["events"][0]["activities"]
    marked = next(row for row in rows if row["markers"])
    page = {"data": [marked | {"title": "a\0b"}], "has_more": False, "next_cursor": None}
    bench.sandbox.faults.add({"endpoint": ACTIVITIES, "set": page, "times": None})
    await bench.sync(streams=["activities"])
    bench.execute(f"UPDATE revento.markers SET {NEWER}")
    bench.execute(HELD, "a\\u0000b", "readable")
    assert (await try_again(bench)).counts.updated == 1
    assert bench.value("SELECT title FROM revento.activities WHERE activity_id = %s", marked["id"]) == "readable"
    assert bench.query("SELECT DISTINCT name FROM revento.markers") == [("newer",)]


async def test_what_a_row_repeats_and_nobody_has_stored_is_stored_with_it(bench: Bench) -> None:
    rows = bench.sandbox.truth()["events"][0]["activities"]
    marked = next(row for row in rows if row["markers"])
    page = {"data": [marked | {"title": "a\0b"}], "has_more": False, "next_cursor": None}
    bench.sandbox.faults.add({"endpoint": ACTIVITIES, "set": page, "times": None})
    await bench.sync(streams=["activities"])
    for table in ("activity_markers", "markers"):
        bench.execute(f"DELETE FROM revento.{table}")
    bench.execute(HELD, "a\\u0000b", "readable")
    assert (await try_again(bench)).counts.updated == 1
    names = sorted({marker["name"] for marker in marked["markers"]})
    assert [name for (name,) in bench.query("SELECT name FROM revento.markers ORDER BY name")] == names


# --- older versions, other drivers ------------------------------------------------------------------------------------


async def test_what_an_older_version_kept_is_told_and_kept_anew_by_the_next_walk(
    bench: Bench, newer_reader: pytest.MonkeyPatch
) -> None:
    serve(bench, PARTICIPANTS, "participants", registered_at="2026-05-01T10:00:00")
    await bench.sync(streams=["participants"])
    bench.execute("UPDATE syncd.quarantined_values SET row_ref = NULL")
    bench.execute("DELETE FROM syncd.quarantined_rows")
    read_naive_stamps(newer_reader)
    done = await try_again(bench)
    assert (done.without_row, done.resolved, len(bench.query(VALUES))) == (1, 0, 1)
    newer_reader.undo()
    assert (await bench.sync(streams=["participants"])).exit_code == 0, "it is not new"
    read_naive_stamps(newer_reader)
    done = await try_again(bench)
    assert (done.without_row, done.resolved, bench.query(VALUES)) == (0, 1, [])


async def test_a_row_of_another_event_is_told_and_stays(bench: Bench) -> None:
    serve(bench, ROLES, "roles", name="a\0b")
    await bench.sync(streams=["roles"])
    bench.execute(HELD, '{"', '{"event_id":"evt_foreign","')
    done = await try_again(bench)
    ((_, reason),) = done.left
    assert ("names another event" in reason, done.resolved, bench.value(ROWS)) == (True, 0, 1)


async def test_nothing_is_written_under_a_lease_that_is_lost_or_held(
    bench: Bench, newer_reader: pytest.MonkeyPatch
) -> None:
    serve(bench, PARTICIPANTS, "participants", registered_at="2026-05-01T10:00:00")
    await bench.sync(streams=["participants"])
    read_naive_stamps(newer_reader)
    registered = "SELECT count(registered_at) FROM revento.participants"
    before = bench.value(registered)
    installation = await bench.installation()
    claimed = await claim(bench.app.database, installation.name, "another")
    assert claimed is not None
    with pytest.raises(LeaseHeld):
        await try_again(bench)
    older = Lease(installation.name, "another", claimed.lease.epoch - 1)
    with pytest.raises(LeaseLost):
        await replay(bench.app.database, older, installation, main.chosen_streams(installation, ()), ())
    assert len(bench.query(VALUES)) == 1
    assert bench.value(registered) == before
