"""Trying an installation's credentials, and removing it: each under its lease, so that nobody else drives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import uuid4

from syncd.errors import ConfigError, DatabaseRestored, NeedsAuthorization, SyncdError, Transient
from syncd.main.app import App
from syncd.model import Installation
from syncd.sources import SOURCES
from syncd.sources.base import Stream
from syncd.store.installations import find_installation
from syncd.store.leases import Claim, kept
from syncd.store.requests import PendingRequests, store_requests
from syncd.store.steering import count_rows, pause, remove_installation
from syncd.sync.round import Watch, require_drivable, take_lease
from syncd.sync.run import Run
from syncd.wire.position import Start

# Whoever checks waits in front of a terminal; a budget that is spent may say no for an hour.
CHECK_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found; `error` None: the token opens the account. `costs`: missing scope -> the streams it costs."""

    installation: Installation
    error: SyncdError | None
    costs: dict[str, list[str]]

    @property
    def exit_code(self) -> int:
        """As a command would end for this installation alone."""
        if self.error is not None:
            return self.error.exit_code
        return NeedsAuthorization.exit_code if self.costs else 0


# A refresh token takes its whole grant along, an access token nothing but itself (contracts/revento.md §6).
Revoked = Literal["grant", "access_token"] | None


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal gave up at the source, and how many copied rows stay."""

    revoked: Revoked
    rows_kept: int


async def check_installation(app: App, installation: Installation, watch: Watch, *, wait: bool) -> Checked:
    """Make one call with the installation's token, renewed first where it has run out, within CHECK_WITHIN_S.

    An installation that is paused or waits for a consent is not called. Raises LeaseHeld, DatabaseError.
    """
    if installation.state == "suspended":
        await app.consult(installation.name)
    claimed = await take_lease(app.order(installation, "check", wait=wait), app.database, watch)
    async with kept(app.database, claimed.lease):
        installation = await find_installation(app.database, installation.name)
        try:
            require_drivable(installation)
            await _call(app, installation, claimed)
        except SyncdError as error:
            return Checked(installation, error, _costs(installation))
    return Checked(await find_installation(app.database, installation.name), None, _costs(installation))


@asynccontextmanager
async def check_in_time() -> AsyncIterator[None]:
    """Raises Transient after CHECK_WITHIN_S."""
    try:
        async with asyncio.timeout(CHECK_WITHIN_S):
            yield
    except TimeoutError as error:
        raise Transient(
            f"the check had no answer within {CHECK_WITHIN_S:g} s",
            code="timeout",
            hint="the budget may be spent: `syncd limits` shows until when",
        ) from error


async def _call(app: App, installation: Installation, claimed: Claim) -> None:
    records = PendingRequests()
    run = Run(uuid4(), installation, claimed.lease, app.database, records, 1, lambda _: None)
    stream = next((each for each in _streams(installation) if each.scope in installation.scopes), None)
    if stream is None:
        raise NeedsAuthorization("no scope that any stream needs was granted", hint="have the event connected again")
    try:
        async with (
            check_in_time(),
            app.connect(run, claimed) as api,
            aclosing(stream.walk(api, installation, Start(), 1)) as pages,
        ):
            await anext(pages)
    finally:
        await store_requests(app.database, installation.name, None, records)


def _costs(installation: Installation) -> dict[str, list[str]]:
    missing: dict[str, list[str]] = {}
    for stream in _streams(installation):
        if stream.scope not in installation.scopes:
            missing.setdefault(stream.scope, []).append(stream.name)
    return missing


def _streams(installation: Installation) -> Sequence[Stream]:
    return SOURCES[installation.source].streams


async def remove(app: App, installation: Installation, watch: Watch, *, keep_grant: bool) -> Removed:
    """Stop the installation's work, revoke its grant, and delete all but its copied rows.

    When the grant cannot be revoked the installation stays, paused. Raises ConfigError, Transient, DatabaseError, and
    DatabaseRestored where the grant lives on elsewhere.
    """
    await pause(app.database, installation.name, "it is being removed")
    revoked: Revoked = None
    claimed = await take_lease(app.order(installation, "remove"), app.database, watch)
    async with kept(app.database, claimed.lease):
        if not keep_grant:
            try:
                tokens = await (await app.tokens(installation, claimed.lease)).to_give_up()
            except DatabaseRestored as error:
                error.hint = "--keep-grant removes it here and leaves the grant to whoever has it"
                raise
            except ConfigError as error:
                error.hint = f"{error.hint}; --keep-grant removes it without its tokens, and revokes nothing"
                raise
            await app.token_endpoint(installation).revoke(tokens.refresh_token or tokens.access_token)
            revoked = "grant" if tokens.refresh_token else "access_token"
        await remove_installation(app.database, claimed.lease)
    source = SOURCES[installation.source]
    rows = await count_rows(app.database, source.ids(installation.account), source.tables)
    return Removed(revoked, rows)
