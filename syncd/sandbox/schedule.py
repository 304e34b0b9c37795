"""Changes of the world in mid-walk: a request of the control port that happens right before or after a given call.

`{"endpoint": "/events/{event_id}/participants", "nth": 3, "act": {"method": "DELETE", "path":
"/events/{event_id}/participants/{row:0}"}}`: in an act `{event_id}` is the call's event, and in its path `{row:N}` the
id that row N of the listing named there has at that moment (-1: the last). Other ids are looked up then as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import quote, unquote

from syncd.sandbox import orders
from syncd.sandbox.collection import Json
from syncd.sandbox.http import Reply, Request
from syncd.sandbox.orders import Aim
from syncd.sandbox.world import World

ROW = re.compile(r"/events/(?P<event_id>[^/]+)/(?P<listing>[^/]+)/\{row:(?P<number>-?\d+)\}")


@dataclass(kw_only=True)
class Appointment(Aim):
    """An `act` (`method`, `path`, `body`), and `when` it happens: before or after the call is answered. The client
    cannot have read the answer yet."""

    act: dict[str, Any] = field(default_factory=dict)
    when: Literal["before", "after"] = "before"

    def __post_init__(self) -> None:
        kinds = {name: type(value) for name, value in self.act.items()}
        if {"body": dict, **kinds} != {"method": str, "path": str, "body": dict}:
            raise ValueError('an act is like {"method": "PATCH", "path": "/events/{event_id}", "body": {}}')


@dataclass(slots=True)
class Kept:
    """An appointment with the calls it has `seen`; once it was kept, the `status` and `reply` of its act."""

    id: int
    appointment: Appointment
    seen: int = 0
    status: int | None = None
    reply: Any = None


class Schedule:
    """The appointments. `act` answers a request of the control port; `knows` tells whether there is such a request."""

    def __init__(
        self,
        endpoints: Collection[str],
        world: World,
        act: Callable[[Request], Awaitable[Reply]],
        knows: Callable[[str, str], bool],
    ) -> None:
        self._endpoints, self._world, self._act, self._knows = endpoints, world, act, knows
        self._kept: list[Kept] = []
        self._ordered = 0

    def add(self, order: Json) -> int:
        """Make an appointment and return its id; `ValueError` when it cannot be kept."""
        appointment = orders.read(Appointment, order, self._endpoints)
        method, path = appointment.act["method"], appointment.act["path"]
        if not self._knows(method, path):
            raise ValueError(f"the control port has no {method} {path}")
        self._ordered += 1
        self._kept.append(Kept(self._ordered, appointment))
        return self._ordered

    def listing(self) -> list[Json]:
        """Every appointment: how many calls it has `seen`, whether it is `done`, and whether the act has `failed`."""
        return [
            {
                "id": kept.id,
                **asdict(kept.appointment),
                "seen": kept.seen,
                "done": kept.status is not None,
                "failed": kept.status is not None and kept.status >= 400,
                "status": kept.status,
                "reply": kept.reply,
            }
            for kept in self._kept
        ]

    def clear(self) -> None:
        """No appointment any more."""
        self._kept.clear()

    def due(self, endpoint: str, event_id: str | None) -> list[Kept]:
        """Count a call, and return the appointments that it is the time for."""
        matching = [kept for kept in self._kept if kept.appointment.matches(endpoint, event_id)]
        for kept in matching:
            kept.seen += 1
        return [kept for kept in matching if kept.seen == kept.appointment.nth]

    async def keep(self, due: list[Kept], when: str, event_id: str | None) -> None:
        """Let what is due happen, in the order in which it was ordered."""
        for kept in due:
            if kept.appointment.when == when:
                reply = await self._answer(kept.appointment.act, event_id or "")
                kept.status, kept.reply = reply.status, json.loads(reply.body)

    async def _answer(self, act: Json, event_id: str) -> Reply:
        """A row that is not there leaves its name in the path, so that the control port does not find it either."""
        path = act["path"].replace("{event_id}", quote(event_id, safe=""))
        body = json.dumps(act.get("body") or {}).replace("{event_id}", json.dumps(event_id)[1:-1])
        return await self._act(Request(act["method"], ROW.sub(self._with_id, path), {}, "", {}, body.encode()))

    def _with_id(self, found: re.Match[str]) -> str:
        event, listing, number = (
            self._world.events.get(unquote(found["event_id"])),
            found["listing"],
            int(found["number"]),
        )
        ids = event.lists[listing].ids() if event and listing in event.lists else []
        if not -len(ids) <= number < len(ids):
            return found[0]
        return f"/events/{found['event_id']}/{listing}/{quote(ids[number], safe='')}"
