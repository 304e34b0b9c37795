"""A thin model of the store: the tables as dictionaries, a transaction as a copy that is put in place at its commit.

It offers the names that the engine imports from `syncd.store.*`, with the meaning that their docstrings give; `linked`
binds the engine to it. What it shares with the store is what decides: `changes.judge`, the hashes, `removals.decide`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Table

from syncd.errors import DatabaseError, LeaseLost
from syncd.model import Change, Counts, Installation, Lease, Page, RequestRecord, StreamKey
from syncd.store import changes as real
from syncd.store.changes import Known, key_hash, key_hashes
from syncd.store.leases import Claim, Holder
from syncd.store.removals import Absence, Pending, Ref, end_hold, held_since, reject_held
from syncd.store.requests import PendingRequests
from syncd.store.runs import HELD_EXIT_CODE, RESUMABLE_FOR_S, OpenRun, StreamResult
from syncd.store.walks import Walk, split
from syncd.wire.position import CursorAt, Position, Readings, Start, usable
from tests.simulation.api import stamp
from tests.simulation.process import Process

__all__ = [
    "HELD_EXIT_CODE",
    "Absence",
    "Claim",
    "Counts",
    "Holder",
    "Pending",
    "PendingRequests",
    "Ref",
    "StreamResult",
    "end_hold",
    "held_since",
    "reject_held",
]

ACT_S = 0.001
NOTHING_PENDING = Pending(frozenset(), frozenset())


class Row(NamedTuple):
    """One stored participant."""

    known: Known
    synced_at: datetime
    is_hidden: bool = False


class PageRow(NamedTuple):
    """One page of the ledger."""

    run_id: UUID
    request_id: UUID
    counts: Counts
    limit: int | None
    keys: bytes
    at: datetime


@dataclass(frozen=True)
class WalkRow:
    """One walk."""

    walk_id: UUID
    generation: int
    run_id: UUID | None
    started_at: datetime
    outcome: str = "open"
    is_witness: bool = False
    distinct: int = 0
    ended_at: datetime | None = None


@dataclass(frozen=True)
class Data:
    """What page transactions write: one stream's tables. Replaced whole at each commit."""

    rows: Mapping[str, Row] = field(default_factory=dict)
    position: Position = field(default_factory=Start)
    walks: Mapping[UUID, WalkRow] = field(default_factory=dict)
    pages: Mapping[UUID, tuple[PageRow, ...]] = field(default_factory=dict)
    results: Mapping[UUID, StreamResult] = field(default_factory=dict)
    pending: Pending = NOTHING_PENDING

    def open_walk(self) -> WalkRow | None:
        """The stream's open walk."""
        return next((walk for walk in self.walks.values() if walk.outcome == "open"), None)


@dataclass
class RunRow:
    """One run."""

    trigger: str
    state: str
    heartbeat_at: datetime


@dataclass
class LeaseRow:
    """The lease; `until_s` None: it was given back."""

    epoch: int = 0
    owner: str | None = None
    until_s: float | None = None
    sharers: int = 0  # page transactions that hold it against a takeover


@dataclass
class Model:
    """The server. `commits` counts page transactions; `lost_replies` and `refused` name those that go wrong."""

    installation: Installation
    lease_s: float = 60.0
    data: Data = field(default_factory=Data)
    lease: LeaseRow = field(default_factory=LeaseRow)
    runs: dict[UUID, RunRow] = field(default_factory=dict)
    commits: int = 0
    lost_replies: Collection[int] = ()
    refused: Collection[int] = ()
    on_commit: Any = lambda *_: None  # (before, after, transaction): the oracles
    _ids: int = 0

    def next_id(self) -> UUID:
        """Ids in the order in which they are asked for, so that a seed replays."""
        self._ids += 1
        return UUID(int=1 << 64 | self._ids)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _now() -> datetime:
    return stamp(_now_s())


@dataclass
class Database:
    """One process's connections to the server."""

    model: Model
    process: Process

    @property
    def lease_s(self) -> float:
        """How long a claim lasts."""
        return self.model.lease_s

    @asynccontextmanager
    async def begin(self, lease: Lease, run_id: UUID | None, stream: str) -> AsyncIterator[Transaction]:
        """A page transaction. Raises LeaseLost, DatabaseError."""
        model = self.model
        await self.process.act(ACT_S)
        self._fence(lease)
        tx = Transaction(self, lease, run_id, StreamKey(lease.installation, stream), model.data, _now())
        model.lease.sharers += 1
        timeout = asyncio.get_running_loop().call_later(model.lease_s / 3, tx.expire)
        try:
            yield tx
            await self.process.act(ACT_S)
            await tx.commit()
        finally:
            timeout.cancel()
            tx.expire()

    def _fence(self, lease: Lease) -> None:
        if self.model.lease.epoch != lease.epoch:
            raise LeaseLost("another driver has taken over")

    async def control(self, lease: Lease | None = None) -> None:
        """The way to a control statement."""
        await self.process.act(ACT_S)
        if lease is not None:
            self._fence(lease)


