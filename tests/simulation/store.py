"""A thin model of the store: the tables as dictionaries, a transaction as a copy that is put in place at its commit.

It offers the names that the engine imports from `syncd.store.*`, with the meaning that their docstrings give; `linked`
binds the engine to it. What it shares with the store is what decides: `changes.judge`, the hashes, `removals.decide`.
"""

from __future__ import annotations

import asyncio
from collections import deque
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
from syncd.wire.position import NOTHING_SHOWN, CursorAt, Position, Readings, Start, usable
from syncd.wire.tokens import Tokens
from tests.simulation.loop import stamp
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
MOST_LOST = 8
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
    older: Mapping[str, tuple[bytes, UUID]] = field(default_factory=dict)  # content and walk, by key

    def open_walk(self) -> WalkRow | None:
        """The stream's open walk."""
        return next((walk for walk in self.walks.values() if walk.outcome == "open"), None)


@dataclass(frozen=True)
class RunRow:
    """One run."""

    trigger: str
    state: str
    grant_id: UUID
    heartbeat_at: datetime


@dataclass(frozen=True)
class LeaseRow:
    """The lease; `until_s` None: it was given back."""

    epoch: int = 0
    owner: str | None = None
    until_s: float | None = None

    def is_of(self, lease: Lease) -> bool:
        """Whether this is the newest claim."""
        return (self.epoch, self.owner) == (lease.epoch, lease.owner)


@dataclass(frozen=True)
class State:
    """All that is durable. Replaced whole at each commit."""

    installation: Installation
    tokens: Tokens
    data: Data = field(default_factory=Data)
    lease: LeaseRow = field(default_factory=LeaseRow)
    runs: Mapping[UUID, RunRow] = field(default_factory=dict)


@dataclass
class Model:
    """The server. `commits` counts page transactions; `lost_replies` and `refused` name those that go wrong."""

    state: State
    lease_s: float = 12.0
    commits: int = 0
    lost_replies: Collection[int] = ()
    refused: Collection[int] = ()
    on_commit: Any = lambda *_: None  # (before, after, transaction): the oracles
    sharers: set[Transaction] = field(default_factory=set)  # they hold the lease against a takeover
    _earlier: deque[State] = field(default_factory=lambda: deque(maxlen=MOST_LOST))
    _ids: int = 0

    @property
    def installation(self) -> Installation:
        """The installation as it stands."""
        return self.state.installation

    @property
    def data(self) -> Data:
        """The stream's tables."""
        return self.state.data

    @property
    def lease(self) -> LeaseRow:
        """The lease."""
        return self.state.lease

    def write(self, **changes: Any) -> None:
        """A commit."""
        self._earlier.append(self.state)
        self.state = replace(self.state, **changes)

    def fail_over(self, lost: int) -> None:
        """A standby takes over that has not got the last `lost` commits; every transaction ends."""
        for _ in range(min(lost, len(self._earlier))):
            self.state = self._earlier.pop()
        for tx in list(self.sharers):
            tx.expire()

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
        model.sharers.add(tx)
        timeout = asyncio.get_running_loop().call_later(model.lease_s / 3, tx.expire)
        try:
            yield tx
            await self.process.act(ACT_S)
            await tx.commit()
        finally:
            timeout.cancel()
            tx.expire()

    def _fence(self, lease: Lease) -> None:
        if not self.model.lease.is_of(lease):
            raise LeaseLost("another driver has taken over")

    async def control(self, lease: Lease | None = None) -> None:
        """The way to a control statement."""
        await self.process.act(ACT_S)
        if lease is not None:
            self._fence(lease)


@dataclass(eq=False)
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
    shown: Readings = NOTHING_SHOWN
    before: Data = field(init=False)

    def __post_init__(self) -> None:
        self.before = self.data

    @property
    def cursor(self) -> Any:
        """What the engine hands on to the functions below."""
        return self

    def expire(self) -> None:
        """The server ends it: after its commit, at its rollback, or because it stood idle for too long."""
        self.is_over = True
        self.database.model.sharers.discard(self)

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
        model.write(data=self.data, installation=self._with_readings(), runs=self._with_heartbeat())
        self.expire()
        if model.commits in model.lost_replies:
            raise DatabaseError("the connection has broken off")

    def _with_readings(self) -> Installation:
        known = self.database.model.installation
        return replace(
            known,
            cursor_survives_refresh=_newer(self.shown.survives_refresh, known.cursor_survives_refresh),
            cursor_survives_limit=_newer(self.shown.survives_limit, known.cursor_survives_limit),
        )

    def _with_heartbeat(self) -> Mapping[UUID, RunRow]:
        runs = self.database.model.state.runs
        if not self.served or self.run_id not in runs:
            return runs
        return {**runs, self.run_id: replace(runs[self.run_id], heartbeat_at=self.now)}


