"""An `Api` that answers with what the test has written down, and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from syncd.errors import ApiError
from syncd.model import Installation, Page
from syncd.wire.reply import Reply

NOW = datetime(2026, 5, 10, 12, 0, tzinfo=UTC)
EVENT_ID = "evt_abc123"
INSTALLATION = Installation(
    name=f"revento/{EVENT_ID}",
    source="revento",
    account=EVENT_ID,
    organization="org_xyz789",
    timezone="Europe/Warsaw",
    environment="sandbox",
    api_url="http://127.0.0.1/api/v1",
    auth_url=None,
    scopes=(),
    state="active",
    grant_id=UUID(int=7),
)


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply with this body: bytes as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(str(uuid4()), status, headers or {}, raw, NOW)


def listing(rows: Iterable[Any], next_cursor: str | None = None, has_more: bool = False) -> Reply:
    """One page of a paged listing."""
    return reply({"data": list(rows), "next_cursor": next_cursor, "has_more": has_more})


class ScriptedApi:
    """Gives out its script in order; an error in it is raised. Asking for more than is there fails the test."""

    def __init__(self, *script: Reply | ApiError) -> None:
        self._script = list(script)
        self.asked: list[tuple[str, dict[str, str | int]]] = []

    async def get(
        self,
        endpoint: str,
        query: Mapping[str, str | int] | None = None,
        *,
        path: Mapping[str, str] | None = None,
    ) -> Reply:
        """The next line of the script."""
        self.asked.append((endpoint, dict(query or {}) | dict(path or {})))
        assert self._script, f"one call too many: {self.asked[-1]}"
        line = self._script.pop(0)
        if isinstance(line, ApiError):
            raise line
        return line

    @property
    def queries(self) -> list[dict[str, str | int]]:
        """What was asked, without the endpoint."""
        return [query for _, query in self.asked]


async def pages_of(walk: AsyncIterator[Page]) -> list[Page]:
    """Every page of a walk."""
    return [page async for page in walk]
