"""The access token of one installation: renewed once however many ask, and stored before anybody uses it.

Across processes the lease makes this process the only one that refreshes; within it the gate does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Protocol

from syncd.clock import Clock
from syncd.errors import (
    ConfigError,
    ContractBreach,
    DatabaseError,
    DatabaseRestored,
    NeedsAuthorization,
    RefreshFailed,
    TokenRefused,
    Transient,
)
from syncd.logs import get_logger
from syncd.model import TokenEndpoint, TokenStore
from syncd.wire.tokens import Tokens, basic

# Renew this long before expiry (contracts/revento.md §5), or a fifth of a life that is short.
MARGIN = timedelta(minutes=5)
SHORT_LIFE_SHARE = 5
# What a new one is promised to live (contracts/revento.md §5).
FULL_LIFE = timedelta(hours=1)
# An organizer has to be asked, and to find the time.
CONSENT_WARNING = timedelta(weeks=6)
# A lost reply is asked for once more (contracts/revento.md §5, G7).
REPEAT_AFTER_S = 1.0
# A pair that the database does not take exists in this process alone, so the attempts do not end.
SAVE_AGAIN_S = 2.0

log = get_logger(__name__)


class Generations(Protocol):
    """The newest generation of this grant's pair that was seen stored, remembered outside the database."""

    def newest(self) -> int:
        """0 as long as nothing is remembered."""

    def note(self, generation: int) -> None:
        """Remember that this generation is stored."""


