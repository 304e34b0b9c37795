"""Serving the web application beside the daemon, without taking the process's signals from it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from fastapi import FastAPI

from syncd.bind import reason_of
from syncd.errors import ConfigError


class _Server(uvicorn.Server):
    """uvicorn would take SIGINT and SIGTERM for itself, and stop before the daemon has drained."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals where they are."""
        yield


@asynccontextmanager
async def serving(app: FastAPI, host: str, port: int) -> AsyncIterator[int]:
    """Serve while the body runs, and yield the port. Raises ConfigError when the address cannot be had."""
    with _listen(host, port) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=2)
        server = _Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await asyncio.wait([task])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(
            f"http.bind: cannot listen on {host}:{port} ({reason_of(error)})",
            hint="is another `syncd serve` running? set SYNCD_HTTP__BIND to a free address",
        ) from error
