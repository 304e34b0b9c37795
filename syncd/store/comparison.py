"""Comparing a page's entities with what is stored of them: the database compares, with the writer's own parameters.

An entity is equal when `apply_changes` would write nothing, and had nothing been written since its last write by
anybody else: its columns, its hash, and all that belongs to it. Of lists of spells only the open ones are compared, and
who is not listed only where the list closes; of links that two sides report only this side's; of dictionaries that they
hold what was seen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Column, Table

from syncd.model import Change, Content, Dictionary, Links, Part, Spells
from syncd.store.changes import Keyed, by_table, newest_of
from syncd.store.database import Transaction
from syncd.store.parts import identity_of, owned_rows, spell_columns
from syncd.store.removals import Ref, load_pending
from syncd.store.statements import arrays, key_column, key_of, unnest, written_columns
from syncd.store.withdrawals import leaves_no_row


@dataclass(frozen=True, slots=True)
class Difference:
    """One entity that differs. `kind` is missing, different or extra, seen from here; `cause`, where it can be told:

    newer (changed at the source since the last certificate), older (the source went back), hidden (removed here),
    held (its removal waits for a person, or was rejected), edited (changed here, past syncd).
    """

    table: str
    key: str
    kind: str
    cause: str | None = None
    columns: tuple[str, ...] = ()  # of its own table, or of others as table.column; a table alone: rows more or less


@dataclass(frozen=True, slots=True)
class _Stored:
    has_hash: bool  # of the very content that the API serves
    version: datetime | None
    is_stub: bool
    is_hidden: bool
    columns: tuple[str, ...]


async def last_certified_at(tx: Transaction) -> datetime | None:
    """When the stream's last certified walk began; None: there is none."""
    await tx.cursor.execute(
        "SELECT last_certified_at FROM syncd.stream_status WHERE installation = %s AND stream = %s", tx.stream
    )
    row = await tx.cursor.fetchone()
    return row[0] if row else None


async def compare_changes(
    tx: Transaction, changes: Iterable[Change], certified_at: datetime | None
) -> dict[Ref, Difference | None]:
    """Each entity of a page, the newest of those that repeat a key: its difference, or None. Reads only."""
    found: dict[Ref, Difference | None] = {}
    for table, served in by_table(changes):
        rows = list(newest_of(served).values())
        stored = await _read_stored(tx, table, rows)
        parts = await _compare_parts(tx, table, rows)
        for row in rows:
            ours = stored.get(row.key)
            found[Ref(table.name, row.key)] = _judge(table, row, ours, tuple(sorted(parts[row.key])), certified_at)
    return found


def _judge(
    table: Table, row: Keyed, ours: _Stored | None, parts: tuple[str, ...], certified_at: datetime | None
) -> Difference | None:
    version = row.change.version
    newer = "newer" if version and certified_at and version > certified_at else None
    if ours is None or ours.is_stub:
        is_right = row.change.is_gone and leaves_no_row(table)
        return None if is_right else Difference(table.name, row.key, "missing", newer)
    if ours.is_hidden:
        return Difference(table.name, row.key, "missing", "hidden")
    columns = ours.columns + parts
    if row.change.is_gone:
        columns = _not_gone(table, ours)
    if not columns and ours.has_hash:
        return None
    older = "older" if version and ours.version and version < ours.version else None
    cause = "edited" if ours.has_hash else newer or older
    return Difference(table.name, row.key, "different", cause, columns or ("_syncd_hash",))


def _not_gone(table: Table, ours: _Stored) -> tuple[str, ...]:
    """What of an entity says that it is not gone; all else stays as it was. Of one that should go: nothing."""
    return () if leaves_no_row(table) or "withdrawn_at" in ours.columns else ("withdrawn_at",)


async def find_extra(
    tx: Transaction, tables: Iterable[Table], account: str, met: set[Ref]
) -> tuple[int, list[Difference]]:
    """How many rows of these tables are live, and those among them that a walk has not met."""
    pending = await load_pending(tx)
    waiting = pending.held | pending.rejected
    live, extra = 0, []
    for table in tables:
        await tx.cursor.execute(_read_keys(table), [account])
        keys = [Ref(table.name, key) for (key,) in await tx.cursor.fetchall()]
        live += len(keys)
        extra += [Difference(*ref, "extra", "held" if ref in waiting else None) for ref in keys if ref not in met]
    return live, extra


@cache
def _read_keys(table: Table) -> str:
    return (
        f"SELECT {key_column(table)} FROM {table} WHERE {table.info['key'][0]} = %b "
        f"AND _syncd_deleted_at IS NULL AND NOT _syncd_is_stub ORDER BY 1"
    )


# --- entities ---------------------------------------------------------------------------------------------------------


async def _read_stored(tx: Transaction, table: Table, rows: Sequence[Keyed]) -> Mapping[str, _Stored]:
    columns = arrays(written_columns(table), (row.change.row for row in rows))
    hashes = {row.key: row.content_hash for row in rows}
    await tx.cursor.execute(_compare_entities(table), columns)
    return {
        key: _Stored(content_hash == hashes[key], version, is_stub, is_hidden, tuple(differing))
        for key, content_hash, version, is_stub, is_hidden, differing in await tx.cursor.fetchall()
    }


