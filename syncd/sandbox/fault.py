"""One fault: which calls it strikes, and what it does to their replies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate, parsedate_to_datetime
from typing import Any, Literal

from syncd.sandbox import coding
from syncd.sandbox.collection import dump
from syncd.sandbox.damage import Damage
from syncd.sandbox.http import Reply
from syncd.sandbox.orders import Aim
from syncd.sandbox.refusals import API_MEDIA_TYPE, STATUS, Refusal, envelope, media_type

# The envelope's code when a fault gives a status alone.
CODE_OF_STATUS = {400: "invalid_request", 401: "invalid_token", 403: "event_not_authorized", 404: "resource_not_found",
                  413: "payload_too_large", 429: "rate_limit_exceeded", 500: "internal_error"}  # fmt: skip


@dataclass(kw_only=True)
class Fault(Aim, Damage):
    """It strikes `times` matching calls (None = all) from the `nth` on.

    Reply replaced: `status`, `body` (text, verbatim), `content_type`, `error` (a code; gives the envelope and, without
    `status`, its usual status). The handler does not run then, unless `after_handling`; `drop` replaces as well.
    Reply altered: `set` (merged into the handler's JSON), `remove` (keys taken out of it), `delay_s` before it.
    Page altered: `hold_cursor` (more follows, and the next cursor leads to this same page again; with an empty `data`
    in `set`, an empty page in a walk that loses nothing), `loop_pages` (the next cursors go round in a loop of so many
    pages), `other_event` (the rows are those of another event, when the world has one).
    Headers: `headers` (null removes one), `date_error_s` (added to Date).
    Body altered, with the length to match: `gzip` (compressed, asked for or not), `inflates_to` (a gzip bomb of so many
    bytes instead), `truncate_bytes` (cut there; negative: so many from the end), `flip_byte` (all bits of the byte at
    this place), `append` (text behind it).
    Replies mixed up: `swap` (two struck calls in flight get each other's `"ids"` or whole `"replies"`; the first waits
    up to 10 s for the second), `replay` (the reply that this URL got first since the order, ids and Date included).
    """

    times: int | None = 1
    status: int | None = None
    body: str | None = None
    content_type: str | None = None
    error: str | None = None
    after_handling: bool = False
    set: dict[str, Any] = field(default_factory=dict)
    remove: list[str] = field(default_factory=list)
    delay_s: float = 0
    hold_cursor: bool = False
    loop_pages: int | None = None
    other_event: bool = False
    headers: dict[str, str | None] = field(default_factory=dict)
    date_error_s: float = 0
    gzip: bool = False
    inflates_to: int | None = None
    truncate_bytes: int | None = None
    flip_byte: int | None = None
    append: str = ""
    swap: Literal["ids", "replies"] | None = None
    replay: bool = False

    def __post_init__(self) -> None:
        framing = [name for name in ("eof_delimited", "chunk_bytes", "length_errors") if getattr(self, name)]
        if len(framing) > 1:
            raise ValueError(f"a reply has one framing: {' or '.join(framing)}")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status must be from 200 to 599, not {self.status}; `interim_replies` come before it")
        if unsendable := [name for name, value in self.headers.items() if not _is_latin(name + (value or ""))]:
            raise ValueError(f"headers are Latin-1: {', '.join(unsendable)}")

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

    def answer(self, handle: Callable[[], Reply], request_id: str) -> Reply:
        """The reply before headers and compression; runs the handler unless its reply is replaced."""
        if not self.replaces:
            return self._altered(handle())
        if self.after_handling:
            self._run(handle)
        return self._replacement(request_id)

    def break_(self, reply: Reply) -> Reply:
        """The finished reply with the fault's headers and body, and as broken as ordered."""
        return self._with_body(replace(reply, headers=self._headers(reply.headers), damage=self))

    @staticmethod
    def _run(handle: Callable[[], Reply]) -> None:
        """The handler acts; a refusal of its own is lost with its reply."""
        try:
            handle()
        except Refusal:
            return

    def _altered(self, reply: Reply) -> Reply:
        if not (self.set or self.remove):
            return reply
        value = json.loads(reply.body or b"{}") | self.set
        return replace(reply, body=dump({name: value[name] for name in value if name not in self.remove}))

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

    def _headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        removed = {name.lower() for name in self.headers}
        kept = {name: value for name, value in headers.items() if name.lower() not in removed}
        if self.date_error_s and "Date" in kept:
            moment = parsedate_to_datetime(kept["Date"]).timestamp() + self.date_error_s
            kept["Date"] = formatdate(moment, usegmt=True)
        return kept | {name: value for name, value in self.headers.items() if value is not None}

    def _with_body(self, reply: Reply) -> Reply:
        headers, body = dict(reply.headers), reply.body
        if self.inflates_to is not None:
            body, headers = coding.bomb(self.inflates_to), headers | coding.HEADERS | {"Content-Type": API_MEDIA_TYPE}
        elif self.gzip and "Content-Encoding" not in headers:
            body, headers = coding.compressed(body), headers | coding.HEADERS
        body = body[: self.truncate_bytes]
        if self.flip_byte is not None:
            body = _flipped(body, self.flip_byte)
        return replace(reply, headers=headers, body=body + self.append.encode())


def _flipped(body: bytes, at: int) -> bytes:
    """The body with the byte at this place inverted; as it is when there is no such place."""
    changed = bytearray(body)
    if -len(changed) <= at < len(changed):
        changed[at] ^= 0xFF
    return bytes(changed)


def _is_latin(text: str) -> bool:
    return all(ord(character) < 256 for character in text)