@dataclass
class Transaction:
    """A copy of the data that becomes the data at its commit."""

    database: Database
    lease: Lease
    run_id: Any
    stream: StreamKey
    data: Data
    now: datetime
    is_over: bool = False
    served: tuple[Page, ...] = ()
    before: Data = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.data

    @property
    def cursor(self) -> Any:
        """What the engine hands on to the functions below."""
        return self

    def expire(self) -> None:
        """The server ends it: after its commit, at its rollback, or because it stood idle for too long."""
        if not self.is_over:
            self.is_over = True
            self.database.model.lease.sharers -= 1

    async def act(self) -> None:
        """A statement. Raises DatabaseError once the server has ended the transaction."""
        await self.database.process.act(ACT_S)
        if self.is_over:
            raise DatabaseError("the transaction stood still for too long and was ended")

    async def commit(self) -> None:
        """Raises DatabaseError; whether the commit took place is not known then."""
        await self.act()
        model = self.database.model
        model.commits += 1
        if model.commits in model.refused:
            raise DatabaseError("the server has ended the session")
        model.on_commit(self)
        model.data = self.data
        self.expire()
        if model.commits in model.lost_replies:
            raise DatabaseError("the connection has broken off")


# --- leases ---------------------------------------------------------------------------------------------------------


async def claim(database: Database, installation: str, owner: str) -> Claim | None:
    """Take the lease if it is free or has run out, once no page transaction holds it."""
    await database.control()
    row = database.model.lease
    while row.until_s is None or row.until_s < _now_s():
        if not row.sharers:
            after_crash = row.owner is not None
            row.epoch, row.owner, row.until_s = row.epoch + 1, owner, _now_s() + database.lease_s
            lease = Lease(installation, owner, row.epoch)
            await database.control()
            return Claim(lease, after_crash)
        await database.process.act(ACT_S)
    await database.control()
    return None


async def holder(database: Database, installation: str) -> Holder | None:
    """The present driver."""
    await database.control()
    row = database.model.lease
    if row.until_s is None or row.until_s < _now_s():
        return None
    return Holder(str(row.owner), stamp(row.until_s), row.until_s - _now_s())


@asynccontextmanager
async def kept(database: Database, lease: Lease) -> AsyncIterator[None]:
    """Renew the lease while the body runs, and give it back at the end."""
    heartbeat = asyncio.create_task(_renew(database, lease))
    try:
        yield
    finally:
        heartbeat.cancel()
        await asyncio.wait([heartbeat])
        await database.control()
        if database.model.lease.epoch == lease.epoch:
            database.model.lease.owner = database.model.lease.until_s = None


async def _renew(database: Database, lease: Lease) -> None:
    while True:
        await asyncio.sleep(database.lease_s / 3)
        await database.control()
        if database.model.lease.epoch == lease.epoch:
            database.model.lease.until_s = _now_s() + database.lease_s


# --- the installation and its runs ----------------------------------------------------------------------------------


async def find_installation(database: Database, name: str) -> Installation:
    """The installation."""
    await database.control()
    return database.model.installation


async def set_state(database: Database, installation: Installation, state: Any, reason: str | None) -> None:
    """Change its state."""
    await database.control()
    database.model.installation = replace(database.model.installation, state=state)


async def open_run(
    database: Database, lease: Lease, trigger: str, grant_id: UUID, streams: Iterable[str], *, resume: bool
) -> OpenRun:
    """Take up the round that was cut off within the last hour, or begin one."""
    await database.control(lease)
    model = database.model
    newest = next(reversed(model.runs), None)
    oldest = _now() - timedelta(seconds=RESUMABLE_FOR_S)
    run_id = None
    if resume and newest is not None:
        row = model.runs[newest]
        if row.state in ("running", "interrupted") and row.trigger == trigger and row.heartbeat_at > oldest:
            run_id = newest
    for row in model.runs.values():
        row.state = "interrupted" if row.state == "running" else row.state
    if run_id is None:
        run_id = model.next_id()
        model.runs[run_id] = RunRow(trigger, "running", _now())
    model.runs[run_id].state = "running"
    done = model.data.results.get(run_id)
    await database.control()
    return OpenRun(run_id, (done,) if done and done.status in ("certified", "held") else ())


async def end_run(database: Database, lease: Lease, run_id: UUID, state: str, exit_code: int) -> None:
    """Close the run."""
    await database.control(lease)
    database.model.runs[run_id].state = state
    await database.control()


