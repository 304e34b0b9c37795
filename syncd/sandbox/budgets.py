"""The three budgets of one installation: rolling hour, any 60 s, in flight (contracts/revento.md §8).

Counted by arrival. Who owns a budget (G12) and which calls cost something (G11, G21) is decided by its users.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from syncd.sandbox.refusals import Refusal
from syncd.sandbox.settings import Kind, Limits

HOUR_S = 3600.0
BURST_S = 60.0
# Told in the headers when the sandbox has no hourly limit.
UNLIMITED = 1_000_000


@dataclass(slots=True)
class Window:
    """Arrival times inside a rolling window of `length_s` seconds, oldest first."""

    length_s: float
    arrivals: deque[float] = field(default_factory=deque)

    def expire(self, now: float) -> None:
        """Forget the arrivals that have left the window."""
        while self.arrivals and self.arrivals[0] + self.length_s <= now:
            self.arrivals.popleft()

    def wait_s(self, limit: int, now: float) -> float:
        """Seconds until one more call fits; 0 when it fits now or there is no limit."""
        if not limit or len(self.arrivals) < limit:
            return 0.0
        return self.arrivals[len(self.arrivals) - limit] + self.length_s - now


@dataclass(slots=True)
class Budget:
    """What one caller has spent."""

    kind: Kind = "installation"
    hour: Window = field(default_factory=lambda: Window(HOUR_S))
    burst: Window = field(default_factory=lambda: Window(BURST_S))
    in_flight: int = 0
    refused: Window = field(default_factory=lambda: Window(BURST_S))

    def admit(self, limits: Limits, now: float, *, counts_refused: bool = False) -> None:
        """Count an arrival and take an in-flight slot, or raise `Refusal` (429) and count nothing, unless
        `counts_refused`."""
        self._expire(now)
        if limits.in_flight and self.in_flight >= limits.in_flight:
            self.refused.arrivals.append(now)
            raise Refusal("concurrent_limit_exceeded", "Too many requests in flight.")
        wait_s = max(self.hour.wait_s(limits.per_hour, now), self.burst.wait_s(limits.per_minute, now))
        if wait_s > 0:
            self.refused.arrivals.append(now)
            if counts_refused:
                self._count(now)
            retry_after_s = max(1, math.ceil(wait_s))
            raise Refusal("rate_limit_exceeded", "Slow down.", {"Retry-After": str(retry_after_s)})
        self._count(now)
        self.in_flight += 1

    def release(self) -> None:
        """Give the in-flight slot back."""
        self.in_flight -= 1

    def refund(self, arrived_at: float) -> None:
        """Take a counted arrival back."""
        for window in (self.hour, self.burst):
            if arrived_at in window.arrivals:
                window.arrivals.remove(arrived_at)

    def refused_lately(self, now: float) -> int:
        """How many calls were refused within the last minute."""
        self.refused.expire(now)
        return len(self.refused.arrivals)

    def remaining(self, limits: Limits, now: float) -> int:
        """Calls left in the rolling hour."""
        self._expire(now)
        return max(0, (limits.per_hour or UNLIMITED) - len(self.hour.arrivals))

    def held(self, limits: Limits, now: float) -> dict[str, dict[str, int]]:
        """What is used of each limit (0 = none)."""
        self._expire(now)
        return {
            "hour": {"used": len(self.hour.arrivals), "limit": limits.per_hour},
            "minute": {"used": len(self.burst.arrivals), "limit": limits.per_minute},
            "in_flight": {"used": self.in_flight, "limit": limits.in_flight},
        }

    def headers(self, limits: Limits, now: float) -> dict[str, str]:
        """`X-RateLimit-*`: the hourly budget only; `Reset` is the epoch second when the next call comes back."""
        left = self.remaining(limits, now)
        reset_at = self.hour.arrivals[0] + HOUR_S if self.hour.arrivals else now
        return {
            "X-RateLimit-Limit": str(limits.per_hour or UNLIMITED),
            "X-RateLimit-Remaining": str(left),
            "X-RateLimit-Reset": str(math.ceil(reset_at)),
        }

    def _count(self, now: float) -> None:
        self.hour.arrivals.append(now)
        self.burst.arrivals.append(now)

    def _expire(self, now: float) -> None:
        self.hour.expire(now)
        self.burst.expire(now)
