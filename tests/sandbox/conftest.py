"""A running sandbox and a thin client of its own: plain httpx, no part of the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import date
from typing import Any

import httpx
import pytest

from syncd.sandbox import Limits, Sandbox, SandboxSettings

ACCEPT = "application/vnd.revento.v1+json"
UNLIMITED = Limits(0, 0, 0)


@dataclass
class Remote:
    """A sandbox, the grant of its first event, and shorthands for calls."""

    sandbox: Sandbox
    http: httpx.AsyncClient
    event_id: str
    grant: dict[str, Any]

    async def get(self, path: str = "", *, token: str | None = None, **options: Any) -> httpx.Response:
        """GET a path below the connected event."""
        return await self.get_api(f"/events/{self.event_id}{path}", token=token, **options)

    async def get_api(self, path: str, *, token: str | None = None, **options: Any) -> httpx.Response:
        """GET a path below the API base; headers given here win."""
        headers = {"Authorization": f"Bearer {token or self.grant['access_token']}", "Accept": ACCEPT}
        headers |= options.pop("headers", {})
        return await self.http.get(self.sandbox.api_url + path, headers=headers, **options)

    async def walk(self, path: str, limit: int = 50) -> list[dict[str, Any]]:
        """All rows of a paged listing."""
        rows: list[dict[str, Any]] = []
        params: dict[str, Any] = {"limit": limit}
        while True:
            page = (await self.get(path, params=params)).raise_for_status().json()
            rows += page["data"]
            if not page["has_more"]:
                return rows
            params["cursor"] = page["next_cursor"]

    async def refresh(self, token: str, **changes: str) -> httpx.Response:
        """POST a refresh to the OAuth host."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": token,
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
        }
        return await self.http.post(f"{self.sandbox.auth_url}/oauth/token", data=form | changes)

    async def control(self, method: str, path: str, body: object = None) -> httpx.Response:
        """One request to the control port."""
        return await self.http.request(method, self.sandbox.control_url + path, json=body)

    async def arrival(self) -> None:
        """Wait until the log holds a request."""
        for _ in range(1000):
            if self.sandbox.log():
                return
            await asyncio.sleep(0.005)
        raise TimeoutError("no request has arrived")

    def truth(self) -> dict[str, Any]:
        """The connected event, whole."""
        return next(event for event in self.sandbox.truth()["events"] if event["event"]["id"] == self.event_id)


Open = Callable[..., Awaitable[Remote]]


@pytest.fixture
async def open_remote() -> AsyncIterator[Open]:
    """Start sandboxes with given settings; all are closed at the end."""
    async with AsyncExitStack() as stack:

        async def start(**changes: Any) -> Remote:
            settings: dict[str, Any] = {
                "events": 2,
                "participants": 60,
                "activities": 40,
                "today": date(2026, 5, 1),
                "limits": UNLIMITED,
            }
            sandbox = await stack.enter_async_context(Sandbox(SandboxSettings(**(settings | changes))))
            http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False, verify=False))
            event_id = sandbox.event_ids[0]
            return Remote(sandbox, http, event_id, sandbox.connect(event_id))

        yield start


@pytest.fixture
async def remote(open_remote: Open) -> Remote:
    """A small sandbox without limits."""
    return await open_remote()
