"""A dry run tells what the next round does, by the same counts, and writes nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from syncd import main
from syncd.errors import LeaseHeld
from syncd.store.leases import claim
from syncd.sync.round import RoundResult, Watch
from syncd.sync.run import Progress
from tests.harness import PARTICIPANTS, ROLES, TOKEN, Bench, OpenBench, benches
from tests.sync.stillness import digest

PAGES_OF_20 = {"REVENTO__PAGE_SIZE": "20"}
PEOPLE = ["participants"]


@pytest.fixture
async def bench(open_bench: OpenBench) -> Bench:
    """A small world on pages of twenty; pauses take no time."""
    bench = await open_bench(PAGES_OF_20)
    await bench.add()
    bench.hurry()
    return bench


async def preview(bench: Bench, *streams: str, name: str | None = None, **options: Any) -> RoundResult:
    """A dry run, which must leave every table as it is."""
    installation = await bench.installation(name)
    watch = options.pop("watch", Watch())
    order = bench.app.order(installation, "sync", main.chosen_streams(installation, streams), **options)
    before = digest(bench)
    async with asyncio.timeout(60):
        (result,) = await bench.app.preview([order], watch)
    assert digest(bench) == before
    if isinstance(result, BaseException):
        raise result
    return result


def books(result: RoundResult) -> dict[str, Any]:
    """All that can be foretold of a round."""
    return {
        one.stream: (one.status, one.pages, one.requests, one.counts, one.removed, one.error_code, one.exit_code)
        for one in result.streams
    } | {"the round": (result.exit_code, result.state)}


async def foretold(bench: Bench, *streams: str, fault: dict[str, Any] | None = None) -> RoundResult:
    """The next round, which a dry run has foretold; both meet the same fault."""
    if fault:
        bench.sandbox.faults.add({"endpoint": PARTICIPANTS, **fault})
    expected = await preview(bench, *streams)
    bench.sandbox.faults.clear()
    if fault:
        bench.sandbox.faults.add({"endpoint": PARTICIPANTS, **fault})
    result = await bench.sync(streams=streams)
    bench.sandbox.faults.clear()
    assert books(expected) == books(result)
    assert expected.run_id is None
    return result


def stream(result: RoundResult, name: str = "participants") -> Any:
    (found,) = (one for one in result.streams if one.stream == name)
    return found


def people(bench: Bench) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = bench.sandbox.truth()["events"][0]["participants"]
    return rows


async def test_into_an_empty_warehouse_and_into_a_full_one(database_url: str) -> None:
    async with benches(database_url) as start:
        bench = await start(PAGES_OF_20, events=3)
        for event_id in bench.sandbox.event_ids:
            await bench.add(event_id)
        for number, counted in ((1, "inserted"), (2, "unchanged")):
            for name in bench.names:
                expected = await preview(bench, name=name)
                assert getattr(stream(expected).counts, counted) == 60
                result = await bench.sync(await bench.installation(name))
                assert books(expected) == books(result)
            # each call of the dry runs is on record, under no run
            calls = bench.value("SELECT count(*) FROM syncd.requests WHERE run_id IS NULL")
            assert calls == len(bench.calls()) / 2 == number * 3 * 10


async def test_every_kind_of_change_is_foretold(bench: Bench) -> None:
    await bench.sync()
    event, world = bench.event_id, bench.sandbox.world
    first, second, third, fourth = (row["id"] for row in people(bench)[:4])
    world.patch(event, "participants", first, {"application_status": "rejected"})
    world.patch(event, "participants", second, {"updated_at": "2001-01-01T00:00:00Z"})
    world.create(event, "participants", {})
    world.create(event, "registration-waves", {"activity_ids": ["act_unheard_of"]})
    world.delete(event, "participants", third)
    world.patch(event, "roles", "role_attendee", {"name": "Guest"})
    result = await foretold(bench)
    counts = stream(result).counts
    assert (counts.inserted, counts.updated, counts.superseded, stream(result).removed) == (1, 1, 1, 0)
    assert stream(await foretold(bench)).removed == 1, "two witnesses have missed it"
    world.create(event, "participants", {"id": third})
    world.delete(event, "participants", fourth)
    assert stream(await foretold(bench)).counts.updated == 1, "who was hidden comes back"


@pytest.mark.parametrize("witnesses", ["1", "3"])
async def test_the_configured_number_of_witnesses(open_bench: OpenBench, witnesses: str) -> None:
    bench = await open_bench({"REMOVALS__WITNESSES": witnesses})
    await bench.add()
    await bench.sync()
    bench.sandbox.world.delete(bench.event_id, "participants", people(bench)[3]["id"])
    removed = [stream(await foretold(bench, "participants")).removed for _ in range(4)]
    assert removed == [int(number == int(witnesses)) for number in range(1, 5)]


async def test_a_removal_that_would_be_held(bench: Bench) -> None:
    await bench.sync()
    for row in people(bench)[:20]:
        bench.sandbox.world.delete(bench.event_id, "participants", row["id"])
    for _ in range(2):
        bench.sandbox.world.create(bench.event_id, "participants", {})  # new rows are part of the share
        result = await foretold(bench, "participants")
    assert (stream(result).status, result.exit_code) == ("held", 5)
    expected = await preview(bench, "participants")
    assert stream(expected).reason == "20 of 62 rows are gone at the source and would be held"
    await foretold(bench, "participants")


async def test_an_empty_listing_holds_everything(bench: Bench) -> None:
    await bench.sync()
    bench.sandbox.faults.add({"endpoint": ROLES, "set": {"data": []}, "times": None})
    await bench.sync(streams=["roles"])
    assert (await preview(bench, "roles")).exit_code == 5
    assert (await bench.sync(streams=["roles"])).exit_code == 5


async def test_a_row_that_pages_repeat_is_inserted_once_and_the_walk_is_no_witness(bench: Bench) -> None:
    await bench.sync()
    gone = people(bench)[5]["id"]
    bench.sandbox.world.delete(bench.event_id, "participants", gone)
    await bench.sync(streams=["participants"])
    again = [row | {"nickname": "again"} for row in people(bench)[:20]]
    result = await foretold(bench, "participants", fault={"set": {"data": again}, "times": None})
    counts = stream(result).counts
    assert (counts.updated, counts.unchanged, stream(result).removed) == (20, 40, 0)
    assert stream(await foretold(bench, "participants")).removed == 1


async def test_rows_repeated_within_a_page_are_superseded(bench: Bench) -> None:
    row = people(bench)[0]
    result = await foretold(bench, "participants", fault={"set": {"data": [row, row], "has_more": False}})
    assert (stream(result).counts.inserted, stream(result).counts.superseded) == (1, 1)


async def test_what_would_be_quarantined_is_counted_once(bench: Bench) -> None:
    rows = people(bench)
    bad = [rows[0] | {"id": None}, rows[1] | {"registered_at": "not a time"}, *rows[2:20]]
    order = {"set": {"data": bad}, "times": None}
    counts = stream(await foretold(bench, "participants", fault=order)).counts
    assert (counts.rejected, counts.quarantined_values) == (3, 2)
    result = await foretold(bench, "participants", fault=order)
    assert (stream(result).counts.quarantined_values, result.exit_code) == (0, 0)


@pytest.mark.parametrize(
    "fault",
    [
        {"nth": 2, "status": 413},
        {"nth": 2, "error": "invalid_cursor", "status": 400},
        {"nth": 2, "error": "invalid_cursor", "status": 400, "times": None},
        {"nth": 3, "status": 500, "times": None},
        {"status": 403, "error": "missing_scope", "times": None},
        {"body": "{}", "times": None},
    ],
    ids=str,
)
async def test_failures_are_foretold_with_what_came_before_them(bench: Bench, fault: dict[str, Any]) -> None:
    await foretold(bench, fault=fault)


async def test_a_restarted_walk_is_no_witness(bench: Bench) -> None:
    await bench.sync()
    bench.sandbox.world.delete(bench.event_id, "participants", people(bench)[5]["id"])
    await bench.sync(streams=["participants"])
    fault = {"nth": 2, "error": "invalid_cursor", "status": 400}
    assert stream(await foretold(bench, "participants", fault=fault)).removed == 0
    assert stream(await foretold(bench, "participants")).removed == 1


async def test_a_page_size_that_had_to_shrink_is_kept(bench: Bench) -> None:
    await foretold(bench, "participants", fault={"nth": 2, "error": "payload_too_large"})
    assert stream(await foretold(bench, "participants")).pages == 6, "the next walk begins with it"


@pytest.mark.parametrize("calls", [(2,), (3, 7)])
async def test_a_cursor_that_dies_with_its_token(open_bench: OpenBench, calls: tuple[int, ...]) -> None:
    """Once the walk begins anew; a listing that outlives each token is given up, as a round gives it up."""
    bench = await open_bench(PAGES_OF_20, gaps={"G3": "token"})
    await bench.add()
    expected = await refused_at(bench, calls, dry=True)
    assert (await bench.installation()).cursor_survives_refresh is None, "what it saw is not noted"
    assert books(expected) == books(await refused_at(bench, calls, dry=False))
    assert stream(expected).status == ("certified" if len(calls) == 1 else "incomplete")


async def refused_at(bench: Bench, calls: tuple[int, ...], *, dry: bool) -> RoundResult:
    """A dry run or a round, whose token is refused at these calls of the listing."""
    bench.sandbox.faults.clear()
    for call in calls:
        bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": call, "error": "token_expired"})
    if not dry:
        return await bench.sync(streams=["participants"])
    order = bench.app.order(await bench.installation(), "sync", main.chosen_streams(await bench.installation(), PEOPLE))
    (result,) = await bench.app.preview([order], Watch())
    assert isinstance(result, RoundResult)
    return result


async def test_a_token_is_renewed_before_a_walk_that_would_outlive_it(bench: Bench) -> None:
    await bench.sync()
    bench.execute("UPDATE syncd.installations SET cursor_survives_refresh = false")
    bench.execute("UPDATE syncd.walks SET ended_at = started_at + interval '40 minutes'")
    bench.execute("UPDATE syncd.credentials SET access_expires_at = now() + interval '30 minutes'")
    order = bench.app.order(await bench.installation(), "sync", main.chosen_streams(await bench.installation(), PEOPLE))
    await bench.app.preview([order], Watch())
    assert len(bench.calls(TOKEN)) == 1


async def test_a_declined_scope_is_skipped(open_bench: OpenBench) -> None:
    bench = await open_bench()
    await bench.add(scopes=("participants.read",))
    assert {one.status for one in (await foretold(bench)).streams} == {"certified", "skipped"}


async def test_its_pages_are_shown(bench: Bench) -> None:
    told: list[Progress] = []
    await preview(bench, "participants", watch=Watch(page=told.append))
    assert [(each.page_number, each.rows, each.counts.inserted) for each in told] == [
        (1, 20, 20),
        (2, 20, 20),
        (3, 20, 20),
    ]


async def test_its_last_page_tells_what_would_be_hidden(bench: Bench) -> None:
    await bench.sync()
    bench.sandbox.world.delete(bench.event_id, "participants", people(bench)[0]["id"])
    await bench.sync(streams=["participants"])
    told: list[Progress] = []
    await preview(bench, "participants", watch=Watch(page=told.append))
    assert [each.removed for each in told] == [0, 0, 1]


async def test_a_walk_that_was_cut_off_goes_on_where_it_stood(bench: Bench) -> None:
    """The dry run begins at the first page, and leaves the open walk alone."""
    fault = {"nth": 2, "status": 500, "times": None}
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, **fault})
    await bench.sync(streams=["participants"])
    bench.sandbox.faults.clear()
    assert stream(await preview(bench, "participants")).counts.unchanged == 20
    assert stream(await bench.sync(streams=["participants"])).counts.inserted == 40


async def test_under_somebody_elses_lease_it_does_not_look(bench: Bench) -> None:
    assert await claim(bench.app.database, bench.names[0], "somebody else") is not None
    with pytest.raises(LeaseHeld):
        await preview(bench, wait=False)
    assert bench.calls() == []


async def test_a_refused_token_changes_no_state(bench: Bench) -> None:
    bench.sandbox.tokens.revoke_event(bench.event_id)
    assert (await preview(bench)).exit_code == 4
    assert (await bench.installation()).state == "active"
