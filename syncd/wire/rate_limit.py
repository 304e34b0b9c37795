"""The budgets of one token, what a reply says of the hour, and which wait it orders (contracts/revento.md §8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

MAX_RETRY_AFTER_S = 3600.0
# A call that was given up before its reply may arrive this much later still: the network's latency (conformance RV-20).
STRAY_S = 5.0
_WHOLE = re.compile(r"[0-9]{1,10}\Z", re.ASCII)
# Below this a reset is seconds from now, above it seconds since 1970 (docs/faults.md 61).
_EPOCH_FROM = 100_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """The budgets of one token, after the reserve; 0 = no such limit. `reserved`: of the hour, left to other tools."""

    per_hour: int
    per_minute: int
    in_flight: int
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class Wait:
    """No call leaves for `wait_s` seconds: the hour or the minute is spent, or the server has said so."""

    waits_for: Literal["hour", "minute", "server"]
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Headroom:
    """The hourly budget as the server sees it; each part may be missing. It says nothing of burst and flight."""

    limit: int | None = None
    remaining: int | None = None
    reset_at: datetime | None = None


def read_headroom(headers: Mapping[str, str], *, received_at: datetime) -> Headroom:
    """Read `X-RateLimit-*`; what is missing or garbage is None."""
    return Headroom(
        limit=_whole(headers.get("x-ratelimit-limit")),
        remaining=_whole(headers.get("x-ratelimit-remaining")),
        reset_at=_reset(_whole(headers.get("x-ratelimit-reset")), received_at),
    )


def read_retry_after(headers: Mapping[str, str], *, received_at: datetime) -> float | None:
    """Seconds to wait, between 0 and an hour, from whole seconds or an HTTP date; None when missing or garbage."""
    text = headers.get("retry-after", "").strip()
    seconds: float | None = _whole(text)
    if seconds is None:
        seconds = _seconds_until(text, headers.get("date"), received_at)
    return None if seconds is None else min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and _WHOLE.match(text.strip()) else None


def _reset(value: int | None, received_at: datetime) -> datetime | None:
    if value is None:
        return None
    if value < _EPOCH_FROM:
        return received_at + timedelta(seconds=value)
    return datetime.fromtimestamp(value, UTC)


def _seconds_until(text: str, date: str | None, received_at: datetime) -> float | None:
    """An HTTP date is on the server's clock, so it is held against the server's own `Date` where there is one."""
    until = read_http_date(text)
    if until is None:
        return None
    return (until - (read_http_date(date or "") or received_at)).total_seconds()


def read_http_date(text: str) -> datetime | None:
    """A time as HTTP headers write it; None when it is none."""
    try:
        stamp = parsedate_to_datetime(text)
    except ValueError:
        return None
    return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)
