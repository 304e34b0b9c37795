"""A round that waits for its budget: nothing is lost meanwhile, everybody can see it, and others work in its place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncd.errors import DatabaseError
from syncd.logs import get_logger
from syncd.store.leases import tell_wait
from syncd.store.requests import store_requests
from syncd.sync.run import Run
from syncd.wire.rate_limit import Wait

log = get_logger(__name__)


@asynccontextmanager
async def idling(run: Run, wait: Wait) -> AsyncIterator[None]:
    """Around a wait. What was asked is stored, so that the next driver knows what is spent should this one die."""
    async with run.giving_way():
        try:
            await store_requests(run.database, run.installation.name, run.run_id, run.requests)
            await tell_wait(run.database, run.lease, wait)
        except DatabaseError as error:  # the next page meets it too, and that one counts
            log.warning("wait_not_told", reason=str(error))
        yield
