"""A model of the authorization server: one grant whose pairs rotate, under either reading of G7 and G8.

Written from contracts/revento.md §5 and §17. A pair that was sent and not stored is lost
to the client (docs/faults.md 45).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from syncd.errors import TokenRefused, Transient
from syncd.wire.tokens import Tokens
from tests.simulation.loop import stamp
from tests.simulation.process import Process

ACCESS_LIFE_S = 3600.0
REFRESH_LIFE = timedelta(days=90)
GRACE_S = 60.0
LATENCY_S = 0.5


@dataclass
class Authorization:
    """`is_excused`: something struck the client while it spent a refresh token, which no client can make up for."""

    reuse_has_grace: bool  # G7
    refresh_revokes: bool  # G8
    now_s: Callable[[], float]
    is_excused: Callable[[], bool] = lambda: False
    violated: Callable[[str, str], None] = lambda *_: None
    is_losing_reply: bool = False
    is_dead: bool = False
    reused: int = 0
    refreshes: int = 0
    in_flight: int = 0
    _pairs: int = 0
    _newest: Tokens | None = None
    _spent: tuple[str | None, float] = (None, 0.0)
    _expires_s: dict[str, float] = field(default_factory=dict)
    _revoked: set[str] = field(default_factory=set)

    def consent(self) -> Tokens:
        """The organizer connects the event: a new grant and its first pair."""
        self._revoked.update(self._expires_s)
        self.is_dead = False
        return self._issue()

    def expire(self) -> None:
        """Every access token has run out."""
        self._expires_s = dict.fromkeys(self._expires_s, 0.0)

    def refusal_of(self, access_token: str) -> str | None:
        """Why a call under this token is refused; None: it is served."""
        if self.is_dead or access_token in self._revoked:
            return "token_revoked"
        return "token_expired" if self._expires_s[access_token] <= self.now_s() else None

    def arrive(self) -> None:
        """A refresh is in flight until its reply has had its time, whoever is still there to read it."""
        self.in_flight += 1
        if self.in_flight > 1 and not self.is_excused():
            self.violated("O6", "two refreshes are in flight at once")
        asyncio.get_running_loop().call_later(LATENCY_S / 2, self._leave)

    def _leave(self) -> None:
        self.in_flight -= 1

    def refresh(self, refresh_token: str) -> Tokens | None:
        """Rotate the pair; None is `invalid_grant`."""
        newest, now_s = self._newest, self.now_s()
        assert newest is not None
        if self.is_dead:
            return None
        if refresh_token == newest.refresh_token:
            self.refreshes += 1
            if self.refresh_revokes:
                self._revoked.update(self._expires_s)
            self._spent = (refresh_token, now_s)
            return self._issue()
        self.reused += 1
        if not self.is_excused():
            self.violated("O6", "a refresh token was sent again, and nothing had struck while it was being spent")
        if self.reuse_has_grace and self._spent[0] == refresh_token and now_s - self._spent[1] < GRACE_S:
            return newest
        self.is_dead = True
        return None

    def _issue(self) -> Tokens:
        self._pairs += 1
        access, now_s = f"access {self._pairs}", self.now_s()
        self._expires_s[access] = now_s + ACCESS_LIFE_S
        now = stamp(now_s)
        expires = now + timedelta(seconds=ACCESS_LIFE_S)
        self._newest = Tokens(access, f"refresh {self._pairs}", expires, now + REFRESH_LIFE, ())
        return self._newest


@dataclass
class ModelTokenEndpoint:
    """`model.TokenEndpoint` of one process."""

    authorization: Authorization
    process: Process

    async def refresh(self, refresh_token: str) -> Tokens:
        """A new pair. Raises TokenRefused, Transient."""
        server = self.authorization
        await self.process.act(LATENCY_S / 2)
        server.arrive()
        tokens = server.refresh(refresh_token)
        await self.process.act(LATENCY_S / 2)
        if server.is_losing_reply:
            server.is_losing_reply = False
            raise Transient("no whole reply came", code="timeout")
        if tokens is None:
            raise TokenRefused("the refresh token is refused", status=400, code="invalid_grant")
        return tokens


@dataclass
class Remembered:
    """`refresh.Generations` in memory: what a machine remembers of one grant while its database comes and goes."""

    generation: int = 0

    def newest(self) -> int:
        """The highest so far."""
        return self.generation

    def note(self, generation: int) -> None:
        """It only grows."""
        self.generation = max(self.generation, generation)
