"""Copying one stream: the straight way that everything else serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TypeVar

from syncd.model import Counts, Page
from syncd.sources.base import Stream
from syncd.store.changes import apply_changes
from syncd.store.database import Transaction
from syncd.store.quarantine import quarantine
from syncd.store.requests import write_requests
from syncd.store.runs import StreamResult, end_stream
from syncd.store.walks import (
    Walk,
    abandon_open_walk,
    certify,
    last_walk_s,
    may_grow,
    note_readings,
    open_walk,
    record_page,
    save_position,
)
from syncd.sync.removals import remove_absent
from syncd.sync.run import AccountApi, Progress, Run
from syncd.wire.position import stamped

NONE_READABLE = "of all the rows that the listing served none could be read"
LOOK_AT_THEM = "`syncd quarantine list` shows them; what is stored stays as it is"

T = TypeVar("T")


async def sync_stream(stream: Stream, api: AccountApi, run: Run) -> StreamResult:
    """Copy one stream and certify it. After any crash the saved position resumes without losing or doubling a row.

    The result comes without the books, which stand in the ledger. Raises the ApiError that ended the walk, LeaseLost
    when another driver has taken over, DatabaseError.
    """
    async with run.database.begin(run.lease, run.run_id, stream.name) as tx:
        walk = await open_walk(tx, grant=str(run.installation.grant_id))
        dies_with_token = walk.page_number == 0 and run.installation.cursor_survives_refresh is False
        takes_s = await last_walk_s(tx) if dies_with_token else 0.0
    if dies_with_token:
        await api.renew_unless_it_lasts(takes_s)
    result = StreamResult(stream.name, "incomplete", "the listing ended before its last page")
    async with aclosing(one_ahead(stream.walk(api, run.installation, walk.position, run.page_size))) as pages:
        async for page in pages:
            requests = run.requests.pending()
            async with run.database.begin(run.lease, run.run_id, stream.name) as tx:  # one page, one transaction
                counts = await _apply_page(tx, walk, page)
                await record_page(tx, walk, page, counts)
                await note_readings(tx, page.readings)
                await write_requests(tx.cursor, run.installation.name, run.run_id, requests)
                if page.resume_at is None:
                    result = await _close(tx, walk, page, stream, run)
                else:
                    await save_position(tx, stamped(page.resume_at, tx.now))
            walk = walk.turned(page.resume_at or walk.position)
            run.requests.settle(requests)
            where = (run.installation.name, stream.name, walk.page_number)
            run.note(Progress(*where, len(page.changes), counts, result.removed))
    return result


async def _apply_page(tx: Transaction, walk: Walk, page: Page) -> Counts:
    shared = await apply_changes(tx, page.shared, page.request_id)
    counts = await apply_changes(tx, page.changes, page.request_id, walk.walk_id)
    is_news = any(one.inserted or one.updated for one in (shared, counts))
    newly_kept = await quarantine(tx, page, is_news=is_news)
    return counts + Counts(rejected=len(page.rejected), quarantined_values=newly_kept)


async def _close(tx: Transaction, walk: Walk, page: Page, stream: Stream, run: Run) -> StreamResult:
    """Behind the last page there is only the certificate, and the removals that it allows."""
    if await certify(tx, walk, limit=await _next_limit(tx, page, run.page_size)):
        result = await remove_absent(tx, stream, run.installation, run.removals)
    else:
        await abandon_open_walk(tx, NONE_READABLE, keeps_limit=True)
        result = none_readable(stream)
    await end_stream(tx, result)  # or a crash here would walk it all again
    return result


async def _next_limit(tx: Transaction, page: Page, page_size: int) -> int | None:
    """The page size that the next walk begins with, where the API has lately refused the configured one."""
    if page.limit is None or page.limit >= page_size:
        return None
    return None if await may_grow(tx, page.request_id) else page.limit


def none_readable(stream: Stream) -> StreamResult:
    """What becomes of a stream whose listing served rows and not one that can be stored."""
    return StreamResult(stream.name, "incomplete", NONE_READABLE, exit_code=3, hint=LOOK_AT_THEM)


async def one_ahead(items: AsyncGenerator[T]) -> AsyncGenerator[T]:
    """The same items, the next one being fetched while the caller works on the last."""
    async with aclosing(items):
        upcoming = asyncio.ensure_future(anext(items, None))
        try:
            while (item := await upcoming) is not None:
                upcoming = asyncio.ensure_future(anext(items, None))
                yield item
        finally:
            upcoming.cancel()
            # its own failure is no news any more: something else has ended the walk
            await asyncio.gather(upcoming, return_exceptions=True)
