"""What `syncd db check` sees: a database as it should be, and one damage after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from syncd import main
from syncd.errors import ConfigError
from syncd.findings import Finding, exit_code
from syncd.store import migrate, version
from syncd.store.grants import ROLES, create_roles
from syncd.store.inspection import inspect_database
from syncd.store.migrate import rebuild_views
from tests.sampling import sampled


@dataclass
class Checked:
    """A database with its roles, and what is found in it."""

    url: str

    def execute(self, *statements: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def findings(self, *states: str) -> list[Finding]:
        found = inspect_database(self.url, main.TABLES, main.VIEWS)
        return [finding for finding in found if finding.state in states]

    def wrong(self) -> list[str]:
        return [finding.sentence for finding in self.findings("wrong")]


@pytest.fixture
def checked(database_url: str, postgres_admin: psycopg.Connection) -> Iterator[Checked]:
    """The roles belong to the whole server: those that the test has made go with it."""
    known = {role for (role,) in postgres_admin.execute("SELECT rolname FROM pg_roles")}
    create_roles(database_url, main.TABLES)
    yield Checked(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        for role in (sql.Identifier(role) for role in ROLES if role not in known):
            connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))


def test_a_database_as_it_should_be(checked: Checked) -> None:
    findings = checked.findings("ok", "warning", "wrong", "unchecked")
    assert [(finding.state, finding.sentence) for finding in findings if finding.state != "ok"] == []
    assert exit_code(findings) == 0
    said = "\n".join(finding.sentence for finding in findings)
    for part in ("PostgreSQL", "takes writes", "tables", "views", "comment", "syncd_bi", "books", "no row"):
        assert part in said


@pytest.mark.parametrize(
    ("damage", "sentence"),
    sampled(
        [
            ("DROP TABLE revento.activity_markers", "table revento.activity_markers is missing"),
            ("ALTER TABLE revento.venues DROP COLUMN address", "column revento.venues.address is missing"),
            (
                "ALTER TABLE revento.venues ALTER sort_order TYPE integer",
                "column revento.venues.sort_order: its type is INTEGER, not BIGINT",
            ),
            (
                "ALTER TABLE syncd.leases ALTER epoch DROP NOT NULL",
                "column syncd.leases.epoch: its nullable is True, not False",
            ),
            (
                "ALTER TABLE syncd.runs DROP CONSTRAINT runs_installation_fkey",
                "foreign key runs_installation_fkey is missing from syncd.runs",
            ),
            ("DROP INDEX syncd.walks_one_open_idx", "index walks_one_open_idx is missing from syncd.walks"),
            ("DROP VIEW bi.dim_locations", "view bi.dim_locations is missing"),
            (
                "ALTER VIEW bi.dim_locations RENAME location_name TO name",
                "view bi.dim_locations has other columns than it should: location_name is missing, name is foreign",
            ),
            ("COMMENT ON VIEW bi.api_headroom IS NULL", "comments of view bi.api_headroom differ"),
            ("COMMENT ON COLUMN bi.api_headroom.calls IS 'x'", "comments of view bi.api_headroom differ"),
            (
                "ALTER VIEW bi.api_headroom RESET (security_barrier)",
                "view bi.api_headroom is no security barrier: a reader's function may see hidden rows",
            ),
            ("COMMENT ON TABLE revento.events IS 'mine'", "1 comments on tables and columns differ"),
            ("COMMENT ON COLUMN revento.events.title IS NULL", "1 comments on tables and columns differ"),
            ("REVOKE SELECT ON revento.roles FROM syncd_bi", "syncd_bi lacks SELECT on revento.roles"),
            (
                "GRANT SELECT ON revento.participant_private TO syncd_bi",
                "syncd_bi has SELECT on revento.participant_private, which it should not",
            ),
            ("REVOKE INSERT ON syncd.walks FROM syncd_writer", "syncd_writer lacks INSERT on syncd.walks"),
            (
                "ALTER TABLE syncd.walk_pages DROP CONSTRAINT walk_pages_books_balance_check",
                "constraint walk_pages_books_balance_check is missing from syncd.walk_pages",
            ),
            (
                "INSERT INTO revento.unmapped_fields VALUES ('roles', 'evt_1/gone', '{}')",
                "1 rows of revento.unmapped_fields name (entity_key) a row of revento.roles that is not there",
            ),
        ]
    ),
)
def test_a_damage_is_named_with_its_fix(checked: Checked, damage: str, sentence: str) -> None:
    checked.execute(damage)
    findings = checked.findings("wrong")
    assert sentence in [finding.sentence for finding in findings]
    assert all(finding.fix for finding in findings)
    assert exit_code(findings) == 6


@pytest.mark.parametrize(
    "everybody",
    ["GRANT SELECT ON revento.participant_private TO PUBLIC", "GRANT SELECT ON syncd.credentials TO PUBLIC"],
)
def test_a_right_that_everybody_has_is_one_too_many(checked: Checked, everybody: str) -> None:
    checked.execute(everybody, "GRANT USAGE ON SCHEMA syncd TO PUBLIC")
    assert any(sentence.startswith("syncd_bi has SELECT on ") for sentence in checked.wrong())


def test_a_constraint_that_was_never_validated(checked: Checked) -> None:
    checked.execute(
        "ALTER TABLE syncd.run_streams DROP CONSTRAINT run_streams_books_balance_check",
        "ALTER TABLE syncd.run_streams ADD CONSTRAINT run_streams_books_balance_check"
        " CHECK (seen = inserted + updated + unchanged + superseded + rejected) NOT VALID",
    )
    (finding,) = checked.findings("wrong")
    assert "never validated" in finding.sentence
    assert finding.fix == "ALTER TABLE syncd.run_streams VALIDATE CONSTRAINT run_streams_books_balance_check"
    checked.execute(finding.fix)
    assert checked.wrong() == []


def test_an_orphan_that_came_in_past_the_foreign_keys(checked: Checked) -> None:
    checked.execute(
        "SET session_replication_role = replica; INSERT INTO revento.roles (event_id, role_id, _syncd_synced_at)"
        " VALUES ('evt_gone', 'r', now()); RESET session_replication_role"
    )
    assert checked.wrong() == ["1 rows of revento.roles name (event_id) a row of revento.events that is not there"]


def test_what_users_have_added_is_no_fault(checked: Checked) -> None:
    checked.execute(
        "CREATE TABLE revento.mine (a int)",
        "CREATE INDEX mine_idx ON revento.participants (user_id)",
        "ALTER TABLE revento.venues ADD mine text",
        "CREATE VIEW bi.mine AS SELECT 1 AS a",
    )
    assert checked.wrong() == []
    assert [finding.sentence for finding in checked.findings("warning")] == [
        "table revento.mine is not of syncd's making",
        "index mine_idx on revento.participants is not of syncd's making",
        "column revento.venues.mine is not of syncd's making",
    ]


@pytest.mark.parametrize(("number", "newer"), [("0001", "the program is newer"), ("9999", "the database is newer")])
def test_another_schema_version_is_the_only_thing_that_is_judged(checked: Checked, number: str, newer: str) -> None:
    checked.execute(f"UPDATE syncd.alembic_version SET version_num = '{number}'")
    (finding,) = checked.findings("wrong")
    assert (finding.topic, finding.sentence) == (
        "schema", f"the schema is at version {number}, this program needs {version.NEWEST}: {newer}",
    )  # fmt: skip
    assert exit_code([finding]) == 8
    assert len(checked.findings("unchecked")) == 5


def test_a_database_that_nobody_has_migrated(empty_database_url: str) -> None:
    (finding,) = Checked(empty_database_url).findings("wrong")
    assert (finding.topic, finding.fix) == ("schema", "run `syncd db upgrade`")


def test_a_server_that_is_not_there() -> None:
    nowhere = Checked("postgresql://me:hunter2@127.0.0.1:1/x")
    (finding,) = nowhere.findings("wrong")
    assert "no connection" in finding.sentence
    assert len(nowhere.findings("unchecked")) == 5
    assert "hunter2" not in repr(nowhere.findings("wrong", "unchecked"))


def test_a_database_that_takes_no_writes(checked: Checked, postgres_admin: psycopg.Connection) -> None:
    database = sql.Identifier(urlsplit(checked.url).path[1:])
    postgres_admin.execute(sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(database))
    wrong = checked.wrong()
    postgres_admin.execute(sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(database))
    assert wrong == ["transactions are read-only (default_transaction_read_only is on)"]


def test_a_database_of_another_encoding(postgres_admin: psycopg.Connection, postgres_server: str) -> None:
    postgres_admin.execute(
        "CREATE DATABASE syncd_test_latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'"
    )
    try:
        found = Checked(urlsplit(postgres_server)._replace(path="/syncd_test_latin").geturl())
        with pytest.raises(ConfigError, match="encoding is LATIN1, and syncd needs UTF8"):
            found.wrong()
    finally:
        postgres_admin.execute("DROP DATABASE syncd_test_latin WITH (FORCE)")


def test_an_old_server(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.store.inspection.server.OLDEST_MAJOR", 99)
    (finding,) = checked.findings("wrong")
    assert finding.fix == "syncd needs PostgreSQL 99 or newer"


def test_views_are_made_anew_with_comments_and_grants(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    checked.execute(
        "DROP VIEW bi.dim_locations",
        "COMMENT ON COLUMN bi.api_headroom.calls IS NULL",
        "REVOKE SELECT ON bi.data_freshness FROM syncd_bi",
    )
    assert len(checked.wrong()) == 4
    rebuild_views(checked.url, main.TABLES, main.VIEWS)
    assert checked.wrong() == []
    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT", "50ms")
    with psycopg.connect(checked.url) as reader:
        reader.execute("LOCK TABLE bi.dim_locations IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Exception, match="55P03"):
            rebuild_views(checked.url, main.TABLES, main.VIEWS)
