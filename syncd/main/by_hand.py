"""What people do to an installation's stored state without its API: each under its lease, so that nobody drives it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from syncd.main.app import App
from syncd.model import Installation, Lease
from syncd.sources.base import Stream
from syncd.store.leases import kept
from syncd.sync.replay import Replayed, replay
from syncd.sync.reset import GivenUp, reset
from syncd.sync.round import Watch, take_lease


async def replay_kept(
    app: App, installation: Installation, streams: Sequence[Stream], ids: Sequence[int], watch: Watch, *, wait: bool
) -> Replayed:
    """Try again what was left out of these streams. Raises LeaseHeld, LeaseLost, DatabaseError."""
    async with _driven(app, installation, watch, wait=wait) as lease:
        return await replay(app.database, lease, installation, streams, ids)


async def reset_positions(
    app: App, installation: Installation, streams: Sequence[Stream], watch: Watch, *, wait: bool
) -> list[GivenUp]:
    """Let the next walks of these streams begin at the first page. Raises LeaseHeld, LeaseLost, DatabaseError."""
    async with _driven(app, installation, watch, wait=wait) as lease:
        return await reset(app.database, lease, streams)


@asynccontextmanager
async def _driven(app: App, installation: Installation, watch: Watch, *, wait: bool) -> AsyncIterator[Lease]:
    claimed = await take_lease(app.order(installation, "by hand", wait=wait), app.database, watch)
    async with kept(app.database, claimed.lease):
        yield claimed.lease
