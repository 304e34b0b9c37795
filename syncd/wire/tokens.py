"""Token pairs, their short names for logs, and the token reply (contracts/revento.md §5)."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import msgspec

from syncd.errors import ContractBreach

# `expires_in` where the reply leaves it out or it makes no sense (contracts/revento.md §2).
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
    in_doubt: bool = False  # a refresh was begun, and nobody knows whether the refresh token is spent
    opens: Mapping[str, str] = field(default_factory=dict)  # what a reply says that they open: event_id, user_id
    generation: int = 0  # renewals since the consent
    consent_ends_at: datetime | None = None  # as far as it can be told; no renewal helps then
    is_from_elsewhere: bool = False  # another database stored them: this one holds a copy
    is_refused: bool = False  # their installation is parked until a new consent


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """How the integration names itself to the authorization server: an id, and a secret.

    In a rotation there are two, in the order in which they are tried: nobody can tell from outside which one the
    server takes by now (contracts/revento.md G27), and one that is refused costs nothing but its call.
    """

    client_id: str
    secrets: tuple[str, ...] = field(repr=False)


class TokenResponse(msgspec.Struct):
    """The body of a token reply; a reply may keep the refresh token by not naming one. Secret: never log it.

    Whatever else may stand in it: that is no reason to lose a pair.
    """

    access_token: str
    refresh_token: str | None = None
    token_type: Any = None
    expires_in: Any = None
    refresh_expires_in: Any = None
    scope: Any = None
    event_id: Any = None
    user_id: Any = None  # a participant's


def read_tokens(response: TokenResponse, previous_refresh_token: str | None, *, now: datetime) -> Tokens:
    """Read a token reply. A reply without a refresh token keeps the previous one; lifetimes are held to sane bounds."""
    if str(response.token_type or "bearer").lower() != "bearer":
        raise ContractBreach("the token endpoint issued a token that is no bearer token", code="token_type")
    refresh_life_s = _seconds(response.refresh_expires_in)
    named = {"event_id": response.event_id, "user_id": response.user_id}
    return Tokens(
        access_token=response.access_token,
        refresh_token=response.refresh_token or previous_refresh_token,
        access_expires_at=now + timedelta(seconds=_seconds(response.expires_in) or ACCESS_LIFE_S),
        refresh_expires_at=None if refresh_life_s is None else now + timedelta(seconds=refresh_life_s),
        scopes=tuple(response.scope.split()) if isinstance(response.scope, str) else (),
        opens={name: value for name, value in named.items() if value and isinstance(value, str)},
    )


def _seconds(value: object) -> float | None:
    """A life in seconds; None when it is missing or makes no sense: then a refused call will tell."""
    try:
        seconds = float(value) if isinstance(value, float | int | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return min(seconds, LONGEST_LIFE_S) if math.isfinite(seconds) and seconds > 0 else None


def basic(client_id: str, client_secret: str) -> str:
    """The integration's credentials for HTTP Basic; each half is form-encoded first (RFC 6749 §2.3.1)."""
    return base64.b64encode(f"{quote_plus(client_id)}:{quote_plus(client_secret)}".encode()).decode()


def fingerprint(token: str) -> str:
    """A short name for a token, from which the token cannot be had."""
    return hashlib.blake2b(token.encode(), digest_size=6, person=b"syncd-token").hexdigest()
