"""aiohttp's connection, which breaks off at the first sign that its other end does not keep to HTTP.

Read in aiohttp 3.14 and seen: its parser joins folded header lines, takes interim replies, empty chunks and chunk
extensions without end, and leaves what follows a reply for the next call on the connection (docs/faults.md 9, 13).
"""

from __future__ import annotations

import asyncio
import re

from aiohttp.client_proto import ResponseHandler

from syncd.errors import ApiError, ContractBreach, Transient
from syncd.http.bounds import Bounds

_END_OF_HEAD = re.compile(rb"\n\r?\n")
# Line ends that HTTP has given up (RFC 9112 §2.2, §5.2), and on which two readers may differ.
_BARE_OR_FOLDED = re.compile(rb"(?<!\r)\n|\n[ \t]")
_INTERIM = re.compile(rb"HTTP/1\.[01] 1")


class GuardedConnection(ResponseHandler):
    """Counts what comes in for each request and looks at each head; what is refused also closes the connection."""

    def __init__(self, bounds: Bounds, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._bounds = bounds
        self._await_head()

    def set_response_params(self, **params: object) -> None:
        """A request is about to be sent."""
        self._await_head()
        super().set_response_params(**params)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Bytes have come in, or (none) the reader has room for those that came before."""
        try:
            self._inspect(data)
        except ApiError as refusal:
            self._break_off(refusal)
        else:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended: well (None), or by a reset, which aiohttp takes for the end of a body that has no
        length (docs/faults.md 5)."""
        if exc is not None and self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(Transient("the connection was reset within a reply", code="connection"))
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head = bytearray()
        self._head_has_ended = False
        self._head_bytes = 0
        self._wire_bytes = 0

    def _inspect(self, data: bytes) -> None:
        self._wire_bytes += len(data)
        if self._wire_bytes > self._bounds.wire_bytes:
            raise ContractBreach("the reply does not end", code="reply_too_large")
        if not self._head_has_ended:
            self._inspect_head(data)
        elif data and self._payload is not None and self._payload.is_eof():
            raise Transient("something follows the end of the reply", code="framing")

    def _inspect_head(self, data: bytes) -> None:
        """Interim replies have heads too; the bound holds for all of them together."""
        self._head += data
        while not self._head_has_ended and (end := _END_OF_HEAD.search(self._head)):
            head = bytes(self._head[: end.end()])
            _judge_head(head)
            del self._head[: len(head)]
            self._head_bytes += len(head)
            self._head_has_ended = not _INTERIM.match(head)
        rest = 0 if self._head_has_ended else len(self._head)
        if self._head_bytes + rest > self._bounds.head_bytes:
            raise Transient("the reply's head does not end", code="framing")

    def _break_off(self, refusal: ApiError) -> None:
        payload, self._payload = self._payload, None
        if payload is not None:
            payload.set_exception(refusal)
        self.set_exception(refusal)
        if self.transport is not None:
            self.transport.abort()


def _judge_head(head: bytes) -> None:
    if not head.startswith(b"HTTP/1."):
        raise Transient("the reply does not begin as HTTP", code="framing")
    if not head[: head.index(b"\n")].isascii():  # httpx's transport breaks down on a reason in another coding
        raise Transient("the reply's first line is not ASCII", code="framing")
    if _BARE_OR_FOLDED.search(head):
        raise Transient("the reply's head has a folded line, or one that does not end as it should", code="framing")
