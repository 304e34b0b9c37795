"""The composition root: settings become connections, connections become an application.

The only module that sees every part; what two parts need of each other is wired here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from math import floor
from pathlib import Path
from random import SystemRandom

from pydantic import SecretStr
from sqlalchemy import MetaData

from syncd.clock import Clock, SystemClock
from syncd.config import Settings
from syncd.credentials.refresh import ClientCredentials, GivenToken, TokenManager
from syncd.credentials.vault import KeyRing, new_key, parse_keys
from syncd.errors import ConfigError, LeaseHeld, NeedsAuthorization
from syncd.http.api import HttpApi
from syncd.http.budget import TokenBudget
from syncd.http.client import Client, open_client
from syncd.http.token_endpoint import HttpTokenEndpoint
from syncd.logs import get_logger
from syncd.model import AccessTokens, Api, Budget, Installation, Limits, RequestLog, Vault
from syncd.sources import SOURCES
from syncd.sources.base import Stream
from syncd.store import embedded
from syncd.store.bi import CONTROL_VIEWS
from syncd.store.database import Database, open_database
from syncd.store.installations import (
    due_streams,
    find_installation,
    list_installations,
    promise,
    store_installation,
)
from syncd.store.leases import Claim
from syncd.store.requests import PendingRequests, lost_calls, pause_left_s, spent_ages_s, store_requests
from syncd.store.tables import metadata as control_tables
from syncd.store.tokens import StoredTokens
from syncd.store.version import NEWEST, current, require_newest
from syncd.sync.round import Order, RoundResult, Watch, run_round
from syncd.sync.run import Run
from syncd.sync.standing import consult
from syncd.wire.position import Start
from syncd.wire.tokens import Tokens

TABLES: tuple[MetaData, ...] = (control_tables, *(source.tables for source in SOURCES.values()))
log = get_logger(__name__)
VIEWS = (*CONTROL_VIEWS, *(view for source in SOURCES.values() for view in source.views))


# --- the database and its keys (blocking) -----------------------------------------------------------------------------


def home(settings: Settings) -> Path:
    """The directory of the embedded server, its password and its keys."""
    return settings.database.data_dir or embedded.default_home()


def database_url(settings: Settings, *, direct: bool = False) -> str:
    """The configured database, or the embedded one, started if it is not running. Raises ConfigError, DatabaseError."""
    configured = _secret(settings.database.url)
    if configured is None:
        return embedded.start(home(settings)).url
    return (_secret(settings.database.direct_url) if direct else None) or configured


def upgrade_database(url: str) -> str:
    """Bring a database to the newest schema and return its version."""
    from syncd.store.migrate import upgrade  # noqa: PLC0415 - alembic is slow to import, and seldom needed

    return upgrade(url, TABLES, VIEWS)


def prepare_database(settings: Settings) -> str:
    """The database's URL, once its schema is the newest. The embedded one is ours, so it is upgraded on the way.

    Raises SchemaOutdated when a database of somebody else's is not at the newest version.
    """
    direct = database_url(settings, direct=True)
    if settings.database.url is None and (current(direct) or "") < NEWEST:
        upgrade_database(direct)
    require_newest(direct)
    return database_url(settings)


def open_vault(settings: Settings) -> Vault:
    """The vault under the configured keys; beside an embedded database they are made on first use."""
    configured = _secret(settings.security.encryption_keys)
    if configured is None and settings.database.url is not None:
        raise ConfigError(
            "security.encryption_keys is not set, and credentials are stored only encrypted",
            hint='set SYNCD_SECURITY__ENCRYPTION_KEYS="k1:$(head -c 32 /dev/urandom | base64)", and keep it safe',
        )
    return KeyRing(parse_keys(configured or _own_keys(own_keys_path(settings))))


def own_keys_path(settings: Settings) -> Path:
    """Where the keys lie that are made on first use."""
    return home(settings) / "encryption_keys"


def _own_keys(path: Path) -> str:
    """Keys made on first use, readable by this account alone. The file appears whole; of two at once the first wins."""
    if not path.exists():
        with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="ascii") as fresh:  # 0600
            fresh.write(new_key())
            fresh.flush()
            os.fsync(fresh.fileno())
            with suppress(FileExistsError):
                path.hardlink_to(fresh.name)
                log.info("encryption_keys_made", path=str(path))
    return path.read_text(encoding="ascii").strip()


def _secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None


# --- the application --------------------------------------------------------------------------------------------------


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

    async def sync(self, orders: Iterable[Order], watch: Watch) -> Sequence[RoundResult | BaseException]:
        """Run rounds side by side; one that cannot run leaves its error in its place."""
        rounds = (self.run_round(order, watch) for order in orders)
        return await asyncio.gather(*rounds, return_exceptions=True)

    async def run_round(self, order: Order, watch: Watch) -> RoundResult:
        """Run one round. Raises LeaseHeld, LeaseLost, NeedsAuthorization, DatabaseError.

        Where its token was refused, the source is asked why; so it is before a suspended installation is tried.
        """
        if order.installation.state == "suspended":
            await self._consult(order.installation.name)
        result = await run_round(order, self.database, self.connect, watch)
        if result.exit_code == NeedsAuthorization.exit_code:
            await self._consult(order.installation.name)
        return result

    async def _consult(self, name: str) -> None:
        await consult(self.database, name, self._standing)

    async def _standing(self, installation: Installation) -> str | None:
        """What the source's listing says of the installation; None where there are no credentials to ask with."""
        revento = self.settings.revento
        read, secret = SOURCES[installation.source].read_standing, _secret(revento.client_secret)
        if read is None or not (revento.integration_id and revento.client_id and secret):
            return None
        records = PendingRequests()
        api = replace(
            self.api(installation, ClientCredentials(revento.client_id, secret), self.unpaced_budget(), records),
            places={"integration_id": revento.integration_id},
            scheme="Basic",
        )
        try:
            return await read(api, installation.account)
        finally:
            await store_requests(self.database, installation.name, None, records)

    def unpaced_budget(self) -> TokenBudget:
        """For calls outside a token's budgets: one at a time."""
        return TokenBudget(Limits(0, 0, 1), self.clock)

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
        )

    @asynccontextmanager
    async def connect(self, run: Run, claimed: Claim) -> AsyncIterator[Api]:
        """The installation's API for one run; a token refresh under way is waited for at the end."""
        limits = self._limits()
        lost = lost_calls(limits, after_crash=claimed.after_crash)
        name, now = run.installation.name, self.clock.now()
        budget = TokenBudget(limits, self.clock, await spent_ages_s(self.database, name, now, lost=lost))
        budget.pause(await pause_left_s(self.database, name, now))
        tokens = TokenManager(
            StoredTokens(self.database, self.vault, run.lease), self.token_endpoint(run.installation), self.clock
        )
        try:
            yield self.api(run.installation, tokens, budget, run.requests)
        finally:
            await asyncio.shield(tokens.drain())

    def api(self, installation: Installation, tokens: AccessTokens, budget: Budget, records: RequestLog) -> HttpApi:
        """The installation's API under a token of its own."""
        return HttpApi(
            api_url=installation.api_url,
            places={"event_id": installation.account},
            dialect=SOURCES[installation.source].dialect,
            client=self.client,
            tokens=tokens,
            budget=budget,
            records=records,
            clock=self.clock,
            random=SystemRandom(),
        )

    async def run_due(self, name: str) -> None:
        """Run a round of the installation's due streams; while somebody else drives it, leave it to them."""
        installation = await find_installation(self.database, name)
        if installation.state == "suspended":
            await self._consult(name)
            return
        due = {stream for stream, due_in_s in (await due_streams(self.database, name)).items() if due_in_s <= 0}
        streams = [stream for stream in SOURCES[installation.source].streams if stream.name in due]
        if streams:
            try:
                await self.run_round(self.order(installation, "schedule", streams, wait=False), self.watch)
            except LeaseHeld as error:
                log.info("left_to_another_driver", installation=name, reason=str(error))

    def token_endpoint(self, installation: Installation) -> HttpTokenEndpoint:
        """Where the installation's tokens are renewed."""
        revento = self.settings.revento
        return HttpTokenEndpoint(
            self.client, installation.auth_url, revento.client_id, _secret(revento.client_secret), self.clock
        )

    async def keep_promises(self) -> None:
        """Write down how fresh each stream of each installation shall be, as the settings say."""
        for source, intervals in self.settings.freshness:
            await promise(self.database, source, dict(intervals))

    def _limits(self) -> Limits:
        """The budgets that syncd may use: the reserve is for the customer's other tools and touches the hour only."""
        limits = self.settings.revento.limits
        usable = floor(limits.per_hour * (1 - limits.reserve))
        return Limits(max(usable, 1) if limits.per_hour else 0, limits.per_minute, limits.in_flight)


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
        open_client(proxy=_secret(settings.http.proxy)) as client,
    ):
        owner = f"{command} on {socket.gethostname()}, process {os.getpid()}"
        app = App(settings, database, vault, client, SystemClock(), owner, watch or Watch())
        await app.keep_promises()
        yield app


