"""`syncd status --watch`: on a terminal, in a pipe, as JSON, and while the database is away."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.cli.conftest import Syncd


@pytest.mark.usefixtures("remote")
def test_documents_one_after_another_until_a_signal(connected: Syncd) -> None:
    process = connected.start("status", "--watch", "--every", "1s", "--json")
    assert process.stdout is not None
    for _ in range(2):
        document = json.loads(process.stdout.readline())
        assert [len(each["streams"]) for each in document["installations"]] == [7]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in err
    result = json.loads(out.splitlines()[-1])
    assert (result["type"], result["exit"]) == ("result", 130)


def test_blocks_off_a_terminal_and_an_end_when_stale(connected: Syncd) -> None:
    told = connected("status", "--watch", "--fail-on-stale")
    assert (told.exit_code, told.err) == (6, "")
    at, header, *rows, summary, blank = told.out.splitlines()
    assert (at[-1], header.split()[0], len(rows), blank) == ("Z", "INSTALLATION", 7, "")
    assert summary == "0 of 7 streams fresh, 7 never certified"
    document = connected("status", "--watch", "--fail-on-stale", "--json")
    assert (document.exit_code, len(document.documents)) == (6, 1)


@pytest.mark.parametrize(
    ("options", "says"),
    [(["--watch", "--every", "2"], "must be a whole number with its unit"), (["--every", "2s"], "goes with --watch")],
)
def test_an_interval_that_is_none(syncd: Syncd, options: list[str], says: str) -> None:
    ended = syncd("status", *options)
    assert ended.exit_code == 2
    assert says in ended.err


@contextmanager
def locked_out(admin: psycopg.Connection, url: str) -> Iterator[None]:
    """Nobody gets into the database while the block runs, and whoever was in it is cut off."""
    name = urlsplit(url).path[1:]
    database = sql.Identifier(name)
    admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(database))
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    yield
    admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(database))


def test_a_database_that_goes_and_comes_back(
    connected: Syncd, database_url: str, postgres_admin: psycopg.Connection
) -> None:
    process = connected.start("status", "--watch", "--every", "1s", "--json")
    assert process.stdout is not None
    assert "installations" in json.loads(process.stdout.readline())
    with locked_out(postgres_admin, database_url):
        while "error" not in (document := json.loads(process.stdout.readline())):
            pass
        assert "is not currently accepting connections" in document["error"]
    while "installations" not in json.loads(process.stdout.readline()):
        pass
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode == 143


def test_a_terminal_is_redrawn_and_given_back(connected: Syncd) -> None:
    ours, theirs = pty.openpty()
    environment = connected.environment({"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"})
    process = subprocess.Popen(
        [sys.executable, "-m", "syncd", "status", "--watch", "--every", "1s"],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, env=environment, cwd=connected.folder,
    )  # fmt: skip
    connected.started.append(process)  # type: ignore[arg-type]
    os.close(theirs)
    shown = read_until(ours, "", "never certified", times=2)
    assert (shown.count("\x1b[?1049h"), shown.count("Ctrl-C ends")) == (1, 2)
    assert "\x1b[2J" not in shown.partition("Ctrl-C ends")[2], "it is drawn over, not wiped: no flicker"
    process.send_signal(signal.SIGINT)
    shown = read_until(ours, shown, "\x1b[?1049l", times=1)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, b"Traceback" in err) == (130, False)
    assert shown.endswith(("\x1b[?25h", "\x1b[?1049l"))
    os.close(ours)


def read_until(terminal: int, shown: str, mark: str, times: int) -> str:
    """All that the terminal has shown, once it has shown `mark` so often."""
    while shown.count(mark) < times:
        assert select.select([terminal], [], [], 30)[0], shown
        shown += os.read(terminal, 10_000).decode()
    return shown
