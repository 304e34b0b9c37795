"""`syncd db`, and what other commands do to a database that is not ready."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from syncd import main
from syncd.cli.connection import without_password
from syncd.store.embedded import psql_path
from syncd.store.grants import create_roles
from tests.cli.conftest import Syncd


def test_a_database_is_brought_to_the_newest_schema(syncd: Syncd, empty_database_url: str) -> None:
    syncd.variables["SYNCD_DATABASE__URL"] = empty_database_url
    before = syncd("db", "current")
    assert (before.exit_code, before.out) == (8, "none\n")
    outdated = syncd("status", "--json")
    assert outdated.exit_code == outdated.document["exit"] == 8
    assert "syncd db upgrade" in outdated.document["hint"]
    version = syncd("db", "upgrade").out.strip()
    after = syncd("db", "current", "--json")
    assert (after.exit_code, after.document["current"], after.document["is_newest"]) == (0, version, True)


def test_a_server_that_is_not_there(syncd: Syncd) -> None:
    syncd.variables["SYNCD_DATABASE__URL"] = "postgresql://me:hunter2@127.0.0.1:1/x"
    ended = syncd("status", "--json")
    assert ended.exit_code == ended.document["exit"] == 1
    assert "hunter2" not in ended.out + ended.err
    assert syncd("db", "url").out == "postgresql://me@127.0.0.1:1/x\n"
    assert syncd("db", "stop").exit_code == 2


@pytest.mark.parametrize(
    ("url", "plain", "password"),
    [
        ("postgresql://me:a%40b@h:1,g:2/x?sslmode=require", "postgresql://me@h:1,g:2/x?sslmode=require", "a@b"),
        ("postgresql://h/x?user=me&password=p+q&passfile=%2Fa", "postgresql://h/x?user=me&passfile=%2Fa", "p+q"),
        ("postgresql://me@h/x", "postgresql://me@h/x", None),
        ("postgresql:///x?host=%2Frun", "postgresql:///x?host=%2Frun", None),
    ],
)  # fmt: skip
def test_a_url_without_its_password_is_still_that_url(url: str, plain: str, password: str | None) -> None:
    assert without_password(url) == (plain, password)


def test_psql_gets_the_password_outside_its_arguments(syncd: Syncd, database_url: str, tmp_path: Path) -> None:
    syncd.variables["SYNCD_DATABASE__URL"] = database_url
    folder = psql_path(tmp_path).parent
    ended = syncd("db", "psql", "-Atc", "SELECT current_database()", PATH=str(folder))
    assert (ended.exit_code, ended.out.strip()) == (0, urlsplit(database_url).path[1:])
    assert syncd("db", "psql", PATH=str(tmp_path)).exit_code == 2


@pytest.fixture
def no_new_roles(postgres_admin: psycopg.Connection, database_url: str) -> Iterator[None]:
    """Roles belong to the whole server: what the test makes goes with it."""

    def roles() -> set[str]:
        return {role for (role,) in postgres_admin.execute("SELECT rolname FROM pg_roles")}

    known = roles()
    yield
    with psycopg.connect(database_url, autocommit=True) as connection:
        for role in roles() - known:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(role)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.mark.usefixtures("no_new_roles")
def test_grants_let_a_login_read_bi_and_keep_its_password_in_a_file(syncd: Syncd, database_url: str) -> None:
    syncd.variables["SYNCD_DATABASE__URL"] = database_url
    granted = syncd("db", "grants", "--login", "syncd_test_reader", "--json")
    file = Path(granted.document["password_file"])
    password = file.read_text().strip()
    assert granted.exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    assert password not in granted.out + granted.err
    address = urlsplit(database_url)
    with psycopg.connect(
        host="127.0.0.1", port=address.port, dbname=address.path[1:], user="syncd_test_reader", password=password,
        sslmode="disable",
    ) as connection:  # fmt: skip
        assert connection.execute("SELECT count(*) FROM data_freshness").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT * FROM syncd.credentials")
    again = syncd("db", "grants", "--login", "syncd_test_reader", "--json")
    assert again.document["password_file"] is None
    assert file.read_text().strip() == password


def test_the_embedded_server_is_adopted_and_stopped(syncd: Syncd, postgres_server: str) -> None:
    passfile = re.search(r"passfile=([^&]+)", postgres_server)
    if passfile is None:
        pytest.skip("the session's server is not an embedded one")
    from urllib.parse import unquote

    home = Path(unquote(passfile[1])).parent
    started = syncd("db", "start", "--json", SYNCD_DATABASE__DATA_DIR=str(home))
    assert started.document["was_started"] is False
    assert urlsplit(started.document["url"]).port == urlsplit(postgres_server).port
    assert syncd("db", "stop", "--json").document == {"was_running": False}


@pytest.mark.usefixtures("no_new_roles")
def test_a_database_is_checked_and_its_views_are_made_anew(
    syncd: Syncd, database_url: str, empty_database_url: str
) -> None:
    before = syncd("db", "check", "--json", SYNCD_DATABASE__URL=empty_database_url)
    assert (before.exit_code, before.document["exit"], before.document["healthy"]) == (8, 8, False)
    syncd.variables["SYNCD_DATABASE__URL"] = database_url
    create_roles(database_url, main.TABLES)
    healthy = syncd("db", "check")
    assert (healthy.exit_code, healthy.err) == (0, "")
    assert re.fullmatch(r"Healthy: \d+ checks passed", healthy.out.splitlines()[-1])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP VIEW bi.dim_activities")
    broken = syncd("db", "check")
    assert broken.exit_code == 6
    assert "database  wrong  view bi.dim_activities is missing" in broken.out
    assert "fix: run `syncd db views`" in broken.out
    assert "bi.dim_activities" not in syncd("db", "views", "--list").out
    made = syncd("db", "views", "--json").document["views"]
    (view,) = [view for view in made if view["name"] == "bi.dim_activities"]
    assert (view["rows"], view["comment"][:18]) == (0, "Program activities")
    assert syncd("db", "check", "--json").exit_code == 0
