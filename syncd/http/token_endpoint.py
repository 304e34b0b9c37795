"""The authorization server's token endpoint (contracts/revento.md §5)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
import msgspec

from syncd.clock import Clock
from syncd.errors import ApiError, ConfigError, ContractBreach, TokenRefused, Transient
from syncd.http.client import Exchange, exchange
from syncd.model import Tokens

# `expires_in` and `refresh_expires_in` where the reply leaves them out (contracts/revento.md §2).
ACCESS_LIFE_S = 3600.0
# No token lives longer than the yearly cap.
LONGEST_LIFE_S = 366 * 86400.0


class TokenResponse(msgspec.Struct):
    """The body of a token reply; a reply may keep the refresh token by not naming one."""

    access_token: str
    refresh_token: str | None = None
    token_type: str = "Bearer"  # noqa: S105 - a scheme, not a secret
    expires_in: float | str | None = None
    refresh_expires_in: float | str | None = None
    scope: str = ""


@dataclass(slots=True)
class HttpTokenEndpoint:
    """`model.TokenEndpoint` over HTTP; the client's credentials travel in the body."""

    client: httpx.AsyncClient
    auth_url: str
    client_id: str
    client_secret: str
    clock: Clock

    async def refresh(self, refresh_token: str) -> Tokens:
        """Trade a refresh token for a new pair.

        Raises TokenRefused when the grant is dead, ConfigError when our own credentials are refused, and Transient
        when no usable answer came: then nobody knows whether the old token is spent.
        """
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": self.client_id,
            "client_secret": self.client_secret,
        }
        request = self.client.build_request("POST", f"{self.auth_url}/oauth/token", data=form)
        reply = await exchange(self.client, request)
        if reply.status != 200:
            raise _refusal(reply)
        return read_tokens(_decode(reply.body), refresh_token, now=self.clock.now())


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


def _decode(body: bytes) -> TokenResponse:
    try:
        return msgspec.json.decode(body, type=TokenResponse)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Transient("the token endpoint's reply cannot be read", code="token_reply") from error


def _refusal(reply: Exchange) -> ApiError | ConfigError:
    code = _error_code(reply.body)
    if code == "invalid_client":
        return ConfigError(
            "the token endpoint refused revento.client_id and client_secret",
            hint="compare them with the developer console; after a rotation the old secret may be dead",
        )
    if 400 <= reply.status < 500 and reply.status not in (408, 429):
        return TokenRefused(f"the token endpoint answered {code or reply.status}", status=reply.status, code=code)
    return Transient(f"the token endpoint answered {reply.status}", status=reply.status, code=code)


class _ErrorReply(msgspec.Struct):
    error: str | None = None


def _error_code(body: bytes) -> str | None:
    try:
        return msgspec.json.decode(body, type=_ErrorReply).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
