"""The real command in a process of its own, a database, and a sandbox that the command itself has started."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.leaks import LEAKS
from tests.postgres import Session

REPOSITORY = Path(__file__).parents[2]
# A command that takes longer hangs.
PATIENCE_S = 60.0
KEYS = "k1:" + base64.b64encode(b"k" * 32).decode()


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one document on stdout."""
        (line,) = self.out.splitlines()
        return json.loads(line)

    @property
    def documents(self) -> list[Any]:
        """The JSON lines on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def result(self) -> Any:
        """The last line of a long work."""
        return self.documents[-1]


class Warm:
    """A parent that has imported everything and forks a process for each call (tests/cli/warm.py)."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.warm"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, start_new_session=True,
        )  # fmt: skip

    def run(self, order: dict[str, Any]) -> int:
        """The exit code of one call; a call that does not end is killed, and the parent with it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        alarm = Timer(PATIENCE_S, os.killpg, (self.process.pid, signal.SIGKILL))
        alarm.start()
        try:
            return int(self.process.stdout.readline())
        finally:
            alarm.cancel()

    def end(self) -> None:
        """Let the parent go."""
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()


@dataclass
class Syncd:
    """Runs the command in a folder of its own, with these variables and no others of ours."""

    warm: Warm
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __call__(self, *arguments: str, stdin: str = "", **variables: str) -> Ended:
        with TemporaryDirectory() as folder:
            files = [Path(folder, name) for name in ("in", "out", "err")]
            files[0].write_text(stdin)
            order = {"arguments": arguments, "folder": str(self.folder), "variables": self.environment(variables)}
            exit_code = self.warm.run(order | {"files": [str(file) for file in files]})
            out, err = (file.read_text() for file in files[1:])
        self.heard += [out, err]
        LEAKS.look(f"what `syncd {arguments[0] if arguments else ''}` prints", out + err)
        assert "Traceback" not in out + err
        return Ended(exit_code, out, err)

    def start(self, *arguments: str, **process: Any) -> subprocess.Popen[str]:
        """The command in the background."""
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | process
        started = subprocess.Popen(
            [sys.executable, "-m", "syncd", *arguments],
            stdin=subprocess.DEVNULL, cwd=self.folder, env=self.environment({}), **options,
        )  # fmt: skip
        self.started.append(started)
        return started

    def end(self) -> None:
        """Leave no process behind."""
        for process in self.started:
            process.kill()
            for said in filter(None, process.communicate()):
                LEAKS.look("what a process in the background printed at last", str(said))

    def environment(self, variables: dict[str, str]) -> dict[str, str]:
        """What the command finds in its environment."""
        # without byte code on disk each process would compile all of syncd anew
        left_out = ("SYNCD_", "PG", "PYTHONDONTWRITEBYTECODE")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        return inherited | {"PYTHONPATH": str(REPOSITORY)} | self.variables | variables


@dataclass(frozen=True)
class Remote:
    """A running `syncd sandbox`, by its control port."""

    api_url: str
    auth_url: str
    control_url: str
    event_id: str

    def control(self, method: str, path: str, body: object = None) -> Any:
        """One request to the control port."""
        request = Request(self.control_url + path, json.dumps(body or {}).encode(), method=method)
        with urlopen(request, timeout=10) as reply:
            return json.load(reply)

    def token(self, scopes: list[str] | None = None) -> str:
        """A fresh grant's token response, as JSON."""
        return json.dumps(self.control("POST", "/connect", {"event_id": self.event_id, "scopes": scopes}))


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """One warm parent for the session."""
    parent = Warm()
    yield parent
    parent.end()


@pytest.fixture
def syncd(warm: Warm, tmp_path: Path) -> Iterator[Syncd]:
    """The command, without a database; what it has left running ends with the test."""
    command = Syncd(warm, tmp_path, {"SYNCD_DATABASE__DATA_DIR": str(tmp_path / "home")})
    yield command
    command.end()


@pytest.fixture(scope="session")
def sandbox(warm: Warm, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    """A small sandbox without budgets, one for the session."""
    command = Syncd(warm, tmp_path_factory.mktemp("sandbox"))
    sizes = ("--events", "1", "--participants", "60", "--activities", "20")
    process = command.start("sandbox", "--json", "--per-hour", "0", "--per-minute", "0", *sizes)
    assert process.stdout is not None
    document = json.loads(process.stdout.readline())
    urls = {name: document[name] for name in ("api_url", "auth_url", "control_url")}
    yield Remote(**urls, event_id=document["event_ids"][0])
    command.end()


@pytest.fixture
def remote(sandbox: Remote) -> Iterator[Remote]:
    """The session's sandbox; faults and latency end with the test."""
    yield sandbox
    sandbox.control("DELETE", "/faults")
    sandbox.control("PATCH", "/settings", {"latency_s": 0})


@pytest.fixture
def warehouse(syncd: Syncd, database_url: str, sandbox: Remote) -> Syncd:
    """The command with a database of the newest schema and the sandbox's addresses."""
    syncd.variables |= {
        "SYNCD_DATABASE__URL": database_url,
        "SYNCD_SECURITY__ENCRYPTION_KEYS": KEYS,
        "SYNCD_REVENTO__API_URL": sandbox.api_url,
        "SYNCD_REVENTO__AUTH_URL": sandbox.auth_url,
        "SYNCD_REVENTO__CLIENT_ID": "sandbox-client",
        "SYNCD_REVENTO__CLIENT_SECRET": "sandbox-secret",
        "SYNCD_REVENTO__LIMITS__PER_HOUR": "0",
        "SYNCD_REVENTO__LIMITS__PER_MINUTE": "0",
    }
    return syncd


@pytest.fixture
def connected(warehouse: Syncd, remote: Remote) -> Syncd:
    """The command with one installation, added without a call."""
    add(warehouse, remote.token())
    return warehouse


def add(warehouse: Syncd, token: str, url: str | None = None) -> None:
    """What `syncd installations add --no-check` does, without the cost of a process."""
    from syncd import config, main
    from syncd.cli.installations import Options, described
    from syncd.credentials.file import read_credentials

    settings = config.load(None, warehouse.variables)
    credentials = read_credentials(token.encode(), now=datetime.now(UTC))
    installation = described(Options("revento", None, "UTC", "sandbox", None, None), credentials, settings)

    async def adding() -> None:
        async with main.open_app(settings, url or warehouse.variables["SYNCD_DATABASE__URL"], "test") as app:
            await main.add_installation(app, installation, credentials.tokens, check=False)

    asyncio.run(adding())


@pytest.fixture
def query(database_url: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    """Run one statement on the test's database; its rows, if it has any."""
    session = Session(database_url)
    yield session.run
    session.close()
