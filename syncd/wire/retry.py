"""What to do about a call that failed: a value, decided here and acted on in `syncd.http`."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from syncd.errors import ApiError, RateLimited, TokenExpired, TooManyInFlight, Transient

MAX_ATTEMPTS = 6
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
# A refused call that names no time: most likely the one-minute budget (contracts/revento.md §8).
UNNAMED_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Repeat the call after a pause of its own."""

    pause_s: float


@dataclass(frozen=True, slots=True)
class Refresh:
    """Renew the access token, then repeat the call at once."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The error is the answer."""


Decision = RetryAfter | Refresh | GiveUp


def decide(error: ApiError, *, attempt: int, refreshed: bool, random: Random, outage: bool = False) -> Decision:
    """Decide on the `attempt`-th failure (from 1) of one call; `refreshed`: it has already renewed its token; `outage`:
    the API answers nobody, so nothing is repeated."""
    match error:
        case TokenExpired():
            return GiveUp() if refreshed else Refresh()
        case Transient() if attempt >= MAX_ATTEMPTS:
            return GiveUp()
        case RateLimited():
            return RetryAfter(0.0)  # the token's pause holds this call back like every other
        case TooManyInFlight():
            return RetryAfter(_jitter(attempt, random))
        case Transient() if outage:
            return GiveUp()
        case Transient():
            return RetryAfter(max(error.retry_after_s or 0.0, _jitter(attempt, random)))
        case _:
            return GiveUp()


def pause_after(error: RateLimited, random: Random) -> float:
    """Seconds for which no call may leave on a token that was refused for going too fast."""
    wait_s = UNNAMED_WAIT_S if error.retry_after_s is None else error.retry_after_s
    return wait_s + random.uniform(0.0, 1.0)


def _jitter(attempt: int, random: Random) -> float:
    """Full jitter under a doubling cap."""
    cap_s: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1))
    return random.uniform(0.0, cap_s)