@dataclass(slots=True)
class TokenManager:
    """`model.AccessTokens`: the one place where a refresh token is spent."""

    store: TokenStore
    endpoint: TokenEndpoint
    clock: Clock
    generations: Generations
    opens: Mapping[str, str] = field(default_factory=dict)  # the ids that the tokens are to open
    _tokens: Tokens | None = None
    _margin: timedelta = MARGIN
    _full_life: timedelta = FULL_LIFE
    _gate: asyncio.Lock = field(default_factory=asyncio.Lock)
    _spending: asyncio.Task[Tokens] | None = None

    async def current(self, life_s: float = 0.0) -> str:
        """A token good for the next minutes, or for `life_s` where a new one lives so long; the best there is while
        it cannot be renewed.

        Raises NeedsAuthorization when only a new consent helps, RefreshFailed when the token endpoint is silent,
        ConfigError when the settings do not reach it.
        """
        async with self._gate:
            await self.drain()
            tokens = self._tokens or await self._load()
            wanted = timedelta(seconds=life_s) + self._margin
            if self._life(tokens) <= (wanted if wanted < self._full_life else self._margin):
                tokens = await self._renew_early(tokens)
            self._tokens = tokens
            return tokens.access_token

    async def renew(self, refused: str) -> str:
        """A token other than the refused one: the stored one if it is newer, else a new one."""
        async with self._gate:
            await self.drain()
            self._tokens = await self._load()
            if self._tokens.access_token == refused:
                self._tokens = await self._spend(self._tokens)
            return self._tokens.access_token

    async def keep_alive(self, within: timedelta) -> None:
        """Renew a pair whose refresh token dies within this time. Raises what `current` raises."""
        async with self._gate:
            await self.drain()
            tokens = await self._load()
            dies_at = tokens.refresh_expires_at
            if tokens.refresh_token and dies_at and dies_at - self.clock.now() < within:
                await self._spend(tokens)

    async def to_give_up(self) -> Tokens:
        """The pair, for revoking it. Raises DatabaseRestored where that would end a grant that lives on elsewhere."""
        async with self._gate:
            await self.drain()
            tokens = await self._load()
            self._require_present(tokens)
            return tokens

    async def drain(self) -> None:
        """Wait for a refresh under way: its new pair exists nowhere else until it is stored."""
        if self._spending is not None:
            await asyncio.wait([self._spending])

    async def _renew_early(self, tokens: Tokens) -> Tokens:
        """Renew, unless the access token still lives and renewing is impossible or in doubt: then use it up first."""
        is_alive = self._life(tokens) > timedelta(0)
        if is_alive and (tokens.refresh_token is None or tokens.in_doubt):
            return tokens
        newest = await self._load()  # a driver that was overtaken stores what it was still waiting for
        if newest.access_token != tokens.access_token:
            return newest
        try:
            return await self._spend(tokens)
        except (RefreshFailed, ConfigError, DatabaseRestored) as error:
            if not is_alive:
                raise
            log.warning("refresh_put_off", reason=str(error), access_expires_at=tokens.access_expires_at)
            return replace(tokens, in_doubt=True)

    async def _load(self) -> Tokens:
        tokens = await self.store.load()
        self.generations.note(tokens.generation)
        return tokens

    async def _spend(self, tokens: Tokens) -> Tokens:
        """In a task of its own, so that cancelling the caller does not lose the new pair on its way to the store."""
        self._spending = asyncio.create_task(self._refresh(tokens))
        return await asyncio.shield(self._spending)

    async def _refresh(self, tokens: Tokens) -> Tokens:
        if tokens.refresh_token is None:
            raise NeedsAuthorization("the access token has expired and there is no refresh token", hint=CONSENT)
        if tokens.is_refused:
            raise NeedsAuthorization("the credentials were refused, and wait for a new consent", hint=CONSENT)
        self._require_present(tokens)
        if not await self.store.intend(tokens.refresh_token):
            return await self._load()
        try:
            fresh = await self._ask(tokens.refresh_token)
        except TokenRefused as error:
            reason = f"the refresh token is refused ({error.code})"
            if not await self.store.refuse(tokens.refresh_token, error.code or "refused", reason):
                return await self._load()
            raise NeedsAuthorization(reason, hint=CONSENT) from error
        fresh = replace(fresh, generation=tokens.generation + 1, consent_ends_at=tokens.consent_ends_at)
        await self._save(fresh, spent=tokens.refresh_token)
        self.generations.note(fresh.generation)
        self._tokens = fresh
        self._full_life = self._life(fresh)
        self._margin = min(MARGIN, self._full_life / SHORT_LIFE_SHARE)
        log.info("token_refreshed", access_expires_at=fresh.access_expires_at)
        if (ends_at := fresh.consent_ends_at) and ends_at - self.clock.now() < CONSENT_WARNING:
            log.warning("consent_ends_soon", at=ends_at, hint=CONSENT)
        await self._require_ours(fresh)
        return fresh

    def _require_present(self, tokens: Tokens) -> None:
        """A spent refresh token is not shown again: where the grant lives on elsewhere, that would kill it."""
        if tokens.is_from_elsewhere:
            raise DatabaseRestored(
                "the credentials were stored in another database, and this one holds a copy of them: "
                "renewing them here would kill them there",
                hint="if this database has taken the other's place, say so: `syncd db restored`",
            )
        if (newest := self.generations.newest()) > tokens.generation:
            raise DatabaseRestored(
                f"the database has gone back behind {newest - tokens.generation} renewal(s) of the token, "
                "and its refresh token is spent",
                hint="restore a newer backup, or say that this is the newest there is: `syncd db restored`",
            )

    async def _require_ours(self, fresh: Tokens) -> None:
        """The pair is stored by now: whatever it opens, it is the family's newest."""
        for name, ours in self.opens.items():
            if (theirs := fresh.opens.get(name, ours)) != ours:
                reason = f"the renewed token opens {theirs[:50]!r}, not {ours!r}"
                await self.store.refuse(fresh.refresh_token, "wrong_account", reason)
                raise NeedsAuthorization(reason, hint=CONSENT)

    async def _save(self, fresh: Tokens, *, spent: str) -> None:
        while True:
            try:
                return await self.store.save(fresh, spent=spent)
            except DatabaseError as error:
                log.error("token_pair_not_stored_yet", reason=str(error))
            await self.clock.sleep(SAVE_AGAIN_S)

    async def _ask(self, refresh_token: str) -> Tokens:
        """The new pair. A reply that no pair can be read from has spent the token all the same: it is not repeated."""
        try:
            try:
                return await self.endpoint.refresh(refresh_token)
            except Transient as error:
                log.warning("refresh_unanswered", reason=str(error))
            await self.clock.sleep(REPEAT_AFTER_S)
            return await self.endpoint.refresh(refresh_token)
        except (Transient, ContractBreach) as error:
            raise RefreshFailed(
                f"the access token could not be renewed: {error}", code=error.code, hint=error.hint
            ) from error

    def _life(self, tokens: Tokens) -> timedelta:
        return tokens.access_expires_at - self.clock.now()


@dataclass(frozen=True, slots=True)
class GivenToken:
    """`model.AccessTokens` for a token that is only being tried out and cannot be renewed."""

    token: str = field(repr=False)

    async def current(self, life_s: float = 0.0) -> str:
        """The token."""
        return self.token

    async def renew(self, refused: str) -> str:
        """Raises NeedsAuthorization."""
        raise NeedsAuthorization("the access token has expired", hint=CONSENT)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """`model.AccessTokens` for HTTP Basic under the integration's own credentials (contracts/revento.md §12.3)."""

    client_id: str
    client_secret: str = field(repr=False)

    async def current(self, life_s: float = 0.0) -> str:
        """The pair, encoded."""
        return basic(self.client_id, self.client_secret)

    async def renew(self, refused: str) -> str:
        """Raises NeedsAuthorization."""
        raise NeedsAuthorization("the client credentials were refused", hint="compare them with the developer console")


CONSENT = "ask whoever consented to do so again, then `syncd installations add` with the new credentials"
