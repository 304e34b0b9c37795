"""Token pairs, their short names for logs, and the token reply (contracts/revento.md §5)."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from syncd.errors import ContractBreach

# `expires_in` where the reply leaves it out (contracts/revento.md §2).
ACCESS_LIFE_S = 3600.0
# No token lives longer than the yearly cap.
LONGEST_LIFE_S = 366 * 86400.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """A token pair and the instants at which its halves die. Never printed: `repr` shows no token."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    access_expires_at: datetime
    refresh_expires_at: datetime | None
    scopes: tuple[str, ...]


class TokenResponse(msgspec.Struct):
    """The body of a token reply; a reply may keep the refresh token by not naming one."""

    access_token: str
    refresh_token: str | None = None
    token_type: str = "Bearer"  # noqa: S105 - a scheme, not a secret
    expires_in: float | str | None = None
    refresh_expires_in: float | str | None = None
    scope: str = ""


def read_tokens(response: TokenResponse, previous_refresh_token: str | None, *, now: datetime) -> Tokens:
    """Read a token reply. A reply without a refresh token keeps the previous one; lifetimes are held to sane bounds."""
    if response.token_type.lower() != "bearer":
        raise ContractBreach("the token endpoint issued a token that is no bearer token", code="token_type")
    refresh_life_s = _seconds(response.refresh_expires_in, None)
    return Tokens(
        access_token=response.access_token,
        refresh_token=response.refresh_token or previous_refresh_token,
        access_expires_at=now + timedelta(seconds=_seconds(response.expires_in, ACCESS_LIFE_S) or 0.0),
        refresh_expires_at=None if refresh_life_s is None else now + timedelta(seconds=refresh_life_s),
        scopes=tuple(response.scope.split()),
    )


def _seconds(value: float | str | None, default: float | None) -> float | None:
    try:
        seconds = float(value) if value is not None else math.nan
    except ValueError:
        return default
    return min(max(seconds, 0.0), LONGEST_LIFE_S) if math.isfinite(seconds) else default


def fingerprint(token: str) -> str:
    """A short name for a token, from which the token cannot be had."""
    return hashlib.blake2b(token.encode(), digest_size=6, person=b"syncd-token").hexdigest()