# --- leases ---------------------------------------------------------------------------------------------------------


async def claim(database: Database, installation: str, owner: str) -> Claim | None:
    """Take the lease if it is free or has run out, once no page transaction holds it."""
    await database.control()
    model = database.model
    while model.lease.until_s is None or model.lease.until_s < _now_s():
        if not model.sharers:
            after_crash = model.lease.owner is not None
            lease = Lease(installation, owner, model.lease.epoch + 1)
            model.write(lease=LeaseRow(lease.epoch, owner, _now_s() + database.lease_s))
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
        if database.model.lease.is_of(lease):
            database.model.write(lease=LeaseRow(lease.epoch))


async def _renew(database: Database, lease: Lease) -> None:
    while True:
        await asyncio.sleep(database.lease_s / 3)
        await database.control()
        if database.model.lease.is_of(lease):
            database.model.write(lease=LeaseRow(lease.epoch, lease.owner, _now_s() + database.lease_s))


# --- tokens ---------------------------------------------------------------------------------------------------------


@dataclass
class StoredTokens:
    """`model.TokenStore` for the driver that holds `lease`."""

    database: Database
    lease: Lease

    async def load(self) -> Tokens:
        """The newest pair."""
        await self.database.control()
        state = self.database.model.state
        return replace(state.tokens, is_refused=state.installation.state == "needs_consent")

    async def intend(self, refresh_token: str) -> bool:
        """Note that this refresh token is about to be spent, if it is the one there is."""
        await self.database.control(self.lease)
        if is_held := self._holds(refresh_token):
            await self._write(replace(self.database.model.state.tokens, in_doubt=True))
        return is_held

    async def save(self, tokens: Tokens, *, spent: str) -> None:
        """Replace the pair whose refresh token was spent."""
        await self.database.control()
        if self._holds(spent):
            await self._write(tokens)
        elif self.database.model.state.tokens.access_token != tokens.access_token:
            raise LeaseLost("the credentials were replaced meanwhile")

    async def refuse(self, refresh_token: str | None, code: str, reason: str) -> bool:
        """Park the installation, if this is the pair there is."""
        await self.database.control(self.lease)
        if is_held := self._holds(refresh_token):
            model = self.database.model
            model.write(installation=replace(model.installation, state="needs_consent"))
            await self._write(replace(model.state.tokens, in_doubt=False))
        return is_held

    def _holds(self, refresh_token: str | None) -> bool:
        return self.database.model.state.tokens.refresh_token == refresh_token

    async def _write(self, tokens: Tokens) -> None:
        self.database.model.write(tokens=tokens)
        await self.database.control()


# --- the installation and its runs ----------------------------------------------------------------------------------


async def find_installation(database: Database, name: str) -> Installation:
    """The installation."""
    await database.control()
    return database.model.installation


async def stored_installation(database: Database, name: str) -> Installation | None:
    """The same."""
    return await find_installation(database, name)


async def set_state(database: Database, installation: Installation, state: Any, reason: str | None) -> bool:
    """Change its state, if it is as it was read."""
    await database.control()
    known = database.model.installation
    if (known.grant_id, known.state) != (installation.grant_id, installation.state):
        return False
    database.model.write(installation=replace(known, state=state))
    return True


async def open_run(
    database: Database, lease: Lease, trigger: str, grant_id: UUID, streams: Iterable[str], *, resume: bool
) -> OpenRun:
    """Take up the round that was cut off within the last hour, or begin one."""
    await database.control(lease)
    model = database.model
    runs = dict(model.state.runs)
    newest = next(reversed(runs), None)
    oldest = _now() - timedelta(seconds=RESUMABLE_FOR_S)
    run_id = None
    if resume and newest is not None:
        row = runs[newest]
        is_cut_off = row.state in ("running", "interrupted") and row.heartbeat_at > oldest
        if is_cut_off and (row.trigger, row.grant_id) == (trigger, grant_id):
            run_id = newest
    for each, row in runs.items():
        runs[each] = replace(row, state="interrupted" if row.state == "running" else row.state)
    if run_id is None:
        run_id = model.next_id()
        runs[run_id] = RunRow(trigger, "running", grant_id, _now())
    runs[run_id] = replace(runs[run_id], state="running")
    model.write(runs=runs)
    done = model.data.results.get(run_id)
    await database.control()
    return OpenRun(run_id, (done,) if done and done.status in ("certified", "held") else ())


async def end_run(database: Database, lease: Lease, run_id: UUID, state: str, exit_code: int) -> None:
    """Close the run."""
    await database.control(lease)
    runs = database.model.state.runs
    if run_id in runs:
        database.model.write(runs={**runs, run_id: replace(runs[run_id], state=state)})
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
    await abandon_walk(tx, walk, "its position is too old or was issued to another grant")
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


