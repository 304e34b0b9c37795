"""The authorization server's token endpoint (contracts/revento.md §5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import msgspec

from syncd.clock import Clock
from syncd.errors import ApiError, ConfigError, NeedsAuthorization, TokenRefused, Transient
from syncd.http.client import Client, Exchange, exchange
from syncd.http.unreached import host_of
from syncd.logs import get_logger
from syncd.wire.reply import read_error_code
from syncd.wire.tokens import ClientIdentity, TokenResponse, Tokens, basic, read_tokens

# Only a new consent helps after these (contracts/revento.md §5, §11).
_DEAD_GRANT = {"invalid_grant", "token_revoked"}
# It is about the client alone: the token that was shown with it is as good as before (RFC 6749 §5.2).
_WRONG_CLIENT = "invalid_client"

log = get_logger(__name__)


@dataclass(slots=True)
class HttpTokenEndpoint:
    """`model.TokenEndpoint` over HTTP; the client's credentials travel in the body."""

    client: Client
    auth_url: str | None
    identity: ClientIdentity | None
    clock: Clock

    async def refresh(self, refresh_token: str) -> Tokens:
        """Trade a refresh token for a new pair.

        Raises TokenRefused when the grant is dead, ConfigError when it is our own settings that do not work,
        Transient when no usable answer came: then nobody knows whether the old token is spent.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        reply = await self._trade("the access token has to be renewed", form)
        return read_tokens(
            _decode(reply.body, urlsplit(self.auth_url or "").netloc), refresh_token, now=self.clock.now()
        )

    async def redeem(self, code: str, verifier: str, redirect_uri: str) -> bytes:
        """Trade the code of a consent for its token reply, as it came: secret. A code is good for one attempt.

        Raises NeedsAuthorization when the code is refused, ConfigError when it is our own settings that do not work,
        Transient when no answer came: then the organizer has to consent once more.
        """
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": redirect_uri,
        }
        try:
            return (await self._trade("the consent has to be redeemed", form)).body
        except TokenRefused as error:
            raise NeedsAuthorization(
                f"the authorization server does not take the code ({error.code})",
                hint="connect the event again: a code is good for ten minutes and for one attempt",
            ) from error

    async def revoke(self, token: str) -> None:
        """Give a token up: a refresh token takes its whole family along (contracts/revento.md §6).

        The answer is the same for a token that nobody knows, so it proves nothing of it; that it came is all there is.
        Raises ConfigError when it is our own settings that do not work, Transient when no answer came.
        """
        auth_url, identity = self._settings("the grant has to be revoked", ", or give --keep-grant")

        def ask(client_secret: str) -> httpx.Request:
            headers = {"Authorization": f"Basic {basic(identity.client_id, client_secret)}"}
            return self.client.build_request("POST", f"{auth_url}/oauth/revoke", data={"token": token}, headers=headers)

        await self._send(ask, identity)

    async def _trade(self, what: str, form: Mapping[str, str]) -> Exchange:
        """The token endpoint's reply to this form, with our credentials in it; `what` has to be done, for messages."""
        auth_url, identity = self._settings(what)

        def ask(client_secret: str) -> httpx.Request:
            filled = {**form, "client_id": identity.client_id, "client_secret": client_secret}
            return self.client.build_request("POST", f"{auth_url}/oauth/token", data=filled)

        return await self._send(ask, identity)

    def _settings(self, what: str, otherwise: str = "") -> tuple[str, ClientIdentity]:
        if not (self.auth_url and self.identity):
            raise ConfigError(
                f"{what}, and the authorization server is not configured",
                hint=f"set revento.auth_url, revento.client_id and revento.client_secret{otherwise}",
            )
        return self.auth_url, self.identity

    async def _send(self, ask: Callable[[str], httpx.Request], identity: ClientIdentity) -> Exchange:
        """The reply, which is a success, to what is asked under one of our secrets.

        Raises what `_refusal` makes of any other, and Transient when none came.
        """
        for number, client_secret in enumerate(identity.secrets, start=1):
            request = ask(client_secret)
            # A kept connection may end just as it is used again, and nobody could tell whether the token was spent: so
            # these calls keep none (docs/faults.md 15).
            reply = await exchange(
                self.client, request, most_bytes=self.client.bounds.small_body_bytes, keep_connection=False
            )
            if reply.status == 200:
                return reply
            if read_error_code(reply.body) != _WRONG_CLIENT or number == len(identity.secrets):
                raise _refusal(reply, host_of(request))
            log.warning("client_secret_refused", hint="if its rotation is over, put the next one into its place")
        raise AssertionError("there is a secret, and the last one returns or raises")


def _decode(body: bytes, host: str) -> TokenResponse:
    try:
        return msgspec.json.decode(body, type=TokenResponse)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Transient(
            f"what {host} answered is no token reply",
            code="token_reply",
            hint="is revento.auth_url, or the installation's, the authorization server's address?",
        ) from error


def _refusal(reply: Exchange, host: str) -> ApiError | ConfigError:
    code = read_error_code(reply.body)
    if code == _WRONG_CLIENT:
        return ConfigError(
            "the token endpoint refused revento.client_id or revento.client_secret",
            hint="compare them with the developer console; after a rotation the old secret may be dead",
        )
    if code in _DEAD_GRANT:
        return TokenRefused(f"the token endpoint answered {code}", status=reply.status, code=code)
    if 300 <= reply.status < 500 and reply.status not in (408, 429):
        return ConfigError(
            f"the token endpoint at {host} answered {code or f'HTTP {reply.status}'}, which is no word on the grant",
            hint="is revento.auth_url right, and does nothing stand between?",
        )
    return Transient(f"the token endpoint at {host} answered {reply.status}", status=reply.status, code=code)