async def chosen(app: App, names: Sequence[str]) -> list[Installation]:
    """The installations of these names, or all of them. Raises ConfigError for a name that fits none or several."""
    if names:
        return [await find_installation(app.database, name) for name in names]
    return await list_installations(app.database)


def chosen_streams(installation: Installation, names: Sequence[str]) -> tuple[Stream, ...]:
    """The installation's streams of these names in the order of a round, or all of them. Raises ConfigError."""
    streams = SOURCES[installation.source].streams
    known = [stream.name for stream in streams]
    for name in names:
        if name not in known:
            raise ConfigError(f"{installation.name} has no stream {name!r}", hint=f"its streams: {', '.join(known)}")
    return tuple(stream for stream in streams if not names or stream.name in names)


async def add_installation(app: App, installation: Installation, tokens: Tokens, *, check: bool) -> Installation:
    """Add the installation, or replace its settings and credentials, once one call has shown that they work.

    An access token that has run out already is not checked: renewing it would spend the refresh token before it is
    stored. Raises the ApiError of the call.
    """
    records = PendingRequests()
    if check and tokens.access_expires_at > app.clock.now():
        await _check(app, installation, tokens, records)
    await store_installation(app.database, app.vault, installation, tokens)
    await app.keep_promises()
    await store_requests(app.database, installation.name, None, records)
    return await find_installation(app.database, installation.name)


async def _check(app: App, installation: Installation, tokens: Tokens, records: PendingRequests) -> None:
    """Make the first call of the first stream that the token's scopes allow."""
    source = SOURCES[installation.source]
    api = app.api(installation, GivenToken(tokens.access_token), app.unpaced_budget(), records)
    allowed = [stream for stream in source.streams if stream.scope in installation.scopes]
    if not allowed:
        raise NeedsAuthorization(
            f"the credentials name none of the scopes that {source.name} needs",
            hint=f"it needs some of: {', '.join(dict.fromkeys(stream.scope for stream in source.streams))}",
        )
    async with aclosing(allowed[0].walk(api, installation, Start(), 1)) as pages:
        await anext(pages)
