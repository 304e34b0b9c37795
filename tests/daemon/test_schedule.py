"""The daemon keeps the tables fresh, one job per active installation, and leaves nothing half done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from syncd.daemon.health import complaints
from syncd.daemon.schedule import LOOK_EVERY_S
from syncd.store.installations import set_state
from syncd.web.service import scheduler_of
from tests.harness import Bench, OpenBench

PATIENCE_S = 30.0


async def until(is_so: Callable[[], object]) -> None:
    """Wait for something that the daemon is to bring about."""
    async with asyncio.timeout(PATIENCE_S):
        while not await asyncio.to_thread(is_so):
            await asyncio.sleep(0.05)


def title(bench: Bench, activity_id: str) -> str:
    return str(bench.value("SELECT title FROM revento.activities WHERE activity_id = %s", activity_id))


def certified(bench: Bench) -> bool:
    return bool(bench.value("SELECT bool_and(last_certified_at IS NOT NULL) FROM syncd.stream_status"))


async def test_a_change_in_the_source_reaches_the_table(open_bench: OpenBench) -> None:
    bench = await open_bench({"FRESHNESS__REVENTO__ACTIVITIES": "2s"})
    await bench.add()
    activity_id = bench.sandbox.truth()["events"][0]["activities"][0]["id"]
    async with scheduler_of(bench.app).running():
        await until(lambda: certified(bench))
        bench.sandbox.world.patch(bench.event_id, "activities", activity_id, {"title": "Moved to the garden"})
        await until(lambda: title(bench, activity_id) == "Moved to the garden")
    assert bench.query("SELECT owner, until FROM syncd.leases") == [(None, None)]
    assert bench.query("SELECT DISTINCT trigger FROM syncd.runs") == [("schedule",)]


async def test_only_due_streams_are_walked_again(open_bench: OpenBench) -> None:
    bench = await open_bench({"FRESHNESS__REVENTO__ACTIVITIES": "2s"})
    await bench.add()
    async with scheduler_of(bench.app).running():
        await until(lambda: certified(bench))
        before = bench.mark()
        await until(lambda: len(bench.calls("/events/{event_id}/activities", since=before)) >= 2)
    assert {call["endpoint"] for call in bench.calls(since=before)} == {"/events/{event_id}/activities"}


async def test_an_installation_that_is_added_later_is_noticed(open_bench: OpenBench) -> None:
    bench = await open_bench(events=2)
    await bench.add()
    async with scheduler_of(bench.app).running():
        await until(lambda: certified(bench))
        await bench.add(bench.sandbox.event_ids[1])
        await until(lambda: bench.value("SELECT count(DISTINCT installation) FROM syncd.runs") == 2)
        await until(lambda: certified(bench))


async def test_a_paused_installation_is_left_alone(open_bench: OpenBench) -> None:
    bench = await open_bench(events=2)
    paused = await bench.add()
    await set_state(bench.app.database, paused, "paused", "by hand")
    other = await bench.add(bench.sandbox.event_ids[1])
    async with scheduler_of(bench.app).running():
        await until(lambda: bench.value("SELECT count(*) FROM syncd.runs WHERE state = 'succeeded'"))
    assert bench.query("SELECT DISTINCT installation FROM syncd.runs") == [(other.name,)]


@pytest.mark.fault(95)
async def test_stopping_in_mid_walk_leaves_nothing_half_done(open_bench: OpenBench) -> None:
    """What is stored ends with a page; the next round goes on behind it."""
    bench = await open_bench(participants=400, latency_s=0.02)
    await bench.add()
    with capture_logs() as logs:
        async with scheduler_of(bench.app).running():
            await until(
                lambda: bench.value("SELECT count(*) FROM revento.participants WHERE NOT _syncd_is_stub") >= 100
            )
        await asyncio.sleep(0)  # the scheduler hears of the end in the next turn of the loop
    assert [entry["installation"] for entry in logs_of(logs, "round_stopped")] == bench.names
    assert logs_of(logs, "round_failed") == []
    stored = bench.value("SELECT count(*) FROM revento.participants WHERE NOT _syncd_is_stub")
    assert stored < 400
    assert stored == bench.value(
        "SELECT sum(seen) FROM syncd.walk_pages JOIN syncd.walks USING (walk_id) WHERE stream = 'participants'"
    )
    assert bench.query("SELECT owner, until FROM syncd.leases") == [(None, None)]
    assert bench.query("SELECT state FROM syncd.runs") == [("interrupted",)]
    before = bench.mark()
    result = await bench.sync(streams=["participants"])
    assert result.exit_code == 0
    assert len(bench.calls("/events/{event_id}/participants", since=before)) == (400 - stored) // 50
    assert bench.value("SELECT count(*) FROM revento.participants WHERE NOT _syncd_is_stub") == 400


# One installation's round ends with failed streams, or with an error that nobody foresaw.
TROUBLES = {
    "a token that does not open": "UPDATE syncd.credentials SET access_token = '\\x0102' WHERE installation = '{}'",
    "a table that refuses": "ALTER TABLE syncd.walks ADD CHECK (installation <> '{}')",
}


@pytest.mark.fault(101)
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_round_that_fails_comes_back_and_takes_no_other_with_it(open_bench: OpenBench, trouble: str) -> None:
    """Each stream may be tried again after a tenth of the time that was promised for it."""
    bench = await open_bench({"FRESHNESS__REVENTO__ACTIVITIES": "2s"}, events=2)
    for event_id in bench.sandbox.event_ids:
        await bench.add(event_id)
    broken, healthy = (f"revento/{event_id}" for event_id in bench.sandbox.event_ids)
    bench.execute(TROUBLES[trouble].format(broken))
    runs = "SELECT count(*) FROM syncd.runs WHERE installation = %s"
    with capture_logs() as logs:
        async with scheduler_of(bench.app).running():
            await until(lambda: bench.value(f"{runs} AND exit_code = 0", healthy))
            await until(lambda: bench.value(runs, broken) >= 3)
            failed = {entry["installation"] for entry in logs_of(logs, "round_failed")}
    assert failed == ({broken} if trouble == "a table that refuses" else set())


@pytest.mark.fault(101)
async def test_a_schedule_that_cannot_be_read_is_read_again(open_bench: OpenBench) -> None:
    """Whatever the reason: the database refuses, or what it holds makes no sense."""
    bench = await open_bench()
    await bench.add()
    scheduler = scheduler_of(bench.app)
    with capture_logs() as logs:
        async with scheduler.running():
            await until(lambda: certified(bench))
            for spoil, mend in SPOILT:
                bench.execute(spoil)
                logs.clear()
                await until(lambda: logs_of(logs, "schedule_not_read"))
                bench.execute(mend)
                scheduler.looked_at = None
                await until(lambda: scheduler.looked_at is not None)


# An instant beyond the year 9999 has no place in Python's calendar.
SPOILT = (
    ("ALTER TABLE syncd.stream_status RENAME TO away", "ALTER TABLE syncd.away RENAME TO stream_status"),
    (
        "UPDATE syncd.stream_status SET last_certified_at = last_certified_at + interval '100000 years'",
        "UPDATE syncd.stream_status SET last_certified_at = last_certified_at - interval '100000 years'",
    ),
)


def logs_of(logs: list[Any], event: str) -> list[Any]:
    return [entry for entry in logs if entry["event"] == event]


@pytest.mark.fault(67)
async def test_a_loop_that_stood_still_skips_no_round(open_bench: OpenBench) -> None:
    """A job that is found two seconds late runs then."""
    bench = await open_bench({"FRESHNESS__REVENTO__ACTIVITIES": "3s"})
    await bench.add()
    with capture_logs() as logs:
        async with scheduler_of(bench.app).running():
            await until(lambda: certified(bench))
            await asyncio.sleep(LOOK_EVERY_S + 0.2)
            time.sleep(2.8)  # noqa: ASYNC251 - nothing else runs when the next round falls due: that is the fault
            await until(lambda: bench.value("SELECT count(*) FROM syncd.runs") == 2)
    assert logs_of(logs, "round_failed") == []


@pytest.mark.fault(62)
async def test_a_round_that_waits_is_seen_and_gives_its_place_to_another(open_bench: OpenBench) -> None:
    """One round at a time, and the first one is told to wait: its place is the other's until it may go on."""
    bench = await open_bench({"DISPATCH__CONCURRENCY": "1"}, events=2)
    first, second = [await bench.add(event_id) for event_id in bench.sandbox.event_ids]
    bench.sandbox.faults.add({"error": "rate_limit_exceeded", "times": 1, "headers": {"Retry-After": "600"}})
    waits = "SELECT installation FROM syncd.leases WHERE waits_until > now() + interval '9 minutes'"
    done = "SELECT DISTINCT installation FROM syncd.runs WHERE state = 'succeeded'"
    async with scheduler_of(bench.app).running():
        await until(lambda: bench.query(done))
        ((waiting,),) = bench.query(waits + " AND waits_for = 'server'")
        assert [waiting] == [each.name for each in (first, second) if (each.name,) not in bench.query(done)]
        assert bench.value("SELECT count(*) FROM syncd.requests WHERE status = 429") == 1, "stored before the wait"
    assert bench.query(waits) == [], "who is stopped waits no longer"


async def test_health_speaks_of_what_is_wrong(open_bench: OpenBench) -> None:
    bench = await open_bench()
    scheduler = scheduler_of(bench.app)
    assert await complaints(scheduler) == ["the schedule has not been read yet"]
    async with scheduler.running():
        await until(lambda: scheduler.looked_at is not None)
        assert await complaints(scheduler) == []
    scheduler.looked_at = scheduler.clock.monotonic() - 31
    assert await complaints(scheduler) == ["the schedule was last read 31 s ago"]
