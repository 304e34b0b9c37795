"""The embedded server: real binaries, real processes, real signals."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from syncd.errors import ConfigError, DatabaseError
from syncd.store import embedded
from syncd.store.embedded.account import run_as, server_account
from syncd.store.embedded.binaries import Installation, choose, copied, data_major, installed
from syncd.store.embedded.cluster import make_data_dir
from syncd.store.embedded.layout import Layout
from syncd.store.embedded.locks import exclusive, is_locked, ticks
from tests.postgres import FAST, homes_folder
from tests.store.starter import kill, mode, said, starter


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with homes_folder() as made:
        yield made


@pytest.fixture(scope="module")
def running(folder: Path) -> embedded.Server:
    """A server that the tests share and leave running."""
    return embedded.start(folder / "shared", options=FAST)


@pytest.fixture
def empty_home(folder: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A home of the test's own, stopped after it."""
    yield folder / request.node.name
    embedded.stop(folder / request.node.name)


@pytest.fixture
def home(folder: Path) -> Iterator[Path]:
    """A home that the tests share and each finds and leaves stopped. Only the first one waits for initdb."""
    yield folder / "reused"
    embedded.stop(folder / "reused")


def query(url: str, statement: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute(statement.encode()).fetchone()
        return row[0] if row else None


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def wait_until(condition: Callable[[], bool]) -> None:
    assert any(condition() for _ in ticks(20)), "it did not happen within 20 s"


# --- start, adopt, stop


def test_starts_adopts_stops_and_starts_again_on_an_awkward_path(folder: Path) -> None:
    home = folder / "Käthe's home" / "with spaces"
    first = embedded.start(home, options=FAST)
    assert (first.was_started, first.home, first.log_path) == (True, home, home / "postgres.log")
    execute(first.url, "CREATE TABLE kept AS SELECT 7 AS n")

    second = embedded.start(home)
    assert (second.was_started, second.pid, second.url) == (False, first.pid, first.url)
    assert embedded.status(home) == second

    assert embedded.stop(home) is True
    assert not Path(f"/proc/{first.pid}").exists()
    assert (embedded.stop(home), embedded.status(home)) == (False, None)

    again = embedded.start(home, options=FAST)
    assert (again.was_started, again.port) == (True, first.port)
    assert query(again.url, "SELECT n FROM kept") == 7
    embedded.stop(home)


def test_nothing_runs_in_a_home_that_does_not_exist(folder: Path) -> None:
    assert embedded.status(folder / "absent") is None
    assert embedded.stop(folder / "absent") is False
    assert not (folder / "absent").exists()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("data_checksums", "on"),
        ("password_encryption", "scram-sha-256"),
        ("server_encoding", "UTF8"),
        ("listen_addresses", "127.0.0.1"),
        ("unix_socket_directories", ""),
        ("TimeZone", "UTC"),
        ("fsync", "off"),  # from `options`
    ],
)
def test_settings(running: embedded.Server, setting: str, value: str) -> None:
    assert query(running.url, f"SHOW {setting}") == value


def test_data_survives_a_power_cut_by_default(home: Path) -> None:
    assert query(embedded.start(home).url, "SHOW fsync") == "on"


def test_locale_is_independent_of_the_machine(running: embedded.Server) -> None:
    assert running.version.startswith("18.")
    provider = "SELECT concat(datlocprovider, datlocale) FROM pg_database WHERE datname = 'syncd'"
    assert query(running.url, provider) == "bC.UTF-8"


def test_each_way_in_asks_for_a_scram_password(running: embedded.Server) -> None:
    methods = "SELECT array_agg(DISTINCT auth_method) FROM pg_hba_file_rules"
    assert query(running.url, methods) == ["scram-sha-256"]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(running.url, password="wrong")


def test_secrets_are_outside_of_the_data_directory_and_private(running: embedded.Server) -> None:
    password = (running.home / "password").read_text().strip()
    assert len(password) >= 32
    assert password not in running.url
    assert [mode(running.home / name) for name in ("password", "pgpass", "postgres.log")] == [0o600] * 3
    assert mode(running.home / "postgres") == 0o700
    assert not (running.home / "password.initdb").exists()


