"""Walking listings without writing anything but the request record: what a dry run and a proof of equality share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from itertools import count
from typing import TypeVar
from uuid import uuid4

from structlog.contextvars import bound_contextvars

from syncd.errors import CursorRefused
from syncd.model import Page
from syncd.sources.base import Stream
from syncd.store.database import Database
from syncd.store.installations import find_installation
from syncd.store.leases import kept
from syncd.store.requests import PendingRequests, store_requests
from syncd.store.walks import last_walk_s, load_position
from syncd.sync.installation import RestartRule
from syncd.sync.round import Connect, Order, Watch, require_drivable, take_lease
from syncd.sync.run import AccountApi, Run
from syncd.sync.stream import one_ahead
from syncd.wire.position import Start

T = TypeVar("T")


@asynccontextmanager
async def looking(
    order: Order, database: Database, connect: Connect, watch: Watch
) -> AsyncIterator[tuple[Run, AccountApi]]:
    """The installation's API under its lease and budget, for walks that are no run: its id stands in no table.

    A token that has run out is renewed and stored; a refusal changes no state. Raises what `run_round` raises before
    its first call.
    """
    with bound_contextvars(installation=order.installation.name):
        claimed = await take_lease(order, database, watch)
        async with kept(database, claimed.lease):
            installation = await find_installation(database, order.installation.name)
            require_drivable(installation)
            records = PendingRequests()
            run = Run(
                uuid4(), installation, claimed.lease, database, records, order.page_size, watch.page, order.removals
            )
            try:
                async with connect(run, claimed) as api:
                    yield run, api
            finally:
                await store_requests(database, installation.name, None, records)


async def from_the_first_page(run: Run, stream: Stream, api: AccountApi, walk: Callable[[Start], Awaitable[T]]) -> T:
    """What `walk` returns; begun anew when the server refuses its own cursor, when and as often as a round does it.

    It begins at the page size that the last walk ended with. Raises CursorRefused at last.
    """
    async with run.database.begin_read(run.lease, stream.name) as tx:
        start = Start(limit=(await load_position(tx)).limit)
        takes_s = await last_walk_s(tx)
    rule = RestartRule()
    for restarts in count(1):
        if run.installation.cursor_survives_refresh is False:
            await api.renew_unless_it_lasts(takes_s)
        try:
            return await walk(start)
        except CursorRefused as error:
            rule.require_hope(error, restarts)
            start = Start(limit=error.limit)
    raise AssertionError("count() does not end")


async def looked_up(
    stream: Stream, api: AccountApi, run: Run, start: Start, *, ahead: bool = True
) -> AsyncGenerator[Page]:
    """The stream's pages from the first one on, each with its requests on record; `ahead` fetches the next meanwhile.

    Raises the ApiError that ended the walk.
    """
    walk = stream.walk(api, run.installation, start, run.page_size)
    async with aclosing(one_ahead(walk) if ahead else walk) as pages:
        async for page in pages:
            await store_requests(run.database, run.installation.name, None, run.requests)
            yield page
