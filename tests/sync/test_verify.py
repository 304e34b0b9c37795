"""The proof of equality: what it finds, what it tells apart, and that it writes nothing."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from syncd import main
from syncd.errors import DatabaseError, LeaseHeld, LeaseLost, NeedsAuthorization
from syncd.model import Counts, Lease, Page
from syncd.store.comparison import Difference
from syncd.store.leases import claim
from syncd.store.removals import Ref
from syncd.sync.round import Watch
from syncd.sync.run import Progress
from syncd.sync.verify import MOST_DIFFERENCES, Met, Proof, _first_few, _reservation, exit_code, verify_installation
from tests.harness import PARTICIPANTS, ROLES, Bench, OpenBench, benches
from tests.sync.stillness import digest


async def verify(bench: Bench, *streams: str, **options: Any) -> dict[str, Proof]:
    """The proofs of the installation's streams, by name."""
    installation = await bench.installation(options.pop("name", None))
    watch = options.pop("watch", Watch())
    wait = options.pop("wait", True)
    order = bench.app.order(installation, "verify", main.chosen_streams(installation, streams), wait=wait)
    async with asyncio.timeout(60):
        proofs = await verify_installation(order, bench.app.database, bench.app.connect, watch, **options)
    return {proof.stream: proof for proof in proofs}


async def only_difference(bench: Bench, stream: str) -> Difference:
    """The one row of the stream that differs; all other streams are equal."""
    proofs = await verify(bench)
    assert {proof.stream for proof in proofs.values() if proof.status != "equal"} == {stream}
    (difference,) = proofs[stream].differences
    proof = proofs[stream]
    assert proof.missing + (proof.extra or 0) + proof.different == 1
    assert exit_code(list(proofs.values())) == 6
    return difference


@pytest.fixture
async def copied(bench: Bench) -> Bench:
    """A small world, copied."""
    assert (await bench.sync()).exit_code == 0
    return bench


def some_key(bench: Bench, table: str, condition: str = "true") -> str:
    """The key of a live row."""
    key = {"participants": "participant_key", "activities": "activity_key", "roles": "role_key"}[table]
    rows = bench.query(
        f"SELECT {key} FROM revento.{table} WHERE _syncd_deleted_at IS NULL AND NOT _syncd_is_stub AND {condition} "
        "ORDER BY 1"
    )
    return str(rows[0][0])


# --- equal ------------------------------------------------------------------------------------------------------------


async def test_three_events_are_equal_after_a_sync_and_nothing_is_written(database_url: str) -> None:
    async with benches(database_url) as start:
        bench = await start(events=3)
        for event_id in bench.sandbox.event_ids:
            assert (await bench.sync(await bench.add(event_id))).exit_code == 0
        before = digest(bench)
        assert before["revento.participants"], "the digest digests"
        mark = bench.mark()
        for name in bench.names:
            proofs = await verify(bench, name=name)
            found = {proof.stream: (proof.status, proof.rows, proof.here, proof.extra) for proof in proofs.values()}
            assert found["participants"] == ("equal", 60, 60, 0)
            assert found["event"] == ("equal", 1, 1, 0)
            assert {status for status, *_ in found.values()} == {"equal"}
            assert exit_code(list(proofs.values())) == 0
        assert digest(bench) == before
        made = len(bench.calls(since=mark))
        assert bench.value("SELECT count(*) FROM syncd.requests WHERE run_id IS NULL") == made == 3 * 8


async def test_the_database_itself_keeps_it_from_writing(copied: Bench) -> None:
    claimed = await claim(copied.app.database, copied.names[0], "test")
    assert claimed is not None
    with pytest.raises(DatabaseError):
        async with copied.app.database.begin_read(claimed.lease, "roles") as tx:
            await tx.cursor.execute("DELETE FROM revento.activity_hosts")
    with pytest.raises(LeaseLost):
        async with copied.app.database.begin_read(Lease(copied.names[0], "test", claimed.lease.epoch - 1), "roles"):
            pass


async def test_it_shows_its_pages(copied: Bench) -> None:
    told: list[Progress] = []
    recorded: list[int] = []

    def note(page: Progress) -> None:
        told.append(page)
        recorded.append(copied.value("SELECT count(*) FROM syncd.requests WHERE run_id IS NULL"))

    await verify(copied, "participants", watch=Watch(page=note))
    assert recorded[0] >= 1, "the budget must survive a crash"
    assert [(each.page_number, each.rows, each.counts.unchanged) for each in told] == [(1, 50, 50), (2, 10, 10)]


