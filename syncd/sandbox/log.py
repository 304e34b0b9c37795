"""The request log: what arrived, when, how it was answered, and what a well-behaved client would not have done.

The last 200 000 entries, in memory. No token or secret is in it, wherever the client has put one.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

KEPT_ENTRIES = 200_000
TOKEN = re.compile(r"rev_(?:install|user|refresh)_[A-Za-z0-9_-]+")


def fingerprint(token: str) -> str:
    """A short digest that tells tokens apart without revealing them."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


def redact(text: str, secret: str) -> str:
    """A part of a URL with the fingerprint of each token and of the client's secret in its place."""
    found = {*TOKEN.findall(text), *([secret] if secret and secret in text else [])}
    for hidden in sorted(found, key=len, reverse=True):
        text = text.replace(hidden, fingerprint(hidden))
    return text


@dataclass(slots=True)
class Entry:
    """One request. `at` is its arrival (epoch seconds of the sandbox's clock), `endpoint` the path template (None when
    unknown), `in_flight` counts this call too, `status` None means that no reply was sent (yet, or on purpose).

    `budget` is what was used of each limit before this call: `{"hour": {"used", "limit"}, "minute": ..., "in_flight":
    ...}`, limit 0 = none; None at the OAuth host. `whole`: no fault touched the reply, and all of it was handed to a
    client that was still there. `notes` are codes of `syncd.sandbox.conduct.NOTES`.
    """

    n: int
    at: float
    method: str
    path: str
    query: str
    endpoint: str | None
    event_id: str | None
    request_id: str
    token: str | None = None
    status: int | None = None
    error: str | None = None
    duration_ms: float | None = None
    remaining: int | None = None
    in_flight: int | None = None
    budget: dict[str, dict[str, int]] | None = None
    fault: int | None = None
    whole: bool = False
    notes: list[str] = field(default_factory=list)

    def deliver(self) -> None:
        """The reply has gone out whole."""
        self.whole = True


class RequestLog:
    """Entries in order of arrival, numbered from 1."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT_ENTRIES)
        self._arrived = 0

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def arrived(self, **fields: Any) -> Entry:
        """Open an entry; the caller completes it in place."""
        self._arrived += 1
        entry = Entry(n=self._arrived, **fields)
        self._entries.append(entry)
        return entry

    def since(self, n: int = 0) -> list[dict[str, Any]]:
        """Copies of the entries numbered above `n`."""
        return [asdict(entry) for entry in self._entries if entry.n > n]
