"""Faults ordered by a test: which calls they hit, and what they do to the reply."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from syncd.sandbox.collection import dump
from syncd.sandbox.http import Reply
from syncd.sandbox.refusals import STATUS, Refusal, envelope, media_type

# The envelope's code when a fault gives a status alone.
CODE_OF_STATUS = {400: "invalid_request", 401: "invalid_token", 403: "event_not_authorized", 404: "resource_not_found",
                  413: "payload_too_large", 429: "rate_limit_exceeded", 500: "internal_error"}  # fmt: skip


@dataclass(slots=True)
class Fault:
    """One fault. It strikes `times` matching calls (None = all) from the `nth` on, counting only calls that were
    admitted: a call refused for its token, scope or budget does not match.

    `endpoint` is a path template such as `/events/{event_id}/participants` or `/oauth/token`; None = any.
    Reply replaced: `status`, `body` (text, verbatim), `content_type`, `error` (a code; gives the envelope and, without
    `status`, its usual status). The handler does not run then, unless `after_handling`.
    Reply altered: `set` (merged into the handler's JSON), `headers` (null removes one), `delay_s` before it.
    Reply damaged: `drop` (closed before the first byte; without `after_handling` the handler does not run),
    `cut_after_bytes` (closed after so many body bytes), `truncate_bytes` (a shorter body with a matching length),
    `eof_delimited` (no length; the end is the close), `trickle_s` (pause between single body bytes).
    """

    id: int = 0
    endpoint: str | None = None
    event_id: str | None = None
    nth: int = 1
    times: int | None = 1
    status: int | None = None
    body: str | None = None
    content_type: str | None = None
    headers: dict[str, str | None] = field(default_factory=dict)
    error: str | None = None
    set: dict[str, Any] = field(default_factory=dict)
    delay_s: float = 0
    drop: bool = False
    cut_after_bytes: int | None = None
    truncate_bytes: int | None = None
    eof_delimited: bool = False
    trickle_s: float = 0
    after_handling: bool = False
    seen: int = 0
    fired: int = 0

    @property
    def code(self) -> str | None:
        """The error code that the caller reads, when the fault gives one."""
        if self.error or self.status is None or self.status < 400 or self.body is not None:
            return self.error
        return CODE_OF_STATUS.get(self.status, "service_unavailable")

    @property
    def replaces(self) -> bool:
        """Whether the handler's reply is not what the caller gets."""
        return self.status is not None or self.body is not None or self.error is not None or self.drop

    def matches(self, endpoint: str, event_id: str | None) -> bool:
        """Whether the call is of the kind that this fault counts."""
        return self.endpoint in (None, endpoint) and self.event_id in (None, event_id)

    @property
    def due(self) -> bool:
        """Whether the call counted last is one to strike."""
        return self.seen >= self.nth and (self.times is None or self.fired < self.times)

    def answer(self, handle: Callable[[], Reply], request_id: str) -> Reply:
        """The reply before headers and compression; runs the handler unless its reply is replaced."""
        if not self.replaces:
            return self._altered(handle())
        if self.after_handling:
            self._run(handle)
        return self._replacement(request_id)

    def damage(self, reply: Reply) -> Reply:
        """The finished reply with the fault's headers, and as broken as ordered."""
        removed = {name.lower() for name in self.headers}
        kept = {name: value for name, value in reply.headers.items() if name.lower() not in removed}
        given = {name: value for name, value in self.headers.items() if value is not None}
        return replace(
            reply,
            headers=kept | given,
            body=reply.body[: self.truncate_bytes],
            cut_after_bytes=self.cut_after_bytes,
            drop=self.drop,
            eof_delimited=self.eof_delimited,
            trickle_s=self.trickle_s,
        )

    @staticmethod
    def _run(handle: Callable[[], Reply]) -> None:
        """The handler acts; a refusal of its own is lost with its reply."""
        try:
            handle()
        except Refusal:
            return

    def _altered(self, reply: Reply) -> Reply:
        if not self.set:
            return reply
        return replace(reply, body=dump(json.loads(reply.body) | self.set))

    def _replacement(self, request_id: str) -> Reply:
        status = self.status or (STATUS.get(self.error, 400) if self.error else 200)
        headers = {"Content-Type": self.content_type or media_type(status)}
        if self.body is not None:
            return Reply(status, self.body.encode(), headers)
        if self.code is None:
            return Reply(status, b"", headers)
        if self.code == "rate_limit_exceeded":
            headers["Retry-After"] = "1"
        return Reply(status, envelope(self.code, "Ordered by a fault.", request_id), headers)


# What a caller may order; the rest is bookkeeping.
FAULT_FIELDS = frozenset(item.name for item in fields(Fault)) - {"id", "seen", "fired"}


class Faults:
    """The faults in force; of several that could hit a call the oldest does, and the others have seen it."""

    def __init__(self, endpoints: Collection[str]) -> None:
        self._endpoints = endpoints
        self._faults: list[Fault] = []
        self._ordered = 0

    def add(self, order: dict[str, Any]) -> int:
        """Put a fault in force and return its id; `ValueError` on an unknown field or endpoint."""
        if unknown := set(order) - FAULT_FIELDS:
            raise ValueError(f"unknown fault fields: {', '.join(sorted(unknown))}")
        if order.get("endpoint") not in (None, *self._endpoints):
            raise ValueError(f"unknown endpoint {order['endpoint']!r}; known: {', '.join(self._endpoints)}")
        self._ordered += 1
        self._faults.append(Fault(id=self._ordered, **order))
        return self._ordered

    def listing(self) -> list[dict[str, Any]]:
        """Every fault with its counts `seen` and `fired`."""
        return [asdict(fault) for fault in self._faults]

    def clear(self) -> None:
        """No fault any more."""
        self._faults.clear()

    def strike(self, endpoint: str, event_id: str | None) -> Fault | None:
        """Count the call in every fault that it matches, and return the one that hits it, if any."""
        matching = [fault for fault in self._faults if fault.matches(endpoint, event_id)]
        for fault in matching:
            fault.seen += 1
        hit = next((fault for fault in matching if fault.due), None)
        if hit is not None:
            hit.fired += 1
        return hit