async def test_a_page_is_told_in_the_words_of_a_sync(copied: Bench) -> None:
    told: list[Progress] = []
    copied.execute("UPDATE revento.roles SET name = 'another' WHERE role_key = '" + some_key(copied, "roles") + "'")
    await verify(copied, "roles", watch=Watch(page=told.append))
    (page,) = told
    assert page.counts == Counts(updated=1, unchanged=page.rows - 1)


# --- how it is told ---------------------------------------------------------------------------------------------------


def test_what_looks_extra_is_doubted_where_pages_have_repeated_a_row() -> None:
    met, extra = Met(), [Difference("roles", "z", "extra")]
    for keys in ("ab", "cd"):
        met.enter(Page(uuid4(), (), None), {}, {Ref("roles", key) for key in keys})
    assert _reservation(met, extra) is None
    met.enter(Page(uuid4(), (), None), {}, {Ref("roles", "d")})
    assert "shifted" in (_reservation(met, extra) or "")


def test_what_a_sync_would_explain_is_named_last() -> None:
    newer = [Difference("roles", f"n{n}", "different", cause="newer") for n in range(MOST_DIFFERENCES)]
    other = Difference("roles", "o", "different")
    assert _first_few([*newer, other]) == (other, *newer[:-1])


# --- what differs here ------------------------------------------------------------------------------------------------


async def test_a_row_that_is_gone_here(copied: Bench) -> None:
    key = some_key(
        copied, "participants", "participant_key NOT IN (SELECT participant_key FROM revento.activity_hosts)"
    )
    copied.execute("SET session_replication_role = replica; DELETE FROM revento.participants WHERE participant_key = '"
                   + key + "'")  # fmt: skip
    assert await only_difference(copied, "participants") == Difference("participants", key, "missing")
    assert (await verify(copied, "participants"))["participants"].here == 59


async def test_a_row_that_is_hidden_here_is_told_as_such(copied: Bench) -> None:
    key = some_key(copied, "roles")
    copied.execute("UPDATE revento.roles SET _syncd_deleted_at = now() WHERE role_key = %s", key)
    assert await only_difference(copied, "roles") == Difference("roles", key, "missing", "hidden")


async def test_a_row_that_is_here_only(copied: Bench) -> None:
    event = copied.event_id
    copied.execute(
        "INSERT INTO revento.roles (event_id, role_id, name, _syncd_synced_at) VALUES (%s, 'role_x', 'X', now())", event
    )
    assert await only_difference(copied, "roles") == Difference("roles", f"{event}/role_x", "extra")


async def test_an_extra_row_whose_removal_waits_is_told_apart(copied: Bench) -> None:
    """The roles' listing was empty twice: all are held."""
    copied.sandbox.faults.add({"endpoint": ROLES, "set": {"data": []}, "times": None})
    for _ in range(2):
        await copied.sync(streams=["roles"])
    proof = (await verify(copied, "roles"))["roles"]
    assert (proof.rows, proof.here, proof.extra, proof.status) == (0, 6, 6, "differs")
    assert {each.cause for each in proof.differences} == {"held"}


@pytest.mark.parametrize(
    ("statement", "stream", "columns"),
    [
        ("UPDATE revento.participants SET application_status = 'x' WHERE participant_key = %s", "participants",
         ("application_status",)),
        ("UPDATE revento.participant_private SET email = 'x' WHERE participant_key = %s", "participants",
         ("participant_private.email",)),
        ("DELETE FROM revento.participant_private WHERE participant_key = %s", "participants",
         ("participant_private",)),
        ("UPDATE revento.participants SET _syncd_hash = NULL WHERE participant_key = %s", "participants",
         ("_syncd_hash",)),
        ("INSERT INTO revento.unmapped_fields VALUES ('participants', %s, '{\"a\": 1}') ON CONFLICT (entity, "
         "entity_key) DO UPDATE SET fields = EXCLUDED.fields", "participants", None),
        ("UPDATE revento.activity_private SET details = '{\"a\": 1}' WHERE activity_key = %s", "activities",
         ("activity_private.details",)),
    ],
)  # fmt: skip
async def test_a_column_that_was_changed_here(
    copied: Bench, statement: str, stream: str, columns: tuple[str, ...] | None
) -> None:
    """Not by its hash, which still says that the row is as the API served it."""
    key = some_key(copied, stream)
    copied.execute(statement, key)
    difference = await only_difference(copied, stream)
    cause = None if columns == ("_syncd_hash",) else "edited"
    assert (difference.key, difference.kind, difference.cause) == (key, "different", cause)
    if columns is None:
        assert {each.partition(".")[0] for each in difference.columns} == {"unmapped_fields"}
    else:
        assert difference.columns == columns


