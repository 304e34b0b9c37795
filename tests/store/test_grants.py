"""Who may read what, asked of PostgreSQL itself by a login of each kind."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from syncd import main
from syncd.store.grants import create_roles, make_login

Query = Callable[[str], list[tuple[Any, ...]]]
PERSONAL = ("participant_private", "activity_private", "user_profiles", "unmapped_fields")


@pytest.fixture
def login(database_url: str, postgres_admin: psycopg.Connection) -> Iterator[Query]:
    """Queries as a BI login; the login ends with the test, the roles are the server's."""
    create_roles(database_url, main.TABLES)
    name = f"bi_{secrets.token_hex(4)}"
    password = make_login(database_url, name)
    assert password
    assert make_login(database_url, name) is None, "a login that exists keeps its password"
    conninfo = make_conninfo(database_url, user=name, password=password, passfile="/dev/null")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        yield lambda query: connection.execute(query.encode()).fetchall()
    with psycopg.connect(database_url, autocommit=True) as owner:
        owner.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
    postgres_admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def refused(query: Query, statement: str) -> str:
    with pytest.raises(psycopg.Error) as error:
        query(statement)
    return str(error.value.sqlstate)


def test_a_bi_login_reads_the_views_and_all_that_is_not_personal(login: Query) -> None:
    for view in main.VIEWS:
        assert login(f"SELECT * FROM {view.name}") == [], "bi is on its search path"
    for table in main.TABLES[1].sorted_tables:
        if not table.info.get("personal"):
            assert login(f"SELECT * FROM {table}") == []


def test_a_bi_login_sees_the_keys_that_tools_build_joins_from(login: Query) -> None:
    keys: dict[object, object] = dict(
        login(
            """SELECT constraint_type, count(*) FROM information_schema.table_constraints
               WHERE table_schema = 'revento' AND constraint_type IN ('PRIMARY KEY', 'FOREIGN KEY') GROUP BY 1"""
        )
    )
    readable = [table for table in main.TABLES[1].sorted_tables if not table.info.get("personal")]
    assert keys["PRIMARY KEY"] == len(readable)
    assert keys["FOREIGN KEY"] == sum(len(table.foreign_key_constraints) for table in readable)


@pytest.mark.fault(80)
@pytest.mark.parametrize("table", PERSONAL)
def test_a_bi_login_reads_no_personal_table(login: Query, table: str) -> None:
    assert refused(login, f"SELECT * FROM revento.{table}") == "42501"
    assert refused(login, f"SELECT count(*) FROM revento.{table}") == "42501"


@pytest.mark.fault(80)
def test_what_is_personal_is_what_the_tables_say() -> None:
    assert {table.name for table in main.TABLES[1].sorted_tables if table.info.get("personal")} == set(PERSONAL)


@pytest.mark.parametrize(
    "table", ["credentials", "installations", "requests", "leases", "quarantined_rows", "quarantined_values"]
)
def test_a_bi_login_reads_no_control_table(login: Query, table: str) -> None:
    assert refused(login, f"SELECT * FROM syncd.{table}") == "42501"


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO revento.roles (event_id, role_id, _syncd_synced_at) VALUES ('e', 'r', now()) RETURNING 1",
        "UPDATE revento.roles SET name = 'x' RETURNING 1",
        "DELETE FROM revento.roles RETURNING 1",
        "CREATE TABLE revento.x (a int)",
        "CREATE TABLE bi.x (a int)",
        "CREATE TABLE public.x (a int)",
        "CREATE VIEW bi.y AS SELECT 1",
        "DROP VIEW bi.data_freshness",
        "CREATE TEMP TABLE x (a int)",
        "CREATE SCHEMA x",
    ],
)
@pytest.mark.parametrize("read_only", ["on", "off"])
def test_a_bi_login_writes_nothing_even_where_it_takes_its_settings_off(
    login: Query, statement: str, read_only: str
) -> None:
    login(f"SELECT set_config('default_transaction_read_only', '{read_only}', false)")
    assert refused(login, statement) in {"42501", "25006", "42P01"}


def test_a_bi_login_is_held_to_a_time_limit(login: Query) -> None:
    settings = [login(f"SHOW {name}")[0][0] for name in ("statement_timeout", "TimeZone", "search_path")]
    assert settings == ["1min", "UTC", "bi"]


def test_the_other_roles(database_url: str) -> None:
    """The writer writes rows and no structure; the reader of personal data reads it all, and neither may log in."""
    create_roles(database_url, main.TABLES)
    create_roles(database_url, main.TABLES)
    with psycopg.connect(database_url) as connection:
        roles = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'syncd\\_%' AND NOT rolcanlogin")
        assert {name for (name,) in roles} >= {"syncd_bi", "syncd_bi_pii", "syncd_writer"}
        special = connection.execute(
            """SELECT rolname FROM pg_roles WHERE rolname IN ('syncd_bi', 'syncd_bi_pii', 'syncd_writer')
               AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)"""
        )
        assert special.fetchall() == []
    assert as_role(database_url, "syncd_bi_pii", "SELECT count(*) FROM revento.participant_private") == [(0,)]
    assert as_role(database_url, "syncd_bi_pii", "SELECT count(*) FROM bi.data_freshness") == [(0,)]
    wrote = "INSERT INTO revento.events (event_id, _syncd_synced_at) VALUES ('evt_1', now()) RETURNING event_id"
    assert as_role(database_url, "syncd_writer", wrote) == [("evt_1",)]
    assert as_role(database_url, "syncd_writer", "SELECT count(*) FROM syncd.credentials") == [(0,)]
    for statement in ("CREATE TABLE revento.x ()", "DROP TABLE revento.roles", "ALTER TABLE revento.roles ADD x int"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_role(database_url, "syncd_writer", statement)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_role(database_url, "syncd_bi_pii", "SELECT * FROM syncd.credentials")


def as_role(url: str, role: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        return connection.execute(statement.encode()).fetchall()


def test_the_writer_runs_a_whole_round_of_the_daemon(database_url: str) -> None:
    """A new table without a grant would stop the daemon: every table of ours must be the writer's to write."""
    create_roles(database_url, main.TABLES)
    with psycopg.connect(database_url) as connection:
        lacking = connection.execute(
            """SELECT table_schema, table_name, privilege FROM information_schema.tables,
                      unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
               WHERE table_schema IN ('syncd', 'revento') AND table_type = 'BASE TABLE' AND NOT has_table_privilege(
                   'syncd_writer', format('%I.%I', table_schema, table_name), privilege)"""
        )
        assert lacking.fetchall() == []


def test_grants_are_applied_again_by_every_upgrade(database_url: str) -> None:
    create_roles(database_url, main.TABLES)
    with psycopg.connect(database_url) as connection:
        connection.execute("REVOKE ALL ON revento.roles FROM syncd_bi")
        connection.execute("DROP VIEW bi.data_freshness")
    main.upgrade_database(database_url)
    assert as_role(database_url, "syncd_bi", "SELECT count(*) FROM revento.roles") == [(0,)]
    assert as_role(database_url, "syncd_bi", "SELECT count(*) FROM bi.data_freshness") == [(0,)]
