"""What a session of the database may be: few, forgotten by a pooler, set up oddly, and never held while the API is
waited for."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from syncd.errors import ConfigError
from syncd.main import upgrade_database
from syncd.store.database import open_database
from tests import truth
from tests.database_proxy import database_proxy
from tests.harness import EVENT, LOCATIONS, PARTICIPANTS, TOKEN, Bench, OpenBench, benches
from tests.sampling import sampled

SMALL_PAGES = {"REVENTO__PAGE_SIZE": "5"}
OTHERS = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
LONG_S = 0.2


@pytest.mark.fault(86)
async def test_one_session_for_pages_and_one_for_control_are_enough(open_bench: OpenBench) -> None:
    bench = await open_bench({"DATABASE__POOL_SIZE": "1"}, events=2)
    first, second = await bench.add(), await bench.add(bench.sandbox.event_ids[1])
    results = await asyncio.gather(bench.sync(first), bench.sync(second))
    assert [result.exit_code for result in results] == [0, 0]
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert bench.value(f"SELECT count(*) FROM {OTHERS}") <= 2


@pytest.mark.fault(86)
@pytest.mark.parametrize("pooler", ["transaction", "none"])
async def test_a_pooler_that_forgets_the_session_after_each_transaction(database_url: str, pooler: str) -> None:
    """No prepared statement, no setting, no lock may be missed in the next transaction; nor need anybody say that it
    is there."""
    settings = {"DATABASE__POOLER": pooler, "DATABASE__DIRECT_URL": database_url, **SMALL_PAGES}
    async with database_proxy(database_url, forgets=True) as proxy, benches(proxy.url) as start:
        bench = await start(settings)
        bench.url = database_url
        await bench.add()
        for name in ("role_attendee", "role_staff"):
            assert (await bench.sync()).exit_code == 0
            truth.assert_equal(database_url, bench.sandbox.truth())
            bench.sandbox.world.patch(bench.event_id, "roles", name, {"description": "changed"})
        assert proxy.forgotten > 100


@pytest.mark.fault(86)
async def test_nothing_is_left_in_a_session(open_bench: OpenBench) -> None:
    bench = await open_bench({"DATABASE__POOL_SIZE": "1"})
    await bench.add()
    await bench.sync()
    async with bench.app.database.pool.connection() as connection:
        left = await connection.execute("SELECT name, setting FROM pg_settings WHERE source = 'session'")
        assert await left.fetchall() == []
        left = await connection.execute("SELECT mode FROM pg_locks WHERE locktype = 'advisory'")
        assert await left.fetchall() == []
        left = await connection.execute("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()")
        assert await left.fetchall() == []


# --- no transaction is open while the API is waited for ---------------------------------------------------------------


@pytest.mark.fault(87)
@pytest.mark.parametrize(
    ("endpoint", "nth"), [(EVENT, 1), (PARTICIPANTS, 1), (PARTICIPANTS, 3), (LOCATIONS, 1), (TOKEN, 1)]
)
async def test_no_transaction_waits_for_the_api(open_bench: OpenBench, endpoint: str, nth: int) -> None:
    """The token is renewed before the walk that it would not outlive."""
    bench = await open_bench(SMALL_PAGES)
    await bench.add()
    await bench.sync()
    bench.execute("UPDATE syncd.installations SET cursor_survives_refresh = false")
    bench.execute("UPDATE syncd.walks SET ended_at = started_at + interval '40 minutes'")
    bench.execute("UPDATE syncd.credentials SET access_expires_at = now() + interval '30 minutes'")
    bench.sandbox.faults.add({"endpoint": endpoint, "nth": nth, "times": 1, "delay_s": 4 * LONG_S})
    before = bench.mark()
    waiting = asyncio.create_task(bench.sync())
    while len([call for call in bench.sandbox.log(before) if call["endpoint"] == endpoint]) < nth:
        await asyncio.sleep(0.01)
    await asyncio.sleep(2 * LONG_S)
    since = f"SELECT state, query FROM {OTHERS} AND now() - xact_start > %s * interval '1 second'"
    assert bench.query(since, LONG_S) == []
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


# --- whatever the database sets ---------------------------------------------------------------------------------------

ODDITIES = {
    "search_path": "elsewhere",
    "timezone": "Asia/Kathmandu",
    "datestyle": "ISO, DMY",
    "intervalstyle": "iso_8601",
    "bytea_output": "escape",
    "extra_float_digits": "-10",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "row_security": "off",
}


@pytest.mark.fault(92)
@pytest.mark.fault(66)
@pytest.mark.parametrize("setting", sampled(ODDITIES))
async def test_whatever_the_database_sets_for_its_sessions(database_url: str, setting: str) -> None:
    """Its settings are another application's business; tables of our names in another schema are not ours."""
    name = sql.Identifier(urlsplit(database_url).path.lstrip("/"))
    with psycopg.connect(database_url, autocommit=True) as admin:
        tables = admin.execute("SELECT DISTINCT tablename FROM pg_tables WHERE schemaname IN ('syncd', 'revento')")
        admin.execute("CREATE SCHEMA elsewhere")
        for (table,) in tables.fetchall():
            admin.execute(sql.SQL("CREATE TABLE elsewhere.{} (nothing int)").format(sql.Identifier(table)))
        changed = sql.SQL("ALTER DATABASE {} SET {} = {}")
        admin.execute(changed.format(name, sql.Identifier(setting), sql.Literal(ODDITIES[setting])))
    async with benches(database_url) as start:
        bench = await start(SMALL_PAGES, participants=20, activities=10)
        await bench.add()
        for _ in range(2):
            assert (await bench.sync()).exit_code == 0
        bench.sandbox.world.patch(bench.event_id, "activities", first_activity(bench), {"title": "Zażółć 🎲"})
        assert (await bench.sync()).exit_code == 0
        with psycopg.connect(database_url, autocommit=True) as admin:
            admin.execute(sql.SQL("ALTER DATABASE {} RESET ALL").format(name))
        truth.assert_equal(database_url, bench.sandbox.truth())


def first_activity(bench: Bench) -> Any:
    return bench.sandbox.truth()["events"][0]["activities"][0]["id"]


@pytest.fixture
def ascii_database_url(postgres_admin: psycopg.Connection, postgres_server: str) -> Iterator[str]:
    """A database that takes any bytes for text."""
    name = f"syncd_ascii_{secrets.token_hex(6)}"
    create = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
    postgres_admin.execute(sql.SQL(create).format(sql.Identifier(name)))
    try:
        yield urlsplit(postgres_server)._replace(path=f"/{name}").geturl()
    finally:
        postgres_admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.fault(92)
def test_a_database_that_does_not_know_its_encoding_is_refused(ascii_database_url: str) -> None:
    with pytest.raises(ConfigError, match="encoding is SQL_ASCII"):
        upgrade_database(ascii_database_url)
    with psycopg.connect(ascii_database_url, autocommit=True) as admin:
        assert admin.execute("SELECT nspname FROM pg_namespace WHERE nspname = 'syncd'").fetchall() == []


@pytest.mark.fault(92)
async def test_a_database_that_tells_times_in_a_form_of_its_own_is_refused(database_url: str) -> None:
    name = sql.Identifier(urlsplit(database_url).path.lstrip("/"))
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} SET datestyle = 'German'").format(name))
    with pytest.raises(ConfigError, match="German"):
        async with open_database(database_url, pool_size=1, lease_s=60):
            raise AssertionError("it was let in")
