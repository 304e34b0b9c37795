"""The schema: made from nothing, the same each time, equal to what the program believes, and every part explained."""

from __future__ import annotations

import threading

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg.conninfo import make_conninfo

from syncd import main
from syncd.errors import ConfigError, SchemaOutdated
from syncd.store import migrate, oldest, version
from syncd.store.engine import connected
from tests.harness import ROLES, Bench

SCHEMAS = ("syncd", "revento", "bi")


def catalogue(url: str) -> list[tuple[object, ...]]:
    """Every column, constraint, index, view and comment of our schemas."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            """SELECT nspname, relname, relkind::text, attname, format_type(atttypid, atttypmod), attnotnull,
                      col_description(rel.oid, attnum), obj_description(rel.oid), NULL
               FROM pg_class AS rel JOIN pg_namespace AS schema ON schema.oid = relnamespace
               JOIN pg_attribute ON attrelid = rel.oid AND attnum > 0 AND NOT attisdropped
               WHERE nspname = ANY(%(schemas)s)
               UNION ALL SELECT nspname, conname, 'c', pg_get_constraintdef(con.oid), NULL, NULL, NULL, NULL, NULL
               FROM pg_constraint AS con JOIN pg_namespace AS schema ON schema.oid = connamespace
               WHERE nspname = ANY(%(schemas)s)
               UNION ALL SELECT schemaname, indexname, 'x', indexdef, NULL, NULL, NULL, NULL, NULL
               FROM pg_indexes WHERE schemaname = ANY(%(schemas)s)
               UNION ALL SELECT schemaname, viewname, 'w', NULL, NULL, NULL, NULL, NULL, definition
               FROM pg_views WHERE schemaname = ANY(%(schemas)s)
               ORDER BY 1, 2, 3, 4""",
            {"schemas": list(SCHEMAS)},
        ).fetchall()


def test_an_empty_database_becomes_the_newest_and_a_second_time_changes_nothing(empty_database_url: str) -> None:
    assert version.current(empty_database_url) is None
    with pytest.raises(SchemaOutdated, match="no schema of syncd's yet"):
        version.require_newest(empty_database_url)
    assert main.upgrade_database(empty_database_url) == version.NEWEST
    version.require_newest(empty_database_url)
    first = catalogue(empty_database_url)
    assert len(first) > 300
    main.upgrade_database(empty_database_url)
    assert catalogue(empty_database_url) == first


@pytest.mark.fault(91)
def test_two_migrators_at_once_agree(empty_database_url: str) -> None:
    failures: list[BaseException] = []

    def migrate_it() -> None:
        try:
            main.upgrade_database(empty_database_url)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=migrate_it) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    version.require_newest(empty_database_url)


def test_the_schema_is_what_the_program_believes(database_url: str) -> None:
    """`search_path` is set because a role may be called like a schema, which PostgreSQL then takes for the default."""
    for metadata in main.TABLES:
        with connected(make_conninfo(database_url, options="-c search_path=public")) as connection:
            options = {
                "include_schemas": True,
                "include_name": lambda name, kind, _, schema=metadata.schema: kind != "schema" or name == schema,
                "version_table_schema": "syncd",
                "compare_type": True,
                "compare_server_default": True,
            }
            assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []


def test_down_to_nothing_and_up_again(database_url: str) -> None:
    before = catalogue(database_url)
    with connected(database_url) as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert [row for row in catalogue(database_url) if row[0] == "revento"] == []
    main.upgrade_database(database_url)
    assert catalogue(database_url) == before


async def test_what_an_older_version_has_quarantined_outlives_the_upgrade(bench: Bench) -> None:
    roles = bench.sandbox.truth()["events"][0]["roles"]
    roles[0]["name"] = "a\0b"
    bench.sandbox.faults.add({"endpoint": ROLES, "set": {"data": roles}, "times": None})
    assert (await bench.sync(streams=["roles"])).exit_code == 3
    kept = "SELECT quarantine_id, json_path, raw, first_seen_at FROM syncd.quarantined_values"
    before = bench.query(kept)
    with connected(bench.url) as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.downgrade(config, "0006")
    main.upgrade_database(bench.url)
    assert bench.query(kept) == before
    assert bench.query("SELECT row_ref FROM syncd.quarantined_values") == [(None,)]
    assert (await bench.sync(streams=["roles"])).exit_code == 0, "it is not new"
    assert bench.query(kept) == before
    assert bench.value("SELECT count(row_ref) FROM syncd.quarantined_values") == 1


def test_every_table_view_and_column_says_what_it_is(database_url: str) -> None:
    silent = [
        (schema, relation, column)
        for schema, relation, kind, column, _, _, of_column, of_relation, _ in catalogue(database_url)
        if kind in ("r", "v")
        and relation != "alembic_version"
        and not (str(of_column or "").strip() and str(of_relation or "").strip())
    ]
    assert silent == []


def test_every_view_is_a_security_barrier(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        views = connection.execute(
            """SELECT relname, reloptions FROM pg_class JOIN pg_namespace AS schema ON schema.oid = relnamespace
               WHERE nspname = 'bi'"""
        ).fetchall()
    assert {name for name, _ in views} == {view.name for view in main.VIEWS}
    assert {tuple(options or ()) for _, options in views} == {("security_barrier=true",)}


@pytest.fixture
def newer(database_url: str) -> str:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE syncd.alembic_version SET version_num = '9999'")
    return database_url


@pytest.mark.fault(91)
def test_a_newer_schema_is_refused(newer: str) -> None:
    with pytest.raises(SchemaOutdated, match="version 9999"):
        version.require_newest(newer)


@pytest.mark.fault(90)
def test_a_migration_does_not_wait_for_ever_for_a_reader(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gives up and leaves the database as it was."""
    main.upgrade_database(empty_database_url)
    before = catalogue(empty_database_url)
    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT", "50ms")
    with psycopg.connect(empty_database_url) as reader:
        reader.execute("LOCK TABLE revento.participants IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Exception, match="55P03"):
            main.upgrade_database(empty_database_url)
    assert catalogue(empty_database_url) == before


def test_an_old_server_is_refused(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oldest, "OLDEST_MAJOR", 99)
    with pytest.raises(ConfigError, match="PostgreSQL"):
        main.upgrade_database(empty_database_url)
    assert catalogue(empty_database_url) == []
