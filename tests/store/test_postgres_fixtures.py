"""The databases that all other tests rely on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from syncd.store import embedded, version
from tests import postgres
from tests.store.starter import REPOSITORY

SESSION = """
import sys
import tempfile
from tests.postgres import session_server
with session_server() as url:
    print(url, flush=True)
    sys.stdin.read()
"""


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {row[0] for row in rows}


def test_a_database_is_a_copy_of_its_template_and_ends_under_a_session(
    postgres_admin: psycopg.Connection, postgres_server: str
) -> None:
    with postgres.temporary_database(postgres_admin, postgres_server) as source:
        with psycopg.connect(source) as connection:
            connection.execute("CREATE TABLE mark_source ()")
        with postgres.temporary_database(postgres_admin, postgres_server, source_name(source)) as copy:
            assert tables(copy) == {"mark_source"}
            left_open = psycopg.connect(copy)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(copy)
    left_open.close()


def source_name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


@pytest.mark.parametrize("run", [1, 2])
def test_each_test_has_a_database_of_its_own(database_url: str, empty_database_url: str, run: int) -> None:
    assert (version.current(database_url), version.current(empty_database_url)) == (version.NEWEST, None)
    for url in (database_url, empty_database_url):
        assert tables(url) == set()
        with psycopg.connect(url) as connection:
            connection.execute(f"CREATE TABLE mark_{run} ()".encode())


def test_a_killed_session_is_cleaned_up_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with postgres.homes_folder() as temporary:
        environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(REPOSITORY)}
        environment.pop("SYNCD_TEST_DATABASE_URL", None)
        process = subprocess.Popen(
            [sys.executable, "-c", SESSION], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        (left,) = temporary.glob(f"{postgres.FOLDER_PREFIX}*")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert embedded.status(left / "home") is not None

        monkeypatch.setenv("TMPDIR", str(temporary))
        monkeypatch.setattr(tempfile, "tempdir", None)
        with postgres.homes_folder() as fresh:
            assert list(temporary.glob(f"{postgres.FOLDER_PREFIX}*")) == [Path(fresh)]
