"""The request log: what arrived, when, and how it was answered; the last 200 000 entries, in memory."""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT_ENTRIES = 200_000


def fingerprint(token: str) -> str:
    """A short digest that tells tokens apart without revealing them."""
    return hashlib.sha256(token.encode()).hexdigest()[:12]


@dataclass(slots=True)
class Entry:
    """One request. `at` is its arrival (epoch seconds of the sandbox's clock), `endpoint` the path template (None when
    unknown), `in_flight` counts this call too, `status` None means that no reply was sent (yet, or on purpose)."""

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
    fault: int | None = None


class RequestLog:
    """Entries in order of arrival, numbered from 1."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT_ENTRIES)
        self._arrived = 0

    def arrived(self, **fields: Any) -> Entry:
        """Open an entry; the caller completes it in place."""
        self._arrived += 1
        entry = Entry(n=self._arrived, **fields)
        self._entries.append(entry)
        return entry

    def since(self, n: int = 0) -> list[dict[str, Any]]:
        """Copies of the entries numbered above `n`."""
        return [asdict(entry) for entry in self._entries if entry.n > n]
