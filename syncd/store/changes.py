"""Writing a page's entities: read what is known of them, decide, write only what differs.

Unchanged entities are not touched at all: no row version, no WAL. One hash covers an entity with all its parts, so
one look-up decides for all of its tables.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from itertools import groupby
from uuid import UUID

import msgspec
from sqlalchemy import Table

from syncd.model import Change, Counts
from syncd.store.database import Transaction
from syncd.store.older_versions import forget_older, remember_older
from syncd.store.parts import apply_parts
from syncd.store.statements import arrays, key_of, read_known, upsert_entities, written_columns
from syncd.store.stubs import insert_missing_parents
from syncd.store.withdrawals import leaves_no_row, write_gone

# Part of every hash: a release that stores more of a row raises it, and the next walk rewrites every row once.
SCHEMA_VERSION = 1
# A stamp further ahead than clocks are apart is no time of any change, and what bears it is not the newest for that.
AHEAD = timedelta(hours=1)


class Verdict(Enum):
    """What becomes of one served row. To revert is to update to a version that is older than ours."""

    INSERT = "inserted"
    UPDATE = "updated"
    REVERT = "reverted"
    UNCHANGED = "unchanged"
    SUPERSEDED = "superseded"


_WRITTEN = (Verdict.INSERT, Verdict.UPDATE, Verdict.REVERT)


@dataclass(frozen=True, slots=True)
class Known:
    """What the table holds of an entity, and the hash of an older version that a walk met since."""

    content_hash: bytes | None
    version: datetime | None
    is_stub: bool
    older_hash: bytes | None = None
    is_older_certified: bool = False


@dataclass(frozen=True, slots=True)
class Keyed:
    """A change with its key and the hash of its content."""

    key: str
    content_hash: bytes
    change: Change


def judge(known: Known | None, row: Keyed, now: datetime) -> Verdict:
    """Decide on one row. An equal stamp does not make a row old: its content may still differ (docs/faults.md 40).
    A stored stamp from the future makes none old: the row would stay as it is until then."""
    if row.change.is_gone and known is None and leaves_no_row(row.change.table):
        return Verdict.UNCHANGED
    if known is None or known.is_stub:
        return Verdict.INSERT
    if known.content_hash == row.content_hash:
        return Verdict.UNCHANGED
    if known.version and row.change.version and row.change.version < known.version <= now + AHEAD:
        is_met_again = known.is_older_certified and known.older_hash == row.content_hash
        return Verdict.REVERT if is_met_again else Verdict.SUPERSEDED
    return Verdict.UPDATE


async def apply_changes(
    tx: Transaction, changes: Iterable[Change], request_id: UUID, walk_id: UUID | None = None
) -> Counts:
    """Write the entities of one page inside the given transaction, and say what became of each.

    `request_id` is the call that brought those which name none. `walk_id` is the walk that has met them; without one
    an older version neither is remembered nor wins.
    """
    total = Counts()
    written: list[Change] = []
    for table, served in by_table(changes):
        known = await _read_known(tx, table, served)
        if walk_id is None:
            known = {key: _without_older(each) for key, each in known.items()}
        verdicts = _judge_all(served, known, tx.now)
        changed = [row for row, verdict in verdicts if verdict in _WRITTEN]
        for brought_by, rows in _by_request(changed, request_id):
            await _write(tx, table, rows, brought_by)
        if walk_id is not None:
            await _keep_older(tx, table, walk_id, verdicts, known)
        written += [row.change for row in changed]
        total += _count(verdict for _, verdict in verdicts)
    await insert_missing_parents(tx, written)
    return total


async def foresee_changes(tx: Transaction, changes: Iterable[Change], foreseen: dict[tuple[str, str], Known]) -> Counts:
    """What `apply_changes` would say of the same page; reads only.

    `foreseen` is what it would have stored of earlier pages, by table and key; this page's rows are added.
    """
    total = Counts()
    for table, served in by_table(changes):
        before = {row.key: foreseen[table.name, row.key] for row in served if (table.name, row.key) in foreseen}
        known = {**await _read_known(tx, table, served), **before}
        verdicts = _judge_all(served, known, tx.now)
        changed = [row for row, verdict in verdicts if verdict in _WRITTEN]
        foreseen |= {(table.name, key): _without_older(known[key]) for key in _met_as_stored(verdicts, known)}
        foreseen |= {(table.name, row.key): _as_stored(row) for row in changed}
        total += _count(verdict for _, verdict in verdicts)
    return total


def _without_older(known: Known) -> Known:
    return replace(known, older_hash=None, is_older_certified=False)


def _as_stored(row: Keyed) -> Known:
    return Known(row.content_hash, row.change.row.get("updated_at"), is_stub=False)


def by_table(changes: Iterable[Change]) -> Iterator[tuple[Table, list[Keyed]]]:
    """The changes of each table, in the order of the tables' names."""
    for table, group in groupby(sorted(changes, key=_table_name), key=lambda change: change.table):
        yield table, [_keyed(change) for change in group]


