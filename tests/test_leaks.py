"""A leak of each kind is planted, and found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncd.errors import SyncdError
from tests.harness import CLIENT_SECRET, KEYS, Bench
from tests.leaks import LEAKS, look_at_database, look_at_processes

ROOT = Path(__file__).parent.parent
TOKEN = "rev_refresh_" + "x" * 43
ADDRESS = "guest7.0123a@example.com"


@pytest.fixture(autouse=True)
def _planted(no_leak: None) -> Iterator[None]:
    """What a test here plants is its own business."""
    yield
    LEAKS.taken()


@pytest.mark.parametrize("secret", [TOKEN, TOKEN.encode().hex(), CLIENT_SECRET, KEYS], ids=range(4))
def test_a_secret_in_an_error(secret: str) -> None:
    SyncdError("no", hint=f"try {secret}")
    assert LEAKS.taken() == ["secret in an error"]


def test_an_address_in_an_error() -> None:
    SyncdError(f"no such person: {ADDRESS}")
    assert LEAKS.taken() == ["address in an error"]


def test_a_secret_on_a_command_line() -> None:
    subprocess.run([sys.executable, "-c", "", TOKEN], check=True)
    assert LEAKS.taken() == ["secret in a command line"]


def test_a_secret_in_what_a_process_calls_itself(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"exec -a {TOKEN} sleep 60")
    with subprocess.Popen(["/bin/bash", script]) as process:
        try:
            while TOKEN.encode() not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
                assert process.poll() is None
            look_at_processes()
        finally:
            process.kill()
    assert LEAKS.taken() == ["secret in the arguments of a process"]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE syncd.installations SET organization = '<{token}>'", "secret in syncd.installations"),
        ("UPDATE syncd.credentials SET access_token = '{token}'::bytea", "secret in syncd.credentials"),
        ("UPDATE syncd.installations SET organization = encode('{token}', 'base64')", "secret in syncd.installations"),
        ("UPDATE syncd.installations SET organization = '{address}'", "address in syncd.installations"),
        (
            "INSERT INTO syncd.quarantined_values (installation, stream, json_path, reason, raw, request_id, run_id,"
            " first_seen_at) SELECT name, 's', '$', 'r', '{token}', gen_random_uuid(), gen_random_uuid(), now()"
            " FROM syncd.installations",
            "secret in syncd.quarantined_values",
        ),
    ],
)
async def test_a_leak_in_a_table(bench: Bench, change: str, found: str) -> None:
    look_at_database(bench.url)
    assert LEAKS.taken() == []
    bench.execute(change.format(token=TOKEN, address=ADDRESS))
    look_at_database(bench.url)
    assert LEAKS.taken() == [found]


@pytest.mark.leaks("the output of the test that is run holds its leak")
@pytest.mark.parametrize("how", ["print('{}')", "import logging; logging.getLogger('x').warning('{}')"])
def test_a_secret_in_what_a_test_prints_or_logs(tmp_path: Path, how: str) -> None:
    (tmp_path / "test_it.py").write_text(f"def test_it():\n    {how.format(TOKEN)}\n")
    run = [sys.executable, "-m", "pytest", "-q", "-p", "tests.leaks", "-p", "no:cacheprovider", "--rootdir"]
    ended = subprocess.run([*run, str(tmp_path), str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "let out: ['secret in what is captured" in ended.stdout
    assert ended.returncode == 1