LISTED = (
    "activity_key IN (SELECT activity_key FROM revento.activity_sign_ups WHERE removed_at IS NULL "
    "GROUP BY 1 HAVING count(*) > 1) AND sign_ups_list = '{}'"
)
PARTS = {
    "a sign-up closed": ("activity_sign_ups", "UPDATE revento.activity_sign_ups SET removed_at = now() "
                         "WHERE activity_key = %s AND position = 0 AND removed_at IS NULL"),
    "a sign-up elsewhere in the list": ("activity_sign_ups.position", "UPDATE revento.activity_sign_ups "
                                        "SET position = 99 WHERE activity_key = %s AND position = 0"),
    "a sign-up that nobody made": (
        "activity_sign_ups",
        "INSERT INTO revento.activity_sign_ups (event_id, activity_key, participant_key, position, first_seen_at) "
        "SELECT p.event_id, a.activity_key, p.participant_key, 99, now() FROM revento.participants AS p, "
        "revento.activities AS a WHERE a.activity_key = %s AND p.participant_key NOT IN (SELECT participant_key "
        "FROM revento.activity_sign_ups AS s WHERE s.activity_key = a.activity_key) LIMIT 1"),
}  # fmt: skip


@pytest.mark.parametrize("change", PARTS)
async def test_a_sign_up_list_that_was_changed_here(copied: Bench, change: str) -> None:
    label, statement = PARTS[change]
    key = some_key(copied, "activities", LISTED.format("whole"))
    copied.execute(statement, key)
    assert await only_difference(copied, "activities") == Difference("activities", key, "different", "edited", (label,))


async def test_a_list_that_was_cut_says_nothing_of_who_is_not_on_it(copied: Bench) -> None:
    key = some_key(copied, "activities", LISTED.format("partial"))
    copied.execute(PARTS["a sign-up that nobody made"][1], key)
    assert (await verify(copied, "activities"))["activities"].status == "equal"
    copied.execute(PARTS["a sign-up closed"][1], key)
    assert (await only_difference(copied, "activities")).columns == ("activity_sign_ups",)


@pytest.mark.parametrize(
    ("statement", "label"),
    [
        ("DELETE FROM revento.activity_hosts WHERE ctid = (SELECT max(ctid) FROM revento.activity_hosts)",
         "activity_hosts"),
        ("UPDATE revento.activity_markers SET position = position + 50", "activity_markers.position"),
        ("UPDATE revento.activity_registration_waves SET from_activity = false WHERE from_activity AND from_wave",
         "activity_registration_waves"),
    ],
)  # fmt: skip
async def test_what_belongs_to_an_activity(copied: Bench, statement: str, label: str) -> None:
    copied.execute(statement)
    proof = (await verify(copied, "activities"))["activities"]
    assert proof.different > 0
    assert {each.columns for each in proof.differences} == {(label,)}
    assert (await verify(copied, "waves"))["waves"].status == "equal"


@pytest.mark.parametrize(
    ("statement", "stream", "table"),
    [
        ("UPDATE revento.form_fields SET value_types = '{}' WHERE form_field_key = (SELECT min(form_field_key) "
         "FROM revento.form_fields)", "participants", "form_fields.value_types"),
        ("DELETE FROM revento.location_amenities", "locations", "location_amenities"),
        ("UPDATE revento.markers SET name = 'x' WHERE marker_key = (SELECT min(marker_key) FROM revento.markers)",
         "activities", "name"),
    ],
)  # fmt: skip
async def test_what_rows_share(copied: Bench, statement: str, stream: str, table: str) -> None:
    copied.execute(statement)
    proof = (await verify(copied, stream))[stream]
    assert proof.status == "differs"
    assert {each.columns for each in proof.differences} == {(table,)}


# --- what differs at the source ---------------------------------------------------------------------------------------


async def test_what_changed_at_the_source_is_told_apart_and_gone_after_a_sync(copied: Bench) -> None:
    event, world = copied.event_id, copied.sandbox.world
    changed, gone = (row["id"] for row in copied.sandbox.truth()["events"][0]["participants"][3:5])
    later = {"updated_at": "2999-01-01T00:00:00Z"}
    world.patch(event, "participants", changed, {"application_status": "rejected", "email": "new@example.com", **later})
    new = world.create(event, "participants", later)["id"]
    world.delete(event, "participants", gone)
    proof = (await verify(copied, "participants"))["participants"]
    assert (proof.missing, proof.extra, proof.different, proof.newer) == (1, 1, 1, 2)
    found = {each.key.partition("/")[2]: (each.kind, each.cause) for each in proof.differences}
    assert found == {changed: ("different", "newer"), new: ("missing", "newer"), gone: ("extra", None)}
    (difference,) = (each for each in proof.differences if each.kind == "different")
    assert {"application_status", "participant_private.email", "updated_at"} <= set(difference.columns)
    assert "new@example.com" not in repr(proof)
    for _ in range(2):
        await copied.sync(streams=["participants"])
    assert (await verify(copied, "participants"))["participants"].status == "equal"