async def abandon_open_walk(tx: Transaction, reason: str, *, keeps_limit: bool = False) -> None:
    """Forget where the stream stands."""
    await tx.act()
    if row := tx.data.open_walk():
        _put_walk(tx, replace(row, outcome="abandoned", ended_at=tx.now))
    await save_position(tx, Start(limit=tx.data.position.limit if keeps_limit else None))


async def give_up_if_it_stands(tx: Transaction, endpoint: str, reason: str) -> None:
    """No history's server fails for an hour."""
    await tx.act()


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
    tx.shown = Readings(
        _newer(seen.survives_refresh, tx.shown.survives_refresh), _newer(seen.survives_limit, tx.shown.survives_limit)
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
    if walk.walk_id not in tx.data.walks or len(earlier) != walk.page_number:
        raise DatabaseError("the ledger does not end with the page before")
    row = PageRow(tx.run_id, page.request_id, counts, page.limit, key_hashes(page.changes), tx.now)
    tx.data = replace(tx.data, pages={**tx.data.pages, walk.walk_id: (*earlier, row)})
    tx.served = (*tx.served, page)


async def may_grow(tx: Transaction, request_id: UUID) -> bool:
    """The model keeps no request record, and no history goes on for a day after a page that was too large."""
    await tx.act()
    return False


async def certify(tx: Transaction, walk: Walk, *, limit: int | None) -> bool:
    """Close a complete walk with its certificate; False: of its rows none could be read."""
    await tx.act()
    pages = tx.data.pages[walk.walk_id]
    rejected = sum(page.counts.rejected for page in pages)
    if rejected and rejected == sum(page.counts.seen for page in pages):
        return False
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
    return True


def _put_walk(tx: Transaction, row: WalkRow) -> None:
    tx.data = replace(tx.data, walks={**tx.data.walks, row.walk_id: row})


# --- rows -----------------------------------------------------------------------------------------------------------


async def apply_changes(
    tx: Transaction, changes: Iterable[Change], request_id: UUID, walk_id: UUID | None = None
) -> Counts:
    """Write the entities of one page, by the store's own judgement."""
    await tx.act()
    before, rows, older = tx.data, dict(tx.data.rows), dict(tx.data.older)
    tally = dict.fromkeys((verdict.value for verdict in real.Verdict), 0)
    for table, served in real.by_table(changes):
        newest = real.newest_of(served)
        met = set()
        superseded = {}
        for row in sorted(served, key=lambda each: each.key):
            is_newest = newest[row.key] is row
            known = _known(before, row.key)
            verdict = real.judge(known, row, tx.now) if is_newest else real.Verdict.SUPERSEDED
            tally[verdict.value] += 1
            if verdict is real.Verdict.SUPERSEDED:
                if is_newest:
                    superseded[row.key] = row.content_hash
                continue
            met.add(row.key)
            if verdict is not real.Verdict.UNCHANGED:
                rows[row.key] = Row(Known(row.content_hash, row.change.version, is_stub=False), tx.now)
        if walk_id is not None:
            seen = {key for page in before.pages.get(walk_id, ()) for key in split(page.keys)}
            first_met = {key: content for key, content in superseded.items() if key_hash(table, key) not in seen}
            older |= {key: (content, walk_id) for key, content in first_met.items()}
            for key in met:
                older.pop(key, None)
    tx.data = replace(tx.data, rows=rows, older=older)
    tally["updated"] += tally["reverted"]
    return Counts(**tally)


def _known(data: Data, key: str) -> Known | None:
    if (row := data.rows.get(key)) is None:
        return None
    content, walk_id = data.older.get(key, (None, None))
    is_certified = walk_id is not None and data.walks[walk_id].outcome == "certified"
    return replace(row.known, older_hash=content, is_older_certified=is_certified)


async def quarantine(tx: Transaction, page: Page, *, is_news: bool = False) -> int:
    """Nothing of the model's is bad."""
    assert not page.left_out
    return 0


async def end_stream(tx: Transaction, result: StreamResult) -> StreamResult:
    """Write down what became of the stream."""
    await tx.act()
    mine = {walk_id: pages for walk_id, pages in tx.data.pages.items() if any(p.run_id == tx.run_id for p in pages)}
    pages = [page for pages in mine.values() for page in pages if page.run_id == tx.run_id]
    is_green = result.status in ("certified", "held")
    if is_green and not any(tx.data.walks[walk_id].outcome == "certified" for walk_id in mine):
        raise DatabaseError("the certificate is lost")
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
        rows[ref.key] = Row(Known(None, None, is_stub=False), tx.now, is_hidden=True)
    tx.data = replace(tx.data, rows=rows)