async def note_failure(database: Database, lease: Lease, run_id: UUID, streams: Iterable[str], reason: str) -> None:
    """A word for people: the model keeps none."""
    await database.control(lease)


async def is_cancel_requested(database: Database, run_id: UUID) -> bool:
    """Nobody asks."""
    await database.control()
    return False


async def stream_results(database: Database, run_id: UUID) -> list[StreamResult]:
    """What the run did."""
    await database.control()
    return [result for result in [database.model.data.results.get(run_id)] if result]


async def store_requests(database: Database, installation: str, run_id: UUID | None, records: PendingRequests) -> None:
    """The model keeps no request record."""
    await database.control()


async def write_requests(
    cursor: Transaction, installation: str, run_id: UUID | None, records: Iterable[RequestRecord]
) -> None:
    """The model keeps no request record."""


# --- walks ----------------------------------------------------------------------------------------------------------


async def open_walk(tx: Transaction, *, grant: str) -> Walk:
    """Resume the stream's open walk, or begin one."""
    position = usable(await load_position(tx), now=tx.now, grant=grant)
    row = tx.data.open_walk()
    if row is None:
        return await begin_walk(tx, position, generation=1)
    walk = Walk(row.walk_id, row.generation, len(tx.data.pages.get(row.walk_id, ())), position)
    if walk.page_number == 0:
        _put_walk(tx, replace(row, started_at=tx.now, run_id=tx.run_id))
        return walk
    if isinstance(position, CursorAt):
        return walk
    await abandon_walk(tx, walk, "its position is too old")
    return await begin_walk(tx, position, generation=walk.generation + 1)


async def begin_walk(tx: Transaction, position: Position, *, generation: int) -> Walk:
    """Begin a walk at the first page."""
    await tx.act()
    assert tx.data.open_walk() is None, "a stream has one open walk at most"
    start = position if isinstance(position, Start) else Start(limit=position.limit)
    row = WalkRow(tx.database.model.next_id(), generation, tx.run_id, tx.now)
    _put_walk(tx, row)
    await save_position(tx, start)
    return Walk(row.walk_id, generation, 0, start)


async def abandon_walk(tx: Transaction, walk: Walk, reason: str) -> None:
    """Close a walk without a certificate."""
    await tx.act()
    _put_walk(tx, replace(tx.data.walks[walk.walk_id], outcome="abandoned", ended_at=tx.now))


async def abandon_open_walk(tx: Transaction) -> None:
    """Forget where the stream stands."""
    await tx.act()
    if row := tx.data.open_walk():
        _put_walk(tx, replace(row, outcome="abandoned", ended_at=tx.now))
    await save_position(tx, Start())


async def load_position(tx: Transaction) -> Position:
    """Where the stream goes on."""
    await tx.act()
    return tx.data.position


async def save_position(tx: Transaction, position: Position) -> None:
    """Where the stream goes on once this has committed."""
    await tx.act()
    tx.data = replace(tx.data, position=position)


async def note_readings(tx: Transaction, seen: Readings) -> None:
    """Remember what the API was seen to do with a cursor."""
    model, known = tx.database.model, tx.database.model.installation
    model.installation = replace(
        known,
        cursor_survives_refresh=_newer(seen.survives_refresh, known.cursor_survives_refresh),
        cursor_survives_limit=_newer(seen.survives_limit, known.cursor_survives_limit),
    )


def _newer(seen: bool | None, known: bool | None) -> bool | None:
    return known if seen is None else seen


async def restarts_of_run(tx: Transaction) -> int:
    """How often this run has begun the stream anew."""
    await tx.act()
    return sum(walk.run_id == tx.run_id and walk.generation > 1 for walk in tx.data.walks.values())


async def last_walk_s(tx: Transaction) -> float:
    """How long the last complete walk took."""
    await tx.act()
    ended = [walk for walk in tx.data.walks.values() if walk.outcome == "certified" and walk.ended_at]
    return (ended[-1].ended_at - ended[-1].started_at).total_seconds() if ended else 0.0  # type: ignore[operator]


async def record_page(tx: Transaction, walk: Walk, page: Page, counts: Counts) -> None:
    """Enter the page into the ledger."""
    await tx.act()
    seen = len(page.changes) + len(page.rejected)
    assert counts.seen == seen, "the books must balance"
    earlier = tx.data.pages.get(walk.walk_id, ())
    assert len(earlier) == walk.page_number, "the primary key of the ledger"
    row = PageRow(tx.run_id, page.request_id, counts, page.limit, key_hashes(page.changes), tx.now)
    tx.data = replace(tx.data, pages={**tx.data.pages, walk.walk_id: (*earlier, row)})
    tx.served = (*tx.served, page)
    if tx.run_id in tx.database.model.runs:
        tx.database.model.runs[tx.run_id].heartbeat_at = tx.now


