"""The access token of one installation: renewed once however many ask, and stored before anybody uses it.

Across processes the lease makes this process the only one that refreshes; within it the gate does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

from syncd.clock import Clock
from syncd.errors import NeedsAuthorization, RefreshFailed, TokenRefused, Transient
from syncd.logs import get_logger
from syncd.model import TokenEndpoint, TokenStore
from syncd.wire.tokens import Tokens

# Renew this long before expiry (contracts/revento.md §5).
MARGIN = timedelta(minutes=5)
# A lost reply is asked for once more (contracts/revento.md §5, G7).
REPEAT_AFTER_S = 1.0

log = get_logger(__name__)


@dataclass(slots=True)
class TokenManager:
    """`model.AccessTokens`: the one place where a refresh token is spent."""

    store: TokenStore
    endpoint: TokenEndpoint
    clock: Clock
    _tokens: Tokens | None = None
    _gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    _spending: asyncio.Task[Tokens] | None = None

    async def current(self) -> str:
        """A token good for the next minutes, or the best there is while it cannot be renewed.

        Raises NeedsAuthorization when only a new consent helps, RefreshFailed when the token endpoint is silent.
        """
        async with self._gate:
            await self.drain()
            tokens = self._tokens or await self.store.load()
            if self._life(tokens) <= MARGIN:
                tokens = await self._renew_early(tokens)
            self._tokens = tokens
            return tokens.access_token

    async def renew(self, refused: str) -> str:
        """A token other than the refused one: the stored one if it is newer, else a new one."""
        async with self._gate:
            await self.drain()
            self._tokens = await self.store.load()
            if self._tokens.access_token == refused:
                self._tokens = await self._spend(self._tokens)
            return self._tokens.access_token

    async def drain(self) -> None:
        """Wait for a refresh under way: its new pair exists nowhere else until it is stored."""
        if self._spending is not None:
            await asyncio.wait([self._spending])

    async def _renew_early(self, tokens: Tokens) -> Tokens:
        if tokens.refresh_token is None and self._life(tokens) > timedelta(0):
            return tokens
        try:
            return await self._spend(tokens)
        except RefreshFailed:
            if self._life(tokens) > timedelta(0):
                return tokens
            raise

    async def _spend(self, tokens: Tokens) -> Tokens:
        """In a task of its own, so that cancelling the caller does not lose the new pair on its way to the store."""
        self._spending = asyncio.create_task(self._refresh(tokens))
        return await asyncio.shield(self._spending)

    async def _refresh(self, tokens: Tokens) -> Tokens:
        if tokens.refresh_token is None:
            await self.store.refuse("no_refresh_token")
            raise NeedsAuthorization("the access token has expired and there is no refresh token", hint=_CONSENT)
        await self.store.intend(tokens.refresh_token)
        try:
            fresh = await self._ask(tokens.refresh_token)
        except TokenRefused as error:
            await self.store.refuse(error.code or "refused")
            raise NeedsAuthorization(f"the refresh token is refused ({error.code})", hint=_CONSENT) from error
        await self.store.save(fresh)
        self._tokens = fresh
        log.info("token_refreshed", access_expires_at=fresh.access_expires_at)
        return fresh

    async def _ask(self, refresh_token: str) -> Tokens:
        try:
            return await self.endpoint.refresh(refresh_token)
        except Transient as error:
            log.warning("refresh_unanswered", reason=str(error))
        await self.clock.sleep(REPEAT_AFTER_S)
        try:
            return await self.endpoint.refresh(refresh_token)
        except Transient as error:
            raise RefreshFailed(f"the token endpoint gave no answer: {error}", code=error.code) from error

    def _life(self, tokens: Tokens) -> timedelta:
        return tokens.access_expires_at - self.clock.now()


_CONSENT = "ask the organizer to connect the event again, then `syncd installations add` with the new credentials"


@dataclass(frozen=True, slots=True)
class GivenToken:
    """`model.AccessTokens` for a token that is only being tried out and cannot be renewed."""

    token: str = field(repr=False)

    async def current(self) -> str:
        """The token."""
        return self.token

    async def renew(self, refused: str) -> str:
        """Raises NeedsAuthorization."""
        raise NeedsAuthorization("the access token has expired", hint=_CONSENT)
