"""`/livez` and `/readyz`, over real sockets."""

from __future__ import annotations

import socket

import httpx
import pytest

from syncd.errors import ConfigError
from syncd.web.app import make_app
from syncd.web.server import serving


async def test_ready_and_not_ready() -> None:
    reasons: list[str] = []

    async def complaints() -> list[str]:
        return reasons

    async with (
        serving(make_app(complaints), "127.0.0.1", 0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready", "reasons": []})
        reasons.append("no database")
        unready = await client.get("/readyz")
        assert (unready.status_code, unready.json()) == (503, {"status": "not ready", "reasons": ["no database"]})
        alive = await client.get("/livez")
        assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
        assert (await client.get("/docs")).status_code == 404


async def test_a_port_in_use_is_said_in_words() -> None:
    async def complaints() -> list[str]:
        return []

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with serving(make_app(complaints), "127.0.0.1", port):
                pass
