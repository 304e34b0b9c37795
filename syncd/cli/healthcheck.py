"""`syncd healthcheck`: run every few seconds by container engines, so with the standard library alone."""

from __future__ import annotations

import os
from http.client import HTTPConnection, HTTPException

import click

from syncd.bind import read_bind
from syncd.cli.command import Command
from syncd.cli.session import Session, pass_session
from syncd.errors import ConfigError

TIMEOUT_S = 5.0
# A server that listens on every address answers on the loopback one.
LOOPBACKS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound here
UNHEALTHY = 6


@click.command(cls=Command, example="syncd healthcheck && echo ready")
@pass_session
def healthcheck(session: Session) -> int:
    """Ask the daemon whether it is ready.

    It is asked on `http.bind`; the exit code is 6 if it is not ready, or not there.
    """
    host, port = read_bind(os.environ, session.config)
    if port == 0:
        raise ConfigError(
            "http.bind leaves the port to the kernel, so it is not known", hint="name a port in http.bind"
        )
    is_ready, says = ask(LOOPBACKS.get(host, host), port)
    session.answer({"ready": is_ready, "says": says}, f"{'ready' if is_ready else 'not ready'}: {says}")
    return 0 if is_ready else UNHEALTHY


def ask(host: str, port: int) -> tuple[bool, str]:
    """Whether `/readyz` answers 200, and what it says."""
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        reply = connection.getresponse()
        body = reply.read(2000).decode("utf-8", "replace").strip()
    except (OSError, HTTPException) as error:
        return False, f"no answer from {host}:{port}: {error}"
    finally:
        connection.close()
    return reply.status == 200, f"{reply.status} {body}"
