"""The listing of connections, which the integration asks for under credentials and a budget of its own.

That budget is small: one listing answers all who ask at the same time, and for a minute after.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from syncd.clock import Clock
from syncd.credentials.refresh import ClientCredentials
from syncd.errors import ApiError, ContractBreach, RateLimited, Transient
from syncd.http.budget import TokenBudget
from syncd.sources.base import Connection
from syncd.store.client_requests import client_spending
from syncd.store.database import Database
from syncd.wire.rate_limit import Limits
from syncd.wire.tokens import fingerprint

# The contract names none (contracts/revento.md G13: own, small).
CLIENT_LIMITS = Limits(per_hour=60, per_minute=10, in_flight=1)
# How old a listing may be that tells whether a suspension is over.
LASTS_S = 60.0
# Tokens that are refused together are looked up together.
GATHERED_FOR_S = 1.0
# Whoever asks holds up a round: the minute's budget is waited for, the hour's is not.
PATIENCE_S = 65.0


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found, or why it was not, by a question that was put at `asked_at` (monotonic)."""

    asked_at: float
    found: list[Connection] | ApiError


@dataclass(slots=True)
class Listings:
    """The newest listing of each API, by its address."""

    newest: dict[str, Listing] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(
        self, api_url: str, ask: Callable[[], Awaitable[list[Connection]]], clock: Clock, max_age_s: float
    ) -> list[Connection]:
        """A listing that was asked for now, or at most `max_age_s` ago. Raises the ApiError of whoever asked for it."""
        oldest = clock.monotonic() - max_age_s
        async with self._turn:
            listing = self.newest.get(api_url)
            if listing is None or listing.asked_at < oldest:
                await clock.sleep(GATHERED_FOR_S)
                listing = self.newest[api_url] = await _asked(ask, clock.monotonic())
        if isinstance(listing.found, ApiError):
            raise listing.found
        return listing.found


async def client_budget(database: Database, clock: Clock, credentials: Sequence[ClientCredentials]) -> TokenBudget:
    """The budget of the client credentials, after all that is on record. Raises RateLimited where it is spent."""
    fingerprints = [fingerprint(await each.current()) for each in credentials]
    spent, pause_s = await client_spending(database, fingerprints)
    budget = TokenBudget(CLIENT_LIMITS, clock, spent)
    budget.pause(pause_s)
    if (wait_s := budget.wait_s()) > PATIENCE_S:
        raise RateLimited(
            f"the budget of the client credentials is spent for another {wait_s:.0f} s", code="budget_spent"
        )
    return budget


async def read_under_any(walks: Sequence[AsyncIterator[Connection]]) -> list[Connection]:
    """The whole listing by the first walk whose client secret the server takes: a rotation has two.

    Raises Transient where a page takes too long, and the ApiError of a walk.
    """
    for walk in walks[:-1]:
        try:
            return await _read(walk)
        except ContractBreach as error:
            if error.code != "invalid_client":
                raise
    return await _read(walks[-1])


async def _read(walk: AsyncIterator[Connection]) -> list[Connection]:
    found: list[Connection] = []
    try:
        while True:
            async with asyncio.timeout(PATIENCE_S):
                found.append(await anext(walk))
    except StopAsyncIteration:
        return found
    except TimeoutError as error:
        raise Transient(f"no page of the listing came within {PATIENCE_S:g} s", code="timeout") from error


async def _asked(ask: Callable[[], Awaitable[list[Connection]]], asked_at: float) -> Listing:
    try:
        return Listing(asked_at, await ask())
    except ApiError as error:
        return Listing(asked_at, error)
