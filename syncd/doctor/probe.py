"""Asking a daemon whether it is ready, with the standard library alone: `syncd healthcheck` runs every few seconds."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException

TIMEOUT_S = 5.0
# A server that listens on every address answers on the loopback one.
LOOPBACKS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not bound here


def ask(host: str, port: int) -> tuple[bool, str]:
    """Whether `/readyz` answers 200, and what it says. Blocking."""
    connection = HTTPConnection(LOOPBACKS.get(host, host), port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        reply = connection.getresponse()
        body = reply.read(2000).decode("utf-8", "replace").strip()
    except (OSError, HTTPException) as error:
        return False, f"no answer from {connection.host}:{port}: {error}"
    finally:
        connection.close()
    return reply.status == 200, f"{reply.status} {body}"
