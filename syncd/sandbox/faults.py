"""The faults in force, and what they keep between the calls that they strike.

Ordered with the fields of `syncd.sandbox.fault.Fault` (its docstring tells them), by the name of a preset
(`syncd.sandbox.presets`), or both: `{"preset": "gzip_bomb", "endpoint": "/events/{event_id}", "nth": 2}`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, replace
from itertools import cycle
from typing import Any

from syncd.sandbox import orders, presets
from syncd.sandbox.collection import dump
from syncd.sandbox.fault import Fault
from syncd.sandbox.http import Reply

REQUEST_ID = "X-Revento-Request-Id"
# How long a reply waits for another one to be swapped with.
SWAP_WAIT_S = 10.0


class Armed:
    """A fault in force: how many calls it has `seen` and struck (`fired`)."""

    def __init__(self, fault_id: int, fault: Fault) -> None:
        self.id, self.fault = fault_id, fault
        self.seen = self.fired = 0
        self._cursors: list[str] = []
        self._loop: Iterator[str] | None = None
        self._first: dict[str, Reply] = {}
        self._waiting: tuple[Reply, asyncio.Future[Reply]] | None = None

    @property
    def due(self) -> bool:
        """Whether the call counted last is one to strike."""
        return self.seen >= self.fault.nth and (self.fault.times is None or self.fired < self.fault.times)

    def keep(self, url: str, reply: Reply) -> None:
        """Remember an honest reply, for `replay`."""
        if self.fault.replay:
            self._first.setdefault(url, reply)

    def looped(self, reply: Reply) -> Reply:
        """The page with its next cursor moved into the loop: after `loop_pages` cursors, or all that there are, the
        first comes again."""
        if self.fault.loop_pages is None or reply.status != 200:
            return reply
        page = json.loads(reply.body)
        if self._loop is None and page.get("has_more") and len(self._cursors) < self.fault.loop_pages:
            self._cursors.append(page["next_cursor"])
            return reply
        self._loop = self._loop or cycle(self._cursors)
        following = next(self._loop, page.get("next_cursor"))
        return replace(reply, body=dump(page | {"next_cursor": following, "has_more": True}))

    async def mixed_up(self, url: str, reply: Reply) -> Reply:
        """The reply that is sent instead of the finished one: an old one, another call's, or one with its id."""
        if self.fault.replay:
            return self._first.get(url, reply)
        if self.fault.swap is None:
            return reply
        other = await self._other(reply)
        if self.fault.swap == "replies":
            return other
        return replace(reply, headers={**reply.headers, REQUEST_ID: other.headers[REQUEST_ID]})

    async def _other(self, reply: Reply) -> Reply:
        """The reply of another struck call in flight; this one when none comes."""
        if self._waiting is not None:
            (other, theirs), self._waiting = self._waiting, None
            theirs.set_result(reply)
            return other
        ours: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting = (reply, ours)
        done, _ = await asyncio.wait([ours], timeout=SWAP_WAIT_S)
        if done:
            return ours.result()
        self._waiting = None
        return reply


class Faults:
    """Of several faults that could hit a call the oldest does, and the others have seen it."""

    def __init__(self, endpoints: Collection[str]) -> None:
        self._endpoints = endpoints
        self._faults: list[Armed] = []
        self._ordered = 0

    def add(self, order: Mapping[str, Any]) -> int:
        """Put a fault in force and return its id; `ValueError` on what is unknown, of the wrong type, or at odds."""
        fault = orders.read(Fault, presets.expand(order), self._endpoints)
        self._ordered += 1
        self._faults.append(Armed(self._ordered, fault))
        return self._ordered

    def listing(self) -> list[dict[str, Any]]:
        """Every fault with its counts `seen` and `fired`."""
        return [
            {"id": armed.id, **asdict(armed.fault), "seen": armed.seen, "fired": armed.fired} for armed in self._faults
        ]

    def clear(self) -> None:
        """No fault any more."""
        self._faults.clear()

    def strike(self, endpoint: str, event_id: str | None) -> Armed | None:
        """Count the call in every fault that it matches, and return the one that hits it, if any."""
        matching = self._matching(endpoint, event_id)
        for armed in matching:
            armed.seen += 1
        hit = next((armed for armed in matching if armed.due), None)
        if hit is not None:
            hit.fired += 1
        return hit

    def answered(self, endpoint: str, event_id: str | None, url: str, reply: Reply) -> None:
        """Let the faults see an honest reply."""
        for armed in self._matching(endpoint, event_id):
            armed.keep(url, reply)

    def _matching(self, endpoint: str, event_id: str | None) -> list[Armed]:
        return [armed for armed in self._faults if armed.fault.matches(endpoint, event_id)]