def key_hashes(changes: Iterable[Change]) -> bytes:
    """8 bytes for each row served, sorted: what a walk remembers of the keys it saw."""
    return b"".join(sorted(key_hash(change.table, key_of(change.table, change.row)) for change in changes))


def key_hash(table: Table, key: str) -> bytes:
    """The 8 bytes that stand for a row in the ledger."""
    return hashlib.blake2b(f"{table.name}/{key}".encode(), digest_size=8).digest()


def _judge_all(rows: list[Keyed], known: Mapping[str, Known], now: datetime) -> list[tuple[Keyed, Verdict]]:
    newest = newest_of(rows)
    return [
        (row, judge(known.get(row.key), row, now) if newest[row.key] is row else Verdict.SUPERSEDED)
        for row in sorted(rows, key=lambda row: row.key)
    ]


def newest_of(rows: Iterable[Keyed]) -> Mapping[str, Keyed]:
    """Of rows that repeat a key within one page the newest counts; of equals the last."""
    newest: dict[str, Keyed] = {}
    for row in rows:
        rival = newest.get(row.key)
        if rival is None or not _older(row.change, rival.change):
            newest[row.key] = row
    return newest


def _older(change: Change, than: Change) -> bool:
    return bool(change.version and than.version and change.version < than.version)


async def _keep_older(
    tx: Transaction, table: Table, walk_id: UUID, verdicts: list[tuple[Keyed, Verdict]], known: Mapping[str, Known]
) -> None:
    """Remember which versions were older than ours; forget those of rows that were met as they are stored now."""
    newest = newest_of(row for row, _ in verdicts)
    older = [row for row, verdict in verdicts if verdict is Verdict.SUPERSEDED and newest[row.key] is row]
    await remember_older(tx, table, walk_id, [(row.key, row.content_hash, key_hash(table, row.key)) for row in older])
    await forget_older(tx, table, _met_as_stored(verdicts, known))


def _met_as_stored(verdicts: list[tuple[Keyed, Verdict]], known: Mapping[str, Known]) -> list[str]:
    """Rows of which an older version was met before, and now the stored one, or a newer one."""
    met = {row.key for row, verdict in verdicts if verdict is not Verdict.SUPERSEDED}
    return [key for key in met if key in known and known[key].older_hash]


async def _read_known(tx: Transaction, table: Table, rows: list[Keyed]) -> Mapping[str, Known]:
    await tx.cursor.execute(read_known(table), [*tx.stream, [row.key for row in rows]])
    return {key: Known(*rest) for key, *rest in await tx.cursor.fetchall()}


async def _write(tx: Transaction, table: Table, rows: list[Keyed], request_id: UUID) -> None:
    """Parts first: a spell's lower bound is read from the entity as it was. Sorted by key, against deadlocks."""
    gone = [row for row in rows if row.change.is_gone]
    if gone:
        await write_gone(tx, table, [row.change.row for row in gone], [row.content_hash for row in gone], request_id)
    rows = [row for row in rows if not row.change.is_gone]
    if not rows:
        return
    await apply_parts(tx, table, [(row.key, row.change) for row in rows])
    await tx.cursor.execute(
        upsert_entities(table),
        [
            tx.now,
            tx.run_id,
            request_id,
            *arrays(written_columns(table), (row.change.row for row in rows)),
            [row.content_hash for row in rows],
        ],
    )


def _by_request(rows: Iterable[Keyed], request_id: UUID) -> list[tuple[UUID, list[Keyed]]]:
    """The rows by the call that brought them, in their order."""
    groups: dict[UUID, list[Keyed]] = {}
    for row in rows:
        groups.setdefault(row.change.request_id or request_id, []).append(row)
    return list(groups.items())


def _keyed(change: Change) -> Keyed:
    return Keyed(key_of(change.table, change.row), _content_hash(change), change)


def _content_hash(change: Change) -> bytes:
    parts = [(str(part.table), part.rows, getattr(part, "closes", True)) for part in change.parts]
    canonical = msgspec.json.encode([SCHEMA_VERSION, change.row, parts, change.unmapped], order="deterministic")
    return hashlib.blake2b(canonical, digest_size=16).digest()


def _count(verdicts: Iterable[Verdict]) -> Counts:
    tally = dict.fromkeys((verdict.value for verdict in Verdict), 0)
    for verdict in verdicts:
        tally[verdict.value] += 1
    tally["updated"] += tally["reverted"]
    return Counts(**tally)


def _table_name(change: Change) -> str:
    return change.table.name