def test_psql_of_the_same_binaries_takes_the_url(running: embedded.Server) -> None:
    psql = embedded.psql_path(running.home)
    command: list[str | Path] = [psql, running.url, "-Atc", "SHOW server_version"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == running.version
    version = subprocess.run([psql, "--version"], capture_output=True, text=True, check=True).stdout
    assert running.version in version


def test_environment_of_the_server_is_clean_and_ours_does_not_mislead(home: Path) -> None:
    misleading = {"PGDATA": "/nowhere", "PGPORT": "1", "PGHOSTADDR": "192.0.2.1", "PGSSLMODE": "require"}
    misleading |= {"PGOPTIONS": "-c nonsense=1", "PGPASSWORD": "wrong", "LC_ALL": "de_DE", "SECRET": "x"}
    server = said(starter(home, env=misleading))
    seen = Path(f"/proc/{server['pid']}/environ").read_text().split("\0")
    names = {each.partition("=")[0] for each in seen if each}
    # PGDATA, as everybody sees, is set by the server itself
    assert names - {"PGDATA"} <= {"PATH", "LC_ALL", "TZ"} | {"LC_COLLATE", "LC_CTYPE", "LC_MESSAGES"}


def test_the_server_is_in_a_session_of_its_own(running: embedded.Server) -> None:
    assert os.getsid(running.pid) == running.pid != os.getsid(0)


def test_stop_cuts_open_sessions_and_what_they_had_not_committed(home: Path) -> None:
    server = embedded.start(home, options=FAST)
    with psycopg.connect(server.url) as session:
        session.execute("CREATE TABLE unfinished ()")
        assert embedded.stop(home) is True
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            session.execute("SELECT 1")
    assert query(embedded.start(home, options=FAST).url, "SELECT to_regclass('unfinished')") is None


def test_a_port_taken_meanwhile_is_replaced(home: Path) -> None:
    first = embedded.start(home, options=FAST)
    embedded.stop(home)
    with socket.create_server(("127.0.0.1", first.port)):
        assert embedded.start(home, options=FAST).port != first.port


def test_a_server_that_does_not_start_is_explained_by_its_log(home: Path) -> None:
    with pytest.raises(DatabaseError, match=r"invalid value for parameter .shared_buffers"):
        embedded.start(home, options={**FAST, "shared_buffers": "nonsense"})
    assert embedded.status(home) is None
    assert embedded.start(home, options=FAST).was_started


# --- more than one


def test_two_homes_at_once(running: embedded.Server, home: Path) -> None:
    other = embedded.start(home, options=FAST)
    assert other.port != running.port
    assert query(other.url, "SHOW data_directory") != query(running.url, "SHOW data_directory")
    embedded.stop(home)
    assert embedded.status(running.home) is not None


def test_a_copied_home_is_another_home(running: embedded.Server, folder: Path) -> None:
    """Its postmaster.pid names the original's live server, which must be neither adopted nor stopped."""
    copy = folder / "copy"
    (copy / "postgres").mkdir(parents=True)
    for name in ("password", "pgpass", "postgres/postmaster.pid"):
        shutil.copy(running.home / name, copy / name)
    assert embedded.status(copy) is None
    assert embedded.stop(copy) is False
    assert embedded.status(running.home) is not None


def test_two_processes_that_start_at_once_get_one_server(empty_home: Path) -> None:
    starters = [starter(empty_home) for _ in range(2)]
    answers = [said(each) for each in starters]
    assert len({each["pid"] for each in answers}) == 1
    assert sorted(each["was_started"] for each in answers) == [False, True]


# --- kills


def test_a_server_outlives_its_killed_starter_and_is_adopted(home: Path) -> None:
    process = starter(home)
    assert process.stdout is not None
    server = json.loads(process.stdout.readline())
    kill(process)
    adopted = embedded.start(home)
    assert (adopted.was_started, adopted.pid) == (False, server["pid"])


def test_a_starter_killed_within_initdb_leaves_nothing_in_the_way(empty_home: Path) -> None:
    process = starter(empty_home)
    wait_until((empty_home / "postgres.new" / "PG_VERSION").exists)
    kill(process)
    server = embedded.start(empty_home, options=FAST)
    assert server.was_started
    assert query(server.url, "SELECT 1") == 1
    assert not (empty_home / "postgres.new").exists()


def test_a_killed_postmaster_is_replaced_and_committed_rows_are_there(home: Path) -> None:
    options = {"fsync": "off"}  # and commits that wait until the log is written, as in life
    server = embedded.start(home, options=options)
    execute(server.url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    with psycopg.connect(server.url) as orphan:  # its backend is still attached to shared memory
        orphan.execute("SELECT 1")
        os.kill(server.pid, signal.SIGKILL)
        again = embedded.start(home, options=options)
        orphan.close()
    assert (again.was_started, again.pid != server.pid) == (True, True)
    assert query(again.url, "SELECT count(*) FROM kept") == 1000


def test_an_orphan_that_is_busy_is_waited_for(home: Path) -> None:
    """A backend at work notices the death of its postmaster late. No second server may join it."""
    server = embedded.start(home, options=FAST)
    with psycopg.connect(server.url) as orphan:
        orphan.pgconn.send_query(b"SELECT count(*) FROM generate_series(1, 4000) a, generate_series(1, 4000) b")
        wait_until(lambda: query(server.url, "SELECT count(*) > 0 FROM pg_stat_activity WHERE state = 'active'"))
        os.kill(server.pid, signal.SIGKILL)
        os.waitpid(server.pid, 0)
        assert is_locked(home / "postgres.alive")
        assert embedded.start(home, options=FAST).was_started
        orphan.close()


def test_a_process_number_used_again_is_neither_adopted_nor_hurt(home: Path) -> None:
    server = embedded.start(home, options=FAST)
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not is_locked(home / "postgres.alive"))
    account = run_as(server_account(home / "postgres"))
    with subprocess.Popen(["/bin/sleep", "60"], **account) as stranger:
        note = home / "postgres" / "postmaster.pid"
        note.write_text(note.read_text().replace(str(server.pid), str(stranger.pid), 1))
        assert embedded.status(home) is None
        assert embedded.stop(home) is False
        assert embedded.start(home, options=FAST).was_started
        assert stranger.poll() is None
        stranger.kill()


# --- refusals


def test_a_lost_or_changed_password_is_named(home: Path) -> None:
    embedded.start(home, options=FAST)
    kept = (home / "password").rename(home / "kept")
    with pytest.raises(ConfigError, match=r"missing: .*/password"):
        embedded.start(home)
    (home / "password").write_text("another")
    with pytest.raises(ConfigError, match=r"refuses the password of .*/password"):
        embedded.start(home)
    kept.rename(home / "password")
    assert embedded.start(home).was_started is False


def test_a_foreign_major_is_refused_by_name(folder: Path) -> None:
    data_dir = folder / "foreign" / "postgres"
    data_dir.mkdir(parents=True)
    (data_dir / "PG_VERSION").write_text("9\n")
    if (account := server_account(folder / "none")) is not None:
        os.chown(data_dir, account.uid, account.gid)
    with pytest.raises(ConfigError, match=r"by PostgreSQL 9, and what is installed here is 18, 16") as caught:
        embedded.start(folder / "foreign")
    assert caught.value.hint is not None
    assert "install PostgreSQL 9" in caught.value.hint


def test_a_folder_of_something_else_is_refused(folder: Path) -> None:
    (folder / "alien" / "postgres").mkdir(parents=True)
    (folder / "alien" / "postgres" / "holiday.jpg").write_text("")
    with pytest.raises(ConfigError, match="not a PostgreSQL data directory"):
        embedded.start(folder / "alien")


def test_no_binaries_is_refused_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="no PostgreSQL binaries") as caught:
        choose([], None)
    assert caught.value.hint is not None
    assert "syncd[demo]" in caught.value.hint