@cache
def _compare_entities(table: Table) -> str:
    version = "ours.updated_at" if "updated_at" in table.columns else "NULL::timestamptz"
    names = [column.name for column in written_columns(table)]
    same_key = " AND ".join(f"ours.{name} = rows.{name}" for name in table.info["key"])
    return (
        f"SELECT ours.{key_column(table)}, ours._syncd_hash, {version}, ours._syncd_is_stub, "
        f"ours._syncd_deleted_at IS NOT NULL, {_differing({name: name for name in names})} "
        f"FROM {unnest(written_columns(table))} JOIN {table} AS ours ON {same_key}"
    )


def _differing(labels: Mapping[str, str]) -> str:
    """The labels of the columns in which `ours` and `rows` differ."""
    cases = [f"CASE WHEN ours.{name} IS DISTINCT FROM rows.{name} THEN '{label}' END" for name, label in labels.items()]
    return f"array_remove(ARRAY[{', '.join(cases)}]::text[], NULL)"


# --- what belongs to them ---------------------------------------------------------------------------------------------


async def _compare_parts(tx: Transaction, table: Table, rows: Sequence[Keyed]) -> Mapping[str, set[str]]:
    """What differs of the parts of each entity."""
    found: dict[str, set[str]] = defaultdict(set)
    owned = [(row.key, part) for row in rows for part in row.change.parts]
    for part_table in {part.table.name: part.table for _, part in owned}.values():
        of_table = [(key, part) for key, part in owned if part.table is part_table]
        for key, differing in await _compare_part(tx, of_table):
            found[key].update(differing)
    for key, differing in await _compare_unmapped(tx, table, rows):
        found[key].update(differing)
    return found


_Found = list[tuple[str, Sequence[str]]]  # owners' keys, and what differs


@dataclass(frozen=True, slots=True)
class _Owned:
    """The rows of a table that entities own, by the column that holds their keys, and what of them is compared."""

    table: Table
    owner: str
    names: tuple[str, ...]
    where: str = "true"

    @property
    def columns(self) -> tuple[Column[Any], ...]:
        return tuple(self.table.columns[name] for name in self.names)


async def _compare_part(tx: Transaction, parts: list[tuple[str, Part]]) -> _Found:
    """The parts of one table, which are of one kind."""
    match parts[0][1]:
        case Content(table, owner):
            names = tuple(column.name for column in written_columns(table))
            return await _compare_rows(tx, _Owned(table, owner, names), parts)
        case Spells(table, owner):
            return await _compare_rows(tx, _Owned(table, owner, spell_columns(table), "removed_at IS NULL"), parts)
        case Links(table, owner, flag):
            return await _compare_rows(tx, _Owned(table, owner, identity_of(table), flag), parts)
        case Dictionary(table, grows):
            return await _compare_dictionary(tx, table, grows, parts)


async def _compare_rows(tx: Transaction, owned: _Owned, parts: list[tuple[str, Any]]) -> _Found:
    open_lists = {key for key, part in parts if not getattr(part, "closes", True)}
    rows = owned_rows(owned.table, owned.owner, parts)
    await tx.cursor.execute(_join(owned), [[key for key, _ in parts], *arrays(owned.columns, rows)])
    return [
        (key, differing)
        for key, is_only_here, differing in await tx.cursor.fetchall()
        if not (is_only_here and key in open_lists)
    ]


@cache
def _join(owned: _Owned) -> str:
    """Owner, whether the row is only here, and what differs. Parameters: the owners, one array a column."""
    table, owner, identity = owned.table, owned.owner, identity_of(owned.table)
    same = " AND ".join(f"ours.{name} = rows.{name}" for name in identity)
    others = {name: f"{table.name}.{name}" for name in owned.names if name not in identity}
    one_side = f"ours.{owner} IS NULL OR rows.{owner} IS NULL"
    return (
        f"SELECT * FROM (SELECT coalesce(ours.{owner}, rows.{owner}), rows.{owner} IS NULL, "
        f"CASE WHEN {one_side} THEN ARRAY['{table.name}'] ELSE {_differing(others)} END AS differing "
        f"FROM (SELECT * FROM {table} WHERE {owner} = ANY(%b::text[]) AND {owned.where}) AS ours "
        f"FULL JOIN {unnest(owned.columns)} ON {same}) AS compared WHERE cardinality(differing) > 0"
    )


async def _compare_dictionary(tx: Transaction, table: Table, grows: str, parts: list[tuple[str, Any]]) -> _Found:
    wanted = [(owner, key_of(table, row), row[grows]) for owner, part in parts for row in part.rows]
    key = key_column(table)
    await tx.cursor.execute(
        f"SELECT {key}, {grows} FROM {table} WHERE {key} = ANY(%b::text[])", [list({key for _, key, _ in wanted})]
    )
    ours = dict(await tx.cursor.fetchall())
    return [
        (owner, [table.name if key not in ours else f"{table.name}.{grows}"])
        for owner, key, seen in wanted
        if not set(seen) <= set(ours.get(key) or ()) or key not in ours
    ]


async def _compare_unmapped(tx: Transaction, table: Table, rows: Sequence[Keyed]) -> _Found:
    target = table.metadata.tables[f"{table.schema}.unmapped_fields"]
    names = tuple(column.name for column in written_columns(target))
    owned = _Owned(target, "entity_key", names, f"entity = '{table.name}'")
    kept = [
        {"entity": table.name, "entity_key": row.key, "fields": row.change.unmapped}
        for row in rows
        if row.change.unmapped
    ]
    await tx.cursor.execute(_join(owned), [[row.key for row in rows], *arrays(owned.columns, kept)])
    return [(key, differing) for key, _, differing in await tx.cursor.fetchall()]
