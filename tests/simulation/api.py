"""A model of the source: one event whose participants change while they are listed, under a chosen reading of the gaps.

Written from contracts/revento.md §5, §9, §10 and §17 alone. Time is the loop's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

from syncd.errors import ApiError
from syncd.model import AccessTokens
from syncd.sources.revento.faults import classify
from syncd.wire.reply import Reply
from syncd.wire.retry import GiveUp, Refresh, RetryAfter, decide
from tests.simulation.authorization import Authorization
from tests.simulation.loop import stamp
from tests.simulation.process import Process

EVENT_ID = "evt_sim"
CURSOR_LIFE_S = 24 * 3600.0
LATENCY_S = 0.7  # stamps have whole seconds: some changes share one, most do not
LARGEST_LIMIT = 2  # the contract's 50, in a world of five people
STALE_PAGES = 3


@dataclass(frozen=True)
class Readings:
    """One side of each gap that a walk can feel; the defaults are the contract's proposals."""

    cursor_ages_from_walk: bool = False  # G1
    limit_is_bound: bool = False  # G2
    refresh_kills_cursors: bool = False  # G3
    refusal: int = 400  # G4
    limit_is_clamped: bool = False  # G5
    order_is_arbitrary: bool = False  # G6
    reuse_has_grace: bool = False  # G7
    refresh_revokes: bool = False  # G8


@dataclass
class Person:
    """A participant, from `since_s` on; `until_s` None: still there."""

    person_id: str
    since_s: float
    version: int = 1
    updated_s: float = 0.0
    until_s: float | None = None
    touched_s: float = 0.0  # when anything of it last moved
    before: tuple[int, float] | None = None  # version and stamp before the last change


@dataclass
class Cursor:
    """What the server knows of a cursor that it gave out."""

    after: int
    limit: int
    token: str
    issued_s: float
    walk_began_s: float


@dataclass
class Source:
    """The remote side; `plan` maps the number of a listing call to what happens right before it is answered."""

    readings: Readings
    authorization: Authorization
    plan: Mapping[int, Callable[[Source], None]] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    calls: int = 0
    is_too_large: bool = False
    is_down: bool = False
    is_voiding: bool = False
    clamped: int = 0
    stale_pages: int = 0
    shown_stale: set[str] = field(default_factory=set)
    _cursors: dict[str, Cursor] = field(default_factory=dict)
    _requests: int = 0

    def add(self, number: int) -> None:
        """Somebody registers."""
        now_s = asyncio.get_running_loop().time()
        person = Person(f"ptp_{number:03}", now_s, updated_s=now_s, touched_s=now_s)
        self.people[person.person_id] = person

    def change(self, pick: int) -> None:
        """Somebody's data change; stamps have whole seconds, so two changes may share one."""
        if here := self.here():
            person = here[pick % len(here)]
            now_s = asyncio.get_running_loop().time()
            person.before = (person.version, person.updated_s)
            person.version, person.updated_s, person.touched_s = person.version + 1, now_s, now_s

    def withdraw(self, pick: int) -> None:
        """Somebody leaves the listing for good."""
        if here := self.here():
            here[pick % len(here)].until_s = asyncio.get_running_loop().time()

    def refresh(self) -> None:
        """The access token has run out, so that the driver has to renew it."""
        self.authorization.expire()

    def lose_token_reply(self) -> None:
        """It has run out, and the reply to the next renewal does not arrive."""
        self.authorization.expire()
        self.authorization.is_losing_reply = True

    def shrink(self) -> None:
        """The next page of more than one row is too large."""
        self.is_too_large = True

    def void(self) -> None:
        """From now on every cursor is refused."""
        self.is_voiding = True

    def serve_stale(self) -> None:
        """The next pages with somebody who has changed come from a copy that was made before."""
        self.stale_pages += STALE_PAGES

    def fail(self) -> None:
        """The next call is answered with 503."""
        self.is_down = True

    def here(self) -> list[Person]:
        """Who is listed now, in the order of creation."""
        return [person for person in self.people.values() if person.until_s is None]

    def list_people(self, query: Mapping[str, Any], token: str) -> tuple[int, Any]:
        """Status and body of one call of the listing."""
        self.calls += 1
        if act := self.plan.get(self.calls):
            act(self)
        if refusal := self.authorization.refusal_of(token):
            return 401, {"error": refusal}
        limit = int(query["limit"])
        if not 1 <= limit <= LARGEST_LIMIT:
            if not self.readings.limit_is_clamped:
                return 400, {"error": "invalid_request"}
            limit = max(1, min(limit, LARGEST_LIMIT))
            self.clamped += 1
        now_s = asyncio.get_running_loop().time()
        if self.is_down:
            self.is_down = False
            return 503, {"error": "service_unavailable"}
        if self.is_too_large and limit > 1:
            self.is_too_large = False
            return 413, {"error": "payload_too_large"}
        at = self._cursors.get(query["cursor"]) if "cursor" in query else Cursor(-1, limit, token, now_s, now_s)
        if at is None or not self._accepts(at, limit, token, now_s):
            return self.readings.refusal, {"error": "invalid_cursor" if self.readings.refusal == 400 else "gone"}
        numbered = list(enumerate(self.people.values()))
        if self.readings.order_is_arbitrary:  # a cursor that counts rows: who leaves makes the next page skip one
            numbered = list(enumerate(self.here()))
        listed = [(index, person) for index, person in numbered if index > at.after and person.until_s is None]
        page, rest = listed[:limit], listed[limit:]
        cursor = None
        if rest:
            cursor = f"c{len(self._cursors)}"
            self._cursors[cursor] = Cursor(page[-1][0], limit, token, now_s, at.walk_began_s)
        shown = [person for _, person in page]
        is_stale = self.stale_pages > 0 and any(person.before for person in shown)
        self.stale_pages -= is_stale
        if is_stale:
            self.shown_stale.update(person.person_id for person in shown)
        data = [row_of(person, stale=is_stale) for person in shown]
        return 200, {"data": data, "next_cursor": cursor, "has_more": bool(rest)}

    def _accepts(self, at: Cursor, limit: int, token: str, now_s: float) -> bool:
        began_s = at.walk_began_s if self.readings.cursor_ages_from_walk else at.issued_s
        return (
            not self.is_voiding
            and now_s - began_s < CURSOR_LIFE_S
            and not (self.readings.limit_is_bound and limit != at.limit)
            and not (self.readings.refresh_kills_cursors and token != at.token)
        )

    def next_request_id(self) -> str:
        """An id of our own for a call."""
        self._requests += 1
        return str(UUID(int=self._requests))


