"""Replies that break HTTP on purpose: what can be done to one on the wire, and the bytes that are sent then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </early>; rel=preload\r\n\r\n"


@dataclass(kw_only=True)
class Damage:
    """What happens to a reply on its way. Without any of it the reply is a plain one.

    Cut: `drop` (not one byte), `cut_after_bytes` (so many of the body, its chunk frames included),
    `cut_reply_after_bytes` (so many of the whole reply). The connection is closed then; with `reset` it is reset, with
    `hang` it stays open in silence until the client closes.
    Slow: `trickle_s` (pause before each `trickle_bytes` bytes of the body, with `trickle_head` of the head as well).
    Framing, one of: `eof_delimited` (no length; the end is the close), `chunk_bytes` (chunked, in chunks of this size),
    `length_errors` (a Content-Length header for each item, off by so many bytes: [-1], [10], [0, 5]).
    Head: `interim_replies` (so many 103 before it), `extra_headers` (so many more), `long_header_bytes` (one more of
    this size), `folded_header` (one more, over two lines).
    Keep-alive, after the whole reply: `close_idle_s` (the connection is closed after so long without a request),
    `close_on_next` (it is closed when the first byte of the next request arrives, which is not logged).
    """

    drop: bool = False
    cut_after_bytes: int | None = None
    cut_reply_after_bytes: int | None = None
    reset: bool = False
    hang: bool = False
    trickle_s: float = 0
    trickle_bytes: int = 1
    trickle_head: bool = False
    eof_delimited: bool = False
    chunk_bytes: int | None = None
    length_errors: list[int] = field(default_factory=list)
    interim_replies: int = 0
    extra_headers: int = 0
    long_header_bytes: int = 0
    folded_header: bool = False
    close_idle_s: float | None = None
    close_on_next: bool = False

    @property
    def ends_connection(self) -> bool:
        """Whether the client cannot find the end of the reply unless the connection ends."""
        cuts = (self.cut_after_bytes, self.cut_reply_after_bytes)
        return self.drop or self.reset or self.hang or self.eof_delimited or cuts != (None, None) or self._is_short

    @property
    def _is_short(self) -> bool:
        return max(self.length_errors, default=0) > 0


def damaged(damage: Damage, status: int, headers: Mapping[str, str], body: bytes) -> tuple[bytes, bytes]:
    """Head (with what precedes it) and framed body, as far as they are sent."""
    if damage.drop:
        return b"", b""
    head = INTERIM * damage.interim_replies + _head(damage, status, headers, len(body))
    framed = _chunked(body, damage.chunk_bytes) if damage.chunk_bytes else body
    framed = framed[: damage.cut_after_bytes]
    if damage.cut_reply_after_bytes is None:
        return head, framed
    return head[: damage.cut_reply_after_bytes], framed[: max(0, damage.cut_reply_after_bytes - len(head))]


def pieces(damage: Damage, head: bytes, body: bytes) -> list[bytes]:
    """The reply in the parts between which a trickle pauses; one part when it does not trickle."""
    if not damage.trickle_s:
        return [head + body]
    whole, at = (b"", head + body) if damage.trickle_head else (head, body)
    step = damage.trickle_bytes
    return [whole, *(at[start : start + step] for start in range(0, len(at), step))]


def _head(damage: Damage, status: int, headers: Mapping[str, str], size: int) -> bytes:
    fields = [f"{name}: {value}" for name, value in headers.items() if name.lower() != "content-length"]
    lines = [f"HTTP/1.1 {status} Reply", *fields, *_extra_fields(damage), *_framing(damage, status, size)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _extra_fields(damage: Damage) -> list[str]:
    many = [f"X-Extra-{n}: {n}" for n in range(damage.extra_headers)]
    long = ["X-Long: " + "x" * damage.long_header_bytes] if damage.long_header_bytes else []
    return [*many, *long, *(["X-Folded: one\r\n two"] if damage.folded_header else [])]


def _framing(damage: Damage, status: int, size: int) -> list[str]:
    """A 204 has no body by its nature, so that it has no length either (RFC 9110 §8.6)."""
    if damage.eof_delimited:
        return ["Connection: close"]
    if damage.chunk_bytes:
        return ["Transfer-Encoding: chunked"]
    if status == 204 and not size:
        return []
    return [f"Content-Length: {size + error}" for error in damage.length_errors or [0]]


def _chunked(body: bytes, size: int) -> bytes:
    starts = range(0, len(body), size)
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[start : start + size] for start in starts)]
    return b"".join([*chunks, b"0\r\n\r\n"])
