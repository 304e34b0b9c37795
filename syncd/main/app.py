"""Everything that a command works with, connected."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from math import floor
from random import SystemRandom

from syncd.clock import Clock, SystemClock
from syncd.config import Settings
from syncd.credentials.generations import GenerationFile
from syncd.credentials.refresh import ClientCredentials, TokenManager
from syncd.errors import LeaseHeld, NeedsAuthorization, Paused, RunCancelled, SyncdError
from syncd.http.api import HttpApi
from syncd.http.budget import TokenBudget
from syncd.http.client import Client, open_client
from syncd.http.outage import Outage
from syncd.http.token_endpoint import HttpTokenEndpoint
from syncd.logs import get_logger
from syncd.main.consent import client_identity
from syncd.main.database import GENERATIONS, home, open_vault, secret
from syncd.main.listing import LASTS_S, Listings, client_budget, read_under_any
from syncd.model import AccessTokens, Budget, Installation, Lease, RequestLog, Vault
from syncd.sources import SOURCES
from syncd.sources.base import Connection, Source, Stream
from syncd.store.database import Database, open_database
from syncd.store.installations import (
    KEPT_ALIVE,
    due_streams,
    find_installation,
    note_asked,
    promise,
)
from syncd.store.leases import Claim, kept
from syncd.store.requests import PendingRequests, keep_up, pause_left_s, spent_ages_s, store_requests
from syncd.store.restored import where_we_are
from syncd.store.tokens import StoredTokens, put_off
from syncd.sync.idling import idling
from syncd.sync.preview import preview_round
from syncd.sync.removals import Rules
from syncd.sync.round import Order, RoundResult, Watch, run_round, take_lease
from syncd.sync.run import AccountApi, GivingWay, Run
from syncd.sync.standing import UNLISTED, consult, standing_of
from syncd.wire.rate_limit import Limits

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class App:
    """Everything that a command works with."""

    settings: Settings
    database: Database
    vault: Vault
    client: Client
    clock: Clock
    owner: str  # what a lease says of us
    watch: Watch = field(default_factory=Watch)  # who is told of scheduled rounds
    outages: dict[str, Outage] = field(default_factory=dict)  # by the API's address
    listings: Listings = field(default_factory=Listings)

    async def sync(self, orders: Iterable[Order], watch: Watch) -> Sequence[RoundResult | BaseException]:
        """Run rounds side by side; one that cannot run leaves its error in its place."""
        rounds = (self.run_round(order, watch) for order in orders)
        return await asyncio.gather(*rounds, return_exceptions=True)

    async def preview(self, orders: Iterable[Order], watch: Watch) -> Sequence[RoundResult | BaseException]:
        """What `sync` would come to, with nothing written; likewise with errors in their places."""
        rounds = (preview_round(order, self.database, self.connect, watch) for order in orders)
        return await asyncio.gather(*rounds, return_exceptions=True)

    async def run_round(self, order: Order, watch: Watch) -> RoundResult:
        """Run one round. Raises LeaseHeld, LeaseLost, NeedsAuthorization, DatabaseError.

        Where its token was refused, the source is asked why; so it is before a suspended installation is tried.
        """
        if order.installation.state == "suspended":
            await self.consult(order.installation.name)
        result = await run_round(order, self.database, self.connect, watch)
        if result.exit_code == NeedsAuthorization.exit_code:
            # what was listed before the refusal does not explain it
            await self.consult(order.installation.name, max_age_s=0.0)
        return result

    async def consult(self, name: str, max_age_s: float = LASTS_S) -> bool | None:
        """Ask the source how an installation stands whose token is refused, and say whether that was noted; None: there
        are no credentials to ask with."""
        return await consult(self.database, name, partial(self._standing, max_age_s=max_age_s))

    async def _standing(self, installation: Installation, max_age_s: float) -> str | None:
        found = await self.connections(installation.source, installation.api_url, installation.name, max_age_s)
        account, *_ = SOURCES[installation.source].ids(installation.account).values()
        return None if found is None else standing_of(account, found) or UNLISTED

    async def connections(
        self, source: str, api_url: str, asker: str | None, max_age_s: float = 0.0
    ) -> list[Connection] | None:
        """The source's listing of connections; None where it has none, or there are no credentials to ask with.

        `asker`: the installation that its calls are written down for. Raises ApiError, DatabaseError.
        """
        walk, identity = SOURCES[source].connections, client_identity(self.settings)
        integration_id = self.settings.revento.integration_id
        if walk is None or not (integration_id and identity):
            return None
        credentials = [ClientCredentials(identity.client_id, each) for each in identity.secrets]

        async def ask() -> list[Connection]:
            budget, records = await client_budget(self.database, self.clock, credentials), PendingRequests()
            places = {"integration_id": integration_id}
            ask_as = partial(
                self._api, SOURCES[source], api_url, places=places, budget=budget, records=records, scheme="Basic"
            )
            apis = [ask_as(tokens=tokens) for tokens in credentials]
            try:
                return await read_under_any([walk(api) for api in apis])
            finally:
                if asker is not None:
                    await store_requests(self.database, asker, None, records)

        return await self.listings.get(api_url, ask, self.clock, max_age_s)

    def order(
        self,
        installation: Installation,
        trigger: str,
        streams: Sequence[Stream] | None = None,
        *,
        wait: bool = True,
        fresh: bool = False,
    ) -> Order:
        """A round of all or some of an installation's streams."""
        return Order(
            installation=installation,
            streams=tuple(SOURCES[installation.source].streams if streams is None else streams),
            trigger=trigger,
            owner=self.owner,
            page_size=self.settings.revento.page_size,
            wait=wait,
            fresh=fresh,
            removals=Rules(**self.settings.removals.model_dump()),
        )

    @asynccontextmanager
    async def connect(self, run: Run, claimed: Claim) -> AsyncIterator[AccountApi]:
        """The installation's API for one run; a token refresh under way is waited for at the end."""
        budget = await self.budget(run.installation, run)
        tokens = await self.tokens(run.installation, run.lease)
        try:
            yield self.api(run.installation, tokens, budget, run.requests)
        finally:
            await asyncio.shield(tokens.drain())

    async def budget(self, installation: Installation, run: Run | None = None) -> TokenBudget:
        """The installation's budget, after all that is on record of that name; `run`: whose waits are told, and whose
        calls go on record before too many could be lost."""
        limits, name = self._limits(SOURCES[installation.source]), installation.name
        spent = await spent_ages_s(self.database, name, in_flight=limits.in_flight)
        if run is None:
            budget = TokenBudget(limits, self.clock, spent)
        else:
            keeping_up = partial(keep_up, self.database, name, run.run_id, run.requests)
            budget = TokenBudget(limits, self.clock, spent, partial(idling, run), keeping_up)
        budget.pause(await pause_left_s(self.database, name))
        return budget

    async def tokens(self, installation: Installation, lease: Lease) -> TokenManager:
        """The installation's token pair, for the driver that holds the lease."""
        return TokenManager(
            StoredTokens(self.database, self.vault, lease, await where_we_are(self.database)),
            self.token_endpoint(installation),
            self.clock,
            GenerationFile(home(self.settings) / GENERATIONS, installation.grant_id),
            SOURCES[installation.source].ids(installation.account),
        )

    def api(self, installation: Installation, tokens: AccessTokens, budget: Budget, records: RequestLog) -> HttpApi:
        """The installation's API under a token of its own."""
        source = SOURCES[installation.source]
        places = source.ids(installation.account)
        return self._api(source, installation.api_url, places=places, tokens=tokens, budget=budget, records=records)

    def _api(
        self,
        source: Source,
        api_url: str,
        *,
        places: Mapping[str, str],
        tokens: AccessTokens,
        budget: Budget,
        records: RequestLog,
        scheme: str = "Bearer",
    ) -> HttpApi:
        return HttpApi(
            api_url=api_url,
            places=places,
            dialect=source.dialect,
            client=self.client,
            tokens=tokens,
            budget=budget,
            records=records,
            clock=self.clock,
            random=SystemRandom(),
            outage=self.outages.setdefault(api_url, Outage(self.clock)),
            scheme=scheme,
        )

    async def run_due(self, name: str, giving_way: GivingWay = nullcontext) -> None:
        """Run a round of the installation's due streams; while somebody else drives it, leave it to them."""
        installation = await find_installation(self.database, name)
        if installation.state in ("suspended", "needs_consent"):
            noted = await self.consult(name)
            if noted is None and installation.state == "suspended":
                log.warning("nobody_to_ask", installation=name, reason="no credentials of the integration are set")
            if not noted:
                await note_asked(self.database, installation)  # or it were due again at once
            return
        if installation.state == "paused":
            await self._keep_alive(installation)
            return
        due = {stream for stream, due_in_s in (await due_streams(self.database, name)).items() if due_in_s <= 0}
        streams = [stream for stream in SOURCES[installation.source].streams if stream.name in due]
        if streams:
            watch = replace(self.watch, giving_way=giving_way)
            try:
                await self.run_round(self.order(installation, "schedule", streams, wait=False), watch)
            except (LeaseHeld, Paused, RunCancelled) as error:
                log.info("round_left", installation=name, reason=str(error))

    async def _keep_alive(self, installation: Installation) -> None:
        """Renew the tokens of an installation that nobody syncs, before they die of idleness."""
        try:
            claimed = await take_lease(self.order(installation, "keep-alive", wait=False), self.database, self.watch)
            async with kept(self.database, claimed.lease):
                tokens = await self.tokens(installation, claimed.lease)
                try:
                    await tokens.keep_alive(KEPT_ALIVE)
                finally:
                    await asyncio.shield(tokens.drain())
        except SyncdError as error:
            log.error("not_kept_alive", installation=installation.name, reason=str(error), hint=error.hint)
            await put_off(self.database, installation.name, str(error))

    def token_endpoint(self, installation: Installation) -> HttpTokenEndpoint:
        """Where the installation's tokens are renewed."""
        return HttpTokenEndpoint(self.client, installation.auth_url, client_identity(self.settings), self.clock)

    async def keep_promises(self) -> None:
        """Write down how fresh each stream of each installation shall be, as the settings say."""
        for source, intervals in self.settings.freshness:
            await promise(self.database, source.replace("_", "-"), dict(intervals))

    def _limits(self, source: Source) -> Limits:
        """The budgets that syncd may use: the reserve is for the customer's other tools and touches the hour only."""
        revento = self.settings.revento
        limits = revento.user_limits if source.consenter == "participant" else revento.limits
        usable = max(floor(limits.per_hour * (1 - limits.reserve)), 1) if limits.per_hour else 0
        return Limits(usable, limits.per_minute, limits.in_flight, reserved=limits.per_hour - usable)


@asynccontextmanager
async def open_app(settings: Settings, url: str, command: str, watch: Watch | None = None) -> AsyncIterator[App]:
    """Connect everything that `command` needs, and disconnect it on leaving. Raises ConfigError, DatabaseError."""
    vault = open_vault(settings)
    async with (
        open_database(
            url,
            pool_size=settings.database.pool_size,
            lease_s=settings.daemon.lease_s,
            behind_pooler=settings.database.pooler == "transaction",
        ) as database,
        open_client(proxy=secret(settings.http.proxy)) as client,
    ):
        owner = f"{command} on {socket.gethostname()}, process {os.getpid()}"
        app = App(settings, database, vault, client, SystemClock(), owner, watch or Watch())
        await app.keep_promises()
        yield app
