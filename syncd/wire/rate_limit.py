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
# Several headers are joined by commas, and a date holds one behind its weekday (docs/faults.md 60).
_NEXT = re.compile(r",(?!\s*[0-9]{1,2}[ -][A-Za-z])", re.ASCII)
# The budget is whole again within the hour, whatever that means (contracts/revento.md C1); clocks differ by hours.
_MOST_AWAY = timedelta(days=1)
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
        reset_at=_reset(_whole(headers.get("x-ratelimit-reset")), headers.get("date"), received_at),
    )


def read_retry_after(headers: Mapping[str, str], *, received_at: datetime) -> float | None:
    """Seconds to wait, between 0 and an hour, from whole seconds or an HTTP date; None when missing or garbage.

    Of several the longest counts.
    """
    texts = (text.strip() for text in _NEXT.split(headers.get("retry-after", "")))
    seconds = max((_wait(text, headers.get("date"), received_at) for text in texts), key=lambda wait: wait or 0.0)
    return None if seconds is None else min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


def _wait(text: str, date: str | None, received_at: datetime) -> float | None:
    seconds = _whole(text)
    return _seconds_until(text, date, received_at) if seconds is None else seconds


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and _WHOLE.match(text.strip()) else None


def _reset(value: int | None, date: str | None, received_at: datetime) -> datetime | None:
    """On our clock: an epoch is on the server's, which its `Date` tells. None for one that is days away."""
    if value is None:
        return None
    away = timedelta(seconds=value)
    if value >= _EPOCH_FROM:
        away = datetime.fromtimestamp(value, UTC) - (read_http_date(date or "") or received_at)
    return received_at + away if abs(away) <= _MOST_AWAY else None


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
