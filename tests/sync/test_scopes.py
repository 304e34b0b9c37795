"""A stream whose scope is missing is left out and tried again: once a renewal brings the scope, or when its promise is
used up."""

from __future__ import annotations

import pytest

from syncd.store.installations import due_streams
from syncd.sync.round import RoundResult
from syncd.web.service import scheduler_of
from tests.daemon.test_schedule import until
from tests.harness import EVENT, PARTICIPANTS, ROLES, TOKEN, Bench, OpenBench

OTHERS = {"participants", "roles", "threads", "locations", "activities", "waves"}
PROGRAM = {"threads", "locations", "activities", "waves"}


@pytest.fixture
async def bench(open_bench: OpenBench) -> Bench:
    """An event of which only the event itself was granted, and copied."""
    bench = await open_bench()
    await bench.add(scopes=("event.read",))
    assert skipped(await bench.sync()) == OTHERS
    return bench


def skipped(result: RoundResult) -> set[str]:
    """The streams that were left out; all others were certified."""
    assert {one.status for one in result.streams} <= {"certified", "skipped"}
    return {one.stream for one in result.streams if one.status == "skipped"}


def grant(bench: Bench, *scopes: str) -> None:
    """What the organizer grants from now on; the next renewal tells."""
    bench.sandbox.tokens.grants()[0].scopes = scopes
    bench.sandbox.tokens.expire_event(bench.event_id)


async def due(bench: Bench) -> set[str]:
    streams = await due_streams(bench.app.database, bench.names[0])
    return {name for name, due_in_s in streams.items() if due_in_s <= 0}


def age(bench: Bench, minutes: int) -> None:
    """So long ago it was that anything happened."""
    bench.execute(
        f"""UPDATE syncd.stream_status SET last_tried_at = last_tried_at - interval '{minutes} minutes',
                last_certified_at = last_certified_at - interval '{minutes} minutes'"""
    )
    bench.execute(f"UPDATE syncd.installations SET updated_at = updated_at - interval '{minutes} minutes'")


@pytest.mark.case("RV-23")
@pytest.mark.fault(53)
async def test_a_renewal_that_brings_the_scope_makes_its_streams_due_at_once(bench: Bench) -> None:
    assert await due(bench) == set()
    grant(bench, "event.read", "program.read")
    assert skipped(await bench.sync(streams=["event"])) == set()
    assert (await bench.installation()).scopes == ("event.read", "program.read")
    assert await due(bench) == OTHERS, "what was left out, whatever its scope"
    before = bench.mark()
    await bench.app.run_due(bench.names[0])
    assert {call["endpoint"] for call in bench.calls(since=before)}.isdisjoint({EVENT, ROLES, PARTICIPANTS})
    query = "SELECT stream FROM syncd.stream_status WHERE status = 'certified'"
    assert {name for (name,) in bench.query(query)} == PROGRAM | {"event"}
    assert await due(bench) == set()


async def test_a_scope_that_comes_in_the_midst_of_a_round_counts_for_what_is_left_of_it(bench: Bench) -> None:
    grant(bench, "event.read", "participants.read")
    assert skipped(await bench.sync()) == PROGRAM


async def test_what_was_left_out_before_the_renewal_is_due_behind_the_round(open_bench: OpenBench) -> None:
    bench = await open_bench()
    await bench.add(scopes=("participants.read",))
    grant(bench, "event.read", "participants.read")
    assert skipped(await bench.sync()) == {"event", *PROGRAM}
    assert "event" in await due(bench), "it came first, and was left out before anything was called"
    await bench.app.run_due(bench.names[0])
    assert bench.value("SELECT count(*) FROM revento.events WHERE NOT _syncd_is_stub") == 1


@pytest.mark.parametrize("said", ["event.read", "program.read event.read", None])
async def test_a_renewal_that_brings_nothing_new_makes_nothing_due(bench: Bench, said: str | None) -> None:
    if said and "program.read" in said:
        grant(bench, "event.read", "program.read")
        assert skipped(await bench.sync()) == OTHERS - PROGRAM
    bench.sandbox.tokens.expire_event(bench.event_id)
    bench.sandbox.faults.add({"endpoint": TOKEN, "set": {"scope": said}})
    await bench.sync(streams=["event"])
    assert await due(bench) == set()


async def test_a_scope_that_was_taken_back_leaves_its_streams_out(bench: Bench) -> None:
    grant(bench, "event.read", "program.read")
    await bench.sync()
    kept = bench.value("SELECT count(*) FROM revento.activities WHERE _syncd_deleted_at IS NULL")
    grant(bench, "event.read")
    assert skipped(await bench.sync()) == OTHERS
    before = bench.mark()
    assert skipped(await bench.sync()) == OTHERS
    assert [call["endpoint"] for call in bench.calls(since=before)] == [EVENT]
    assert bench.value("SELECT count(*) FROM revento.activities WHERE _syncd_deleted_at IS NULL") == kept > 0


@pytest.mark.fault(53)
async def test_a_refused_scope_is_tried_again_when_its_promise_is_used_up(bench: Bench) -> None:
    """Our books say that it was granted, the server that it was not: only a call can tell whether that has changed."""
    bench.execute("UPDATE syncd.installations SET scopes = scopes || 'participants.read'::text")
    assert skipped(await bench.sync()) == OTHERS
    assert bench.value("SELECT error_code FROM syncd.run_streams WHERE stream = 'roles' ORDER BY ended_at DESC LIMIT 1")
    age(bench, 14)
    assert "participants" not in await due(bench)
    age(bench, 1)
    assert await due(bench) == {"participants", "activities"}
    before = bench.mark()
    await bench.app.run_due(bench.names[0])
    assert [call["endpoint"] for call in bench.calls(since=before)] == [PARTICIPANTS], (
        "what was never granted costs none"
    )
    assert await due(bench) == set()
    bench.sandbox.tokens.grants()[0].scopes = ("event.read", "participants.read")
    age(bench, 15)
    await bench.app.run_due(bench.names[0])
    assert bench.value("SELECT status FROM syncd.stream_status WHERE stream = 'participants'") == "certified"


async def test_the_daemon_takes_up_what_a_renewal_brings(open_bench: OpenBench) -> None:
    bench = await open_bench({"FRESHNESS__REVENTO__EVENT": "2s"})
    await bench.add(scopes=("event.read",))
    async with scheduler_of(bench.app).running():
        await until(lambda: bench.value("SELECT count(*) FROM syncd.stream_status WHERE status = 'skipped'") == 6)
        grant(bench, "event.read", "participants.read", "program.read")
        await until(lambda: bench.value("SELECT bool_and(status = 'certified') FROM syncd.stream_status"))
    assert len(bench.calls(TOKEN)) == 1
