"""A dry run: what a round that begins at the first pages would do, by the same decisions, with nothing written."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

from structlog.contextvars import bound_contextvars

from syncd.errors import SyncdError
from syncd.model import Counts, Page
from syncd.sources.base import Stream
from syncd.store.changes import Known, foresee_changes, key_hashes
from syncd.store.database import Database, Transaction
from syncd.store.quarantine import foresee_quarantine
from syncd.store.runs import StreamResult
from syncd.store.walks import split
from syncd.sync.installation import try_stream
from syncd.sync.look import from_the_first_page, looked_up, looking
from syncd.sync.outcome import exit_code, state
from syncd.sync.removals import Walked, foresee_removal
from syncd.sync.round import Connect, Order, RoundResult, Watch
from syncd.sync.run import AccountApi, Progress, Run
from syncd.sync.stream import none_readable
from syncd.wire.position import Start


@dataclass(slots=True)
class Foreseen:
    """What a round would have stored of a stream so far, restarts included."""

    rows: dict[tuple[str, str], Known] = field(default_factory=dict)
    quarantined: set[str] = field(default_factory=set)
    pages: int = 0
    counts: Counts = field(default_factory=Counts)
    request_id: UUID | None = None


@dataclass(slots=True)
class Ledger:
    """What one walk has met, as the ledger of walks would hold it."""

    pages: int = 0
    rows: int = 0
    rejected: int = 0
    keys: set[bytes] = field(default_factory=set)
    limits: set[int] = field(default_factory=set)

    def enter(self, page: Page) -> None:
        """Add one more page."""
        self.pages += 1
        self.rows += len(page.changes)
        self.rejected += len(page.rejected)
        self.keys.update(split(key_hashes(page.changes)))
        self.limits.update({page.limit} - {None})  # type: ignore[arg-type]

    @property
    def is_whole(self) -> bool:
        """Whether it can have overlooked nothing, by the rules of `walks.certify`."""
        no_shift = self.pages == 1 or self.rows == len(self.keys)
        return len(self.limits) <= 1 and not self.rejected and no_shift


async def preview_round(order: Order, database: Database, connect: Connect, watch: Watch) -> RoundResult:
    """What the round would come to if it began now, at the first pages: its streams' statuses and exit code.

    Nothing is written but the request record, and a renewed token: no run, no walk, no position, no state, no row.
    Raises what `run_round` does.
    """
    results: list[StreamResult] = []
    refusal: SyncdError | None = None
    async with looking(order, database, connect, watch) as (run, api):
        for stream in order.streams:
            with bound_contextvars(stream=stream.name):
                result, refusal = await _preview_stream(stream, api, run, refusal)
                results.append(result)
    code = exit_code(results)
    return RoundResult(order.installation.name, None, code, state(code), results)


async def _preview_stream(
    stream: Stream, api: AccountApi, run: Run, refusal: SyncdError | None
) -> tuple[StreamResult, SyncdError | None]:
    foreseen, made_before, walks = Foreseen(), run.requests.made, 0

    async def walk(start: Start) -> StreamResult:
        nonlocal walks
        walks += 1
        return await _walk(stream, api, run, start, foreseen, is_first=walks == 1)

    work = partial(from_the_first_page, run, stream, api, walk)
    result, refusal = await try_stream(stream, run.installation, refusal, work)
    books = replace(
        result,
        pages=foreseen.pages,
        requests=run.requests.made - made_before,
        counts=foreseen.counts,
        request_id=result.request_id or foreseen.request_id,
    )
    return books, refusal


async def _walk(
    stream: Stream, api: AccountApi, run: Run, start: Start, foreseen: Foreseen, *, is_first: bool
) -> StreamResult:
    ledger = Ledger()
    async with run.database.begin_read(run.lease, stream.name) as tx:
        began_at = tx.now
    async with aclosing(looked_up(stream, api, run, start)) as pages:
        async for page in pages:
            ledger.enter(page)
            async with run.database.begin_read(run.lease, stream.name) as tx:
                counts = await _foresee_page(tx, page, foreseen)
                removal = None
                if page.resume_at is None and ledger.rejected and not ledger.rows:
                    return none_readable(stream)
                if page.resume_at is None:
                    walked = Walked(began_at, frozenset(ledger.keys), is_witness=is_first and ledger.is_whole)
                    removal = await foresee_removal(tx, stream, run.installation, run.removals, walked)
            removed = removal.removed if removal else 0
            run.note(Progress(run.installation.name, stream.name, foreseen.pages, len(page.changes), counts, removed))
            if removal:
                return removal
    return StreamResult(stream.name, "incomplete", "the listing ended before its last page")


async def _foresee_page(tx: Transaction, page: Page, foreseen: Foreseen) -> Counts:
    counts = await foresee_changes(tx, page.changes, foreseen.rows)
    quarantined = await foresee_quarantine(tx, (*page.rejected, *page.bad_values), foreseen.quarantined)
    counts += Counts(rejected=len(page.rejected), quarantined_values=quarantined)
    foreseen.pages += 1
    foreseen.counts += counts
    foreseen.request_id = page.request_id
    return counts