def row_of(person: Person, *, stale: bool = False) -> dict[str, Any]:
    """A participant as the API serves it, or as a copy that is out of date does."""
    version, updated_s = person.before if stale and person.before else (person.version, person.updated_s)
    updated_at = stamp(int(updated_s)).isoformat().replace("+00:00", "Z")
    return {"id": person.person_id, "display_name": f"v{version}", "updated_at": updated_at}


@dataclass
class ModelApi:
    """`sync.run.AccountApi` of one process on the source: a call that can be asked again is, as over HTTP."""

    source: Source
    process: Process
    tokens: AccessTokens

    async def get(
        self, endpoint: str, query: Mapping[str, str | int] | None = None, *, path: Mapping[str, str] | None = None
    ) -> Reply:
        """The 200 reply, or the ApiError that the reply stands for."""
        assert endpoint.endswith("/participants"), endpoint
        assert path is None
        refreshed, random = False, Random(0)
        for attempt in count(1):
            token = await self.tokens.current()
            await self.process.act(LATENCY_S / 2)
            status, body = self.source.list_people(query or {}, token)
            await self.process.act(LATENCY_S / 2)
            reply = self._reply(status, body, token)
            if status == 200:
                return reply
            error = self._error(reply)
            match decide(error, attempt=attempt, refreshed=refreshed, random=random):
                case GiveUp():
                    raise error
                case Refresh():
                    refreshed = True
                    await self.tokens.renew(token)
                case RetryAfter(pause_s):
                    await asyncio.sleep(pause_s)
        raise AssertionError("unreachable")

    async def renew_unless_it_lasts(self, life_s: float) -> None:
        """A renewal, where the engine asks for one and the token would not last."""
        await self.tokens.current(life_s)

    def _reply(self, status: int, body: Any, token: str) -> Reply:
        now = stamp(asyncio.get_running_loop().time())
        return Reply(self.source.next_request_id(), status, {}, json.dumps(body).encode(), now, token_fingerprint=token)

    def _error(self, reply: Reply) -> ApiError:
        error = classify(reply)
        error.request_id, error.token_fingerprint = reply.request_id, reply.token_fingerprint
        return error
