"""`syncd sandbox` and `syncd healthcheck`."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from urllib.request import urlopen

import pytest

from tests.cli.conftest import Syncd


@pytest.mark.parametrize(("signum", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_sandbox_runs_until_a_signal(syncd: Syncd, signum: signal.Signals, exit_code: int) -> None:
    process = syncd.start("sandbox", "--json", "--events", "2", "--participants", "1", "--activities", "1")
    assert process.stdout is not None
    document = json.loads(process.stdout.readline())
    with urlopen(f"{document['control_url']}/settings", timeout=5) as reply:
        assert json.load(reply)["event_ids"] == document["event_ids"]
    process.send_signal(signum)
    _, err = process.communicate(timeout=10)
    assert process.returncode == exit_code
    assert "Traceback" not in err


def test_a_port_that_is_taken(syncd: Syncd) -> None:
    with server(200) as port:
        ended = syncd("sandbox", "--port", str(port))
    assert ended.exit_code == 2
    assert "hint: choose another --port" in ended.err


@contextmanager
def server(status: int) -> Iterator[int]:
    """A server that answers every GET with `status`; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(self.path.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = Thread(target=running.serve_forever, args=[0.01])
        thread.start()
        yield running.server_address[1]
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "exit_code"), [(200, 0), (503, 6)])
def test_healthcheck_asks_readyz(syncd: Syncd, status: int, exit_code: int) -> None:
    with server(status) as port:
        told = syncd("healthcheck", SYNCD_HTTP__BIND=f"0.0.0.0:{port}")
        document = syncd("healthcheck", "--json", SYNCD_HTTP__BIND=f"127.0.0.1:{port}").document
    assert told.exit_code == exit_code
    assert f"{status} /readyz" in told.out
    assert document == {"ready": status == 200, "says": f"{status} /readyz"}


def test_healthcheck_of_nobody(syncd: Syncd) -> None:
    assert syncd("healthcheck", SYNCD_HTTP__BIND="127.0.0.1:1").exit_code == 6
    assert syncd("healthcheck", SYNCD_HTTP__BIND="127.0.0.1").exit_code == 2