async def certify(tx: Transaction, walk: Walk, *, limit: int | None) -> None:
    """Close a complete walk with its certificate."""
    await tx.act()
    pages = tx.data.pages[walk.walk_id]
    hashes = [key for page in pages for key in split(page.keys)]
    whole = (
        walk.generation == 1
        and len({page.limit for page in pages}) <= 1
        and not any(page.counts.rejected for page in pages)
        and (len(pages) == 1 or len(hashes) == len(set(hashes)))
    )
    row = tx.data.walks[walk.walk_id]
    _put_walk(tx, replace(row, outcome="certified", ended_at=tx.now, is_witness=whole, distinct=len(set(hashes))))
    await save_position(tx, Start(limit=limit))


def _put_walk(tx: Transaction, row: WalkRow) -> None:
    tx.data = replace(tx.data, walks={**tx.data.walks, row.walk_id: row})


# --- rows -----------------------------------------------------------------------------------------------------------


async def apply_changes(
    tx: Transaction, changes: Iterable[Change], request_id: UUID, walk_id: UUID | None = None
) -> Counts:
    """Write the entities of one page, by the store's own judgement."""
    await tx.act()
    rows = dict(tx.data.rows)
    tally = dict.fromkeys((verdict.value for verdict in real.Verdict), 0)
    for _, served in real.by_table(changes):
        newest = real.newest_of(served)
        for row in sorted(served, key=lambda each: each.key):
            stored = rows.get(row.key)
            verdict = (
                real.judge(stored.known if stored else None, row) if newest[row.key] is row else real.Verdict.SUPERSEDED
            )
            tally[verdict.value] += 1
            if verdict in (real.Verdict.INSERT, real.Verdict.UPDATE):
                known = Known(row.content_hash, row.change.version, is_stub=False)
                rows[row.key] = Row(known, tx.now)
    tx.data = replace(tx.data, rows=rows)
    return Counts(**tally)


async def quarantine(tx: Transaction, page: Page) -> int:
    """Nothing of the model's is bad."""
    assert not page.left_out
    return 0


async def end_stream(tx: Transaction, result: StreamResult) -> StreamResult:
    """Write down what became of the stream."""
    await tx.act()
    pages = [page for pages in tx.data.pages.values() for page in pages if page.run_id == tx.run_id]
    books = sum((page.counts for page in pages), Counts())
    ended = replace(result, pages=len(pages), counts=books)
    tx.data = replace(tx.data, results={**tx.data.results, tx.run_id: ended})
    return ended


# --- removals -------------------------------------------------------------------------------------------------------


async def witnessed_since(tx: Transaction, witnesses: int) -> datetime | None:
    """When the last so many witnesses began."""
    await tx.act()
    began = sorted((walk.started_at for walk in tx.data.walks.values() if walk.is_witness), reverse=True)
    return began[witnesses - 1] if len(began) >= witnesses else None


async def read_absence(
    tx: Transaction,
    tables: Iterable[Table],
    account: str,
    since: datetime | None,
    walked: frozenset[bytes] = frozenset(),
) -> Absence:
    """What nothing has been seen of since then."""
    await tx.act()
    (table,) = tables
    shown = {key: row for key, row in tx.data.rows.items() if not row.is_hidden}
    if since is None:
        return Absence(len(shown), frozenset(), frozenset())
    met = {key for pages in tx.data.pages.values() for page in pages if page.at >= since for key in split(page.keys)}
    gone = {
        Ref(table.name, key) for key, row in shown.items() if row.synced_at < since and key_hash(table, key) not in met
    }
    return Absence(len(shown), frozenset(gone), frozenset())


async def load_pending(tx: Transaction) -> Pending:
    """What waits for a person."""
    await tx.act()
    return tx.data.pending


async def save_pending(tx: Transaction, pending: Pending) -> None:
    """What waits from now on."""
    tx.data = replace(tx.data, pending=pending)


async def was_empty(tx: Transaction) -> bool:
    """Whether the newest certified walk met no row at all."""
    certified = [walk for walk in tx.data.walks.values() if walk.outcome == "certified"]
    return bool(certified and max(certified, key=lambda walk: walk.started_at).distinct == 0)


async def hide(tx: Transaction, tables: Iterable[Table], refs: Iterable[Ref]) -> None:
    """Hide rows."""
    await tx.act()
    rows = dict(tx.data.rows)
    for ref in refs:
        rows[ref.key] = Row(Known(None, rows[ref.key].known.version, is_stub=False), tx.now, is_hidden=True)
    tx.data = replace(tx.data, rows=rows)
