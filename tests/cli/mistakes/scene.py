"""A folder, an environment, and what else a mistake needs. The command runs in this process; all else is real."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from syncd.cli import main
from tests.cli.conftest import Ended, Remote, Syncd, add

CANARY = "hunter2"


@dataclass
class Scene:
    """Where one mistake is made. Everything that it opens is closed at the end of the test."""

    request: pytest.FixtureRequest
    folder: Path
    patch: pytest.MonkeyPatch
    stack: ExitStack
    secrets: list[str] = field(default_factory=lambda: [CANARY])
    heard: list[str] = field(default_factory=list)

    @property
    def is_set(self) -> bool:
        """Whether the command has run here already: what is costly or can be made only once need not be made again."""
        return bool(self.heard)

    # --- the command

    def run(self, *arguments: str) -> Ended:
        """Run the command here and now."""
        capture: pytest.CaptureFixture[str] = self.request.getfixturevalue("capsys")
        capture.readouterr()
        code = main(arguments)
        out, err = capture.readouterr()
        self.heard += [out, err]
        return Ended(code, out, err)

    def set(self, **variables: str) -> None:
        """Set `SYNCD_…` variables."""
        for name, value in variables.items():
            self.patch.setenv(f"SYNCD_{name}", value)

    def write(self, name: str, content: str | bytes) -> Path:
        """A file in the folder, for this account alone."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(0o600)
        return path

    def type(self, text: str) -> None:
        """Pipe a text into the command."""
        file = self.stack.enter_context(self.write("stdin", text).open())
        file.buffer.raw.name = "<stdin>"  # type: ignore[attr-defined]  # as the interpreter calls it
        self.patch.setattr(sys, "stdin", file)

    def sit_at_a_terminal(self) -> None:
        """Let standard input be a terminal at which nobody types."""
        import pty

        ours, theirs = pty.openpty()
        self.stack.callback(os.close, ours)
        self.patch.setattr(sys, "stdin", self.stack.enter_context(os.fdopen(theirs)))

    # --- the database

    @property
    def server(self) -> str:
        """Host and port of the session's PostgreSQL."""
        url: str = self.request.getfixturevalue("postgres_server")
        return f"127.0.0.1:{urlsplit(url).port}"

    @property
    def database_url(self) -> str:
        """A database of the newest schema."""
        url: str = self.request.getfixturevalue("database_url")
        return url

    @property
    def database_name(self) -> str:
        """Its name."""
        return urlsplit(self.database_url).path[1:]

    @property
    def admin(self) -> psycopg.Connection:
        """The session's administrator."""
        connection: psycopg.Connection = self.request.getfixturevalue("postgres_admin")
        return connection

    @property
    def server_home(self) -> Path:
        """The home of the session's server; a server of somebody's own has none."""
        passfile = dict(pair.split("=") for pair in urlsplit(self.database_url).query.split("&")).get("passfile")
        if passfile is None:
            pytest.skip("the session's server is not an embedded one")
        return Path(unquote(passfile)).parent

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """One statement on the test's database."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    # --- the warehouse and the API

    @property
    def remote(self) -> Remote:
        """The session's sandbox."""
        remote: Remote = self.request.getfixturevalue("remote")
        return remote

    @property
    def warehouse(self) -> Syncd:
        """A database of the newest schema and the sandbox's addresses, from now on in our environment too."""
        warehouse: Syncd = self.request.getfixturevalue("warehouse")
        for name, value in warehouse.variables.items():
            if name not in os.environ:
                self.patch.setenv(name, value)
        return warehouse

    def connect(self, **changes: Any) -> None:
        """Add the sandbox's event with a fresh grant; its token reply is changed like this, None leaves a field out."""
        add(self.warehouse, json.dumps(self.token(**changes)))

    def give(self, **changes: Any) -> None:
        """Write such a token reply to token.json, for a warehouse that has none of it yet."""
        assert self.warehouse
        self.write("token.json", json.dumps(self.token(**changes)))

    def token(self, scopes: list[str] | None = None, **changes: Any) -> dict[str, object]:
        """Such a token reply."""
        reply = json.loads(self.remote.token(scopes)) | changes
        self.secrets += [str(reply[name]) for name in ("access_token", "refresh_token") if reply.get(name)]
        return {name: value for name, value in reply.items() if value is not None}

    def fault(self, **fault: object) -> None:
        """Let the sandbox fail until the test ends."""
        self.remote.control("DELETE", "/faults")
        self.remote.control("POST", "/faults", {"times": None, **fault})

    def web(self, status: int, body: str = "<html>Welcome</html>") -> int:
        """The port of a server that answers everything like a web site."""
        return self.stack.enter_context(web_server(status, body))

    # --- the machine

    def mount(self, name: str, options: str) -> Path:
        """A small file system of its own in a folder that the server's account can enter."""
        if os.geteuid() != 0:
            pytest.skip("only root may mount a file system")
        from tests.postgres import homes_folder

        path = self.stack.enter_context(homes_folder()) / name
        path.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", path], check=False).returncode:
            pytest.skip("this root may not mount a file system")
        self.stack.callback(lambda: subprocess.run(["umount", path], check=True))
        return path


@contextmanager
def web_server(status: int, body: str) -> Iterator[int]:
    """A server on loopback; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def do_POST(self) -> None:
            self.do_GET()

        def do_CONNECT(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = Thread(target=running.serve_forever, args=[0.01])
        thread.start()
        try:
            yield running.server_address[1]
        finally:
            running.shutdown()
            thread.join()