def test_order_of_binaries() -> None:
    found = installed()
    assert [each.version.split(".")[0] for each in found[:2]] == ["18", "16"]
    assert all(each.site for each in found[:2])
    old = [Installation(Path(f"/{major}"), f"{major}.1") for major in (18, 16, 15)]
    assert choose(old, None).major == 18
    assert choose(old, 15).bin_dir == Path("/15")


@pytest.mark.parametrize("installation", [each for each in installed() if each.major < 18][:2], ids=lambda i: i.version)
def test_a_data_directory_keeps_the_major_that_wrote_it(empty_home: Path, installation: Installation) -> None:
    layout = Layout.of(empty_home)
    layout.create(0o711)
    layout.ensure_password()
    account = server_account(layout.data_dir)
    with exclusive(layout.lock) as lock:
        usable = copied(installation, layout.binaries) if account else installation
        make_data_dir(layout, usable, account, lock=lock, durable=False)
    server = embedded.start(empty_home, options=FAST)
    assert server.version == installation.version
    assert data_major(layout.data_dir) == installation.major
    assert query(server.url, "SHOW data_checksums") == "on"
    assert query(server.url, "SHOW server_encoding") == "UTF8"
    assert installation.version in subprocess.getoutput(f"'{embedded.psql_path(empty_home)}' --version")


def test_a_home_that_cannot_be_made_is_named(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(ConfigError, match="/file/home"):
        embedded.start(folder / "file" / "home")


def test_default_home(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() == 0:
        assert embedded.default_home() == Path("/var/lib/syncd")
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert embedded.default_home() == Path("/data/syncd")
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert embedded.default_home() == Path("/home/ada/.local/share/syncd")
