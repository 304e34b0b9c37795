"""The warehouse equals the API: every row, every column, at the promised number of calls, and nothing twice."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from math import ceil

import psycopg
import pytest

from tests import truth
from tests.harness import Bench, OpenBench, benches, open_app

PAGE = 50


async def test_a_first_sync_makes_the_tables_equal_to_the_api(bench: Bench) -> None:
    result = await bench.sync()
    assert (result.exit_code, result.state) == (0, "succeeded")
    assert [stream.status for stream in result.streams] == ["certified"] * 7
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert Counter(call["endpoint"] for call in bench.calls())["/events/{event_id}/participants"] == ceil(60 / PAGE)


@pytest.mark.fault(39)
@pytest.mark.fault(88)
@pytest.mark.slow
async def test_three_events_at_full_size(database_url: str) -> None:
    """Two rounds of three events: equality, the exact number of calls, and not one row touched by the second."""
    async with benches(database_url) as start:
        bench = await start(events=3, participants=2000, activities=300)
        installations = [await bench.add(event_id) for event_id in bench.sandbox.event_ids]
        results = await asyncio.gather(*(bench.sync(installation) for installation in installations))
        assert [result.exit_code for result in results] == [0, 0, 0]
        calls = Counter(call["event_id"] for call in bench.calls())
        assert set(calls.values()) == {ceil(2000 / PAGE) + ceil(300 / PAGE) + 5}
        truth.assert_equal(bench.url, bench.sandbox.truth())

        synced_at = bench.query("SELECT participant_key, _syncd_synced_at FROM revento.participants ORDER BY 1")
        before = await write_counters(bench)
        assert before["participants"][0] >= 6000, "the counters count"
        async with open_app(bench.url, bench.sandbox) as again:
            bench.app = again
            results = await asyncio.gather(*(bench.sync(installation) for installation in installations))
        assert [stream.counts.unchanged for stream in results[0].streams][2] == 2000
        assert await write_counters(bench) == before
        assert bench.query("SELECT participant_key, _syncd_synced_at FROM revento.participants ORDER BY 1") == synced_at
        assert set(Counter(call["event_id"] for call in bench.calls()).values()) == {2 * 51}


async def write_counters(bench: Bench) -> dict[str, tuple[int, int, int]]:
    """Rows inserted, updated and deleted so far, by table. A session reports them at its end: first all must end."""
    await bench.app.database.engine.dispose()
    await bench.app.database.pool.close()
    deadline = time.monotonic() + 10
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while bench.value(others):
        assert time.monotonic() < deadline, "a session of the application does not end"
        await asyncio.sleep(0.02)
    rows = bench.query(
        "SELECT relname, n_tup_ins, n_tup_upd, n_tup_del FROM pg_stat_user_tables WHERE schemaname = 'revento'"
    )
    return {table: (inserted, updated, deleted) for table, inserted, updated, deleted in rows}


@pytest.mark.slow
async def test_the_comparison_sees_every_column(bench: Bench) -> None:
    """Change one value of each column, add and take away a row of each table: each time the comparison must say so."""
    await bench.sync()
    expected = bench.sandbox.truth()
    with psycopg.connect(bench.url) as connection:
        assert truth.compare(connection, expected) == []
        blind = [change for change in changes(connection) if not seen(connection, expected, change)]
    assert blind == []


def changes(connection: psycopg.Connection) -> list[str]:
    """One statement for each column that the loader can write, and two for each table."""
    columns = connection.execute(
        """SELECT table_name, column_name, data_type FROM information_schema.columns
           WHERE table_schema = 'revento' AND is_generated = 'NEVER' AND is_identity = 'NO' AND table_name <> ALL(%s)
           ORDER BY 1, ordinal_position""",
        [list(truth.ELSEWHERE)],
    ).fetchall()
    statements = []
    for table, column, kind in columns:
        excepted = (table, column) in truth.EXCEPTIONS or column in ("_syncd_synced_at", "_syncd_deleted_at")
        if not excepted:
            statements.append(
                f"UPDATE revento.{table} SET {column} = {OTHER[kind].format(column)} WHERE ctid = "
                f"(SELECT max(ctid) FROM revento.{table} WHERE {column} IS NOT NULL {LIVE.get(table, '')})"
            )
    tables = sorted({table for table, _, _ in columns})
    statements += [
        f"DELETE FROM revento.{table} WHERE ctid = (SELECT max(ctid) FROM revento.{table})" for table in tables
    ]
    return statements


OTHER = {
    "text": "{} || 'x'",
    "boolean": "NOT {}",
    "bigint": "{} + 1",
    "double precision": "{} + 0.001",
    "timestamp with time zone": "{} + interval '1 second'",
    "time without time zone": "{} + interval '1 minute'",
    "jsonb": """jsonb_build_object('other', 1)""",
    "ARRAY": "{} || '{{x}}'",
    "uuid": "NULL",
    "bytea": "NULL",
}
LIVE = {"activity_sign_ups": "AND removed_at IS NULL"}


def seen(connection: psycopg.Connection, expected: truth.Json, change: str) -> bool:
    """Whether the comparison differs after the change, which is then taken back."""
    touched = connection.execute(change.encode()).rowcount
    lines = truth.compare(connection, expected)
    connection.rollback()
    return bool(touched and lines) or ("removed_at" in change and touched == 0)


async def test_without_its_unmapped_fields_no_payload_is_whole(bench: Bench) -> None:
    await bench.sync()
    events = bench.sandbox.truth()["events"]
    with psycopg.connect(bench.url) as connection:
        rows = truth.stored(connection, {bench.event_id})
    assert truth.payload_differences(events, rows) == []
    for key in list(rows["unmapped_fields"]):
        without = {**rows, "unmapped_fields": {k: v for k, v in rows["unmapped_fields"].items() if k != key}}
        assert says_nothing(rows["unmapped_fields"][key]) or truth.payload_differences(events, without), key


def says_nothing(row: truth.Json) -> bool:
    """Null and absent are one in the comparison of payloads; what an activity's location has, the location has too."""
    return all(value is None or name == "location" for name, value in row["fields"].items())


@pytest.mark.fault(35)
async def test_two_events_with_the_same_role_ids_keep_apart(open_bench: OpenBench) -> None:
    """Role, marker and floor ids repeat between events (docs/faults.md 35)."""
    bench = await open_bench(events=2)
    for event_id in bench.sandbox.event_ids:
        await bench.sync(await bench.add(event_id))
    truth.assert_equal(bench.url, bench.sandbox.truth())
    shared = bench.query("SELECT role_id FROM revento.roles GROUP BY role_id HAVING count(*) = 2")
    assert ("role_attendee",) in shared