async def test_a_source_that_went_back_is_told(copied: Bench) -> None:
    first = copied.sandbox.truth()["events"][0]["participants"][0]["id"]
    old = {"updated_at": "2001-01-01T00:00:00Z", "application_status": "rejected"}
    copied.sandbox.world.patch(copied.event_id, "participants", first, old)
    difference = await only_difference(copied, "participants")
    assert (difference.kind, difference.cause) == ("different", "older")


async def test_who_is_only_named_by_other_rows_is_missing(bench: Bench) -> None:
    assert (await bench.sync(streams=["activities"])).exit_code == 0
    proof = (await verify(bench, "participants"))["participants"]
    assert bench.value("SELECT count(*) FROM revento.participants WHERE _syncd_is_stub") > 0
    assert (proof.here, proof.missing, proof.different) == (0, 60, 0)


async def test_before_any_sync_all_is_missing(bench: Bench) -> None:
    proof = (await verify(bench, "participants"))["participants"]
    assert (proof.rows, proof.here, proof.missing, proof.newer) == (60, 0, 60, 0)
    assert len(proof.differences) == 20, "the first few"


# --- what cannot be told ----------------------------------------------------------------------------------------------


async def test_a_row_that_cannot_be_read_is_told_and_no_equality(copied: Bench) -> None:
    roles = copied.sandbox.truth()["events"][0]["roles"]
    unreadable = [roles[0] | {"id": None}, *roles[1:]]
    copied.sandbox.faults.add({"endpoint": ROLES, "set": {"data": unreadable}, "times": None})
    proof = (await verify(copied, "roles"))["roles"]
    assert (proof.status, proof.rejected, proof.missing, proof.extra) == ("differs", 1, 0, 1)
    assert "could not be read" in (proof.reason or "")
    copied.execute("UPDATE revento.roles SET _syncd_deleted_at = now() WHERE role_id = %s", roles[0]["id"])
    assert (await verify(copied, "roles"))["roles"].status == "differs", "the warehouse does not have that row"


async def test_a_sample_ends_early_and_says_what_it_cannot_tell(copied: Bench) -> None:
    event = copied.event_id
    copied.execute(
        "INSERT INTO revento.participants (event_id, participant_id, _syncd_synced_at) VALUES (%s, 'x', now())", event
    )
    mark = copied.mark()
    proofs = await verify(copied, "roles", "participants", sample=10)
    people, roles = proofs["participants"], proofs["roles"]
    assert (people.status, people.rows, people.extra, people.requests) == ("equal", 10, None, 1)
    assert "cannot be told" in (people.reason or "")
    assert (roles.rows, roles.extra, roles.reason) == (6, 0, None), "what is not paged is compared whole"
    assert len(copied.calls(since=mark)) == 2, "no page is asked for that nobody looks at"
    assert (await verify(copied, "participants", sample=60))["participants"].extra == 1


async def test_a_declined_scope_is_skipped_and_a_failed_stream_fails(open_bench: OpenBench) -> None:
    bench = await open_bench()
    await bench.add(scopes=("event.read", "participants.read"))
    await bench.sync()
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "body": "{}", "times": None})
    proofs = await verify(bench)
    assert {name: proof.status for name, proof in proofs.items()} == {
        "event": "equal", "roles": "equal", "participants": "failed", "threads": "skipped", "locations": "skipped",
        "activities": "skipped", "waves": "skipped",
    }  # fmt: skip
    assert exit_code(list(proofs.values())) == 1


async def test_under_somebody_elses_lease_it_does_not_look(copied: Bench) -> None:
    lease = await claim(copied.app.database, copied.names[0], "somebody else")
    assert lease is not None
    mark = copied.mark()
    with pytest.raises(LeaseHeld):
        await verify(copied, wait=False)
    assert copied.calls(since=mark) == []


async def test_a_refused_token_changes_no_state(copied: Bench) -> None:
    copied.sandbox.tokens.revoke_event(copied.event_id)
    proofs = await verify(copied)
    assert exit_code(list(proofs.values())) == NeedsAuthorization.exit_code
    assert (await copied.installation()).state == "active"
