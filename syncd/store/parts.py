"""Writing what belongs to an entity: rows that change with it, spells in a list, links that two sides report."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TypeVar

from psycopg.types.json import Jsonb
from sqlalchemy import Boolean, Table

from syncd.model import Change, Content, Dictionary, Links, Part, Row, Spells
from syncd.store.database import Transaction
from syncd.store.statements import arrays, key_column, unnest, written_columns

P = TypeVar("P", bound=Part)
Owned = list[tuple[str, P]]  # parts of one table, each with the key of the entity that it belongs to


async def apply_parts(tx: Transaction, table: Table, changed: Iterable[tuple[str, Change]]) -> None:
    """Write the parts of changed entities of `table`, all parts of one table in one go."""
    changed = list(changed)
    parts = [(key, part) for key, change in changed for part in change.parts]
    for part_table in {part.table.name: part.table for _, part in parts}.values():
        await _apply(tx, table, [(key, part) for key, part in parts if part.table is part_table])
    await _apply_unmapped(tx, table, changed)


async def _apply(tx: Transaction, entities: Table, parts: Owned[Part]) -> None:
    match parts[0][1]:
        case Content():
            await _apply_content(tx, _of(Content, parts))
        case Spells():
            await _apply_spells(tx, entities, _of(Spells, parts))
        case Links():
            await _apply_links(tx, _of(Links, parts))
        case Dictionary():
            await _apply_dictionary(tx, _of(Dictionary, parts))


def _of(kind: type[P], parts: Owned[Part]) -> Owned[P]:
    """A table holds parts of one kind."""
    return [(key, part) for key, part in parts if isinstance(part, kind)]


# --- rows that change with their entity ------------------------------------------------------------------------------


async def _apply_content(tx: Transaction, parts: Owned[Content]) -> None:
    table, owner = parts[0][1].table, parts[0][1].owner
    columns = arrays(written_columns(table), owned_rows(table, owner, parts))
    await tx.cursor.execute(_delete_others(table, owner), [[key for key, _ in parts], *columns])
    await tx.cursor.execute(_upsert_rows(table), columns)


def owned_rows(table: Table, owner: str, parts: Iterable[tuple[str, Content | Spells | Links]]) -> list[Row]:
    """The parts' rows with their owner's key, sorted, each key once."""
    key = identity_of(table)
    rows: dict[tuple[str, ...], Row] = {}
    for row in ({**row, owner: owner_key} for owner_key, part in parts for row in part.rows):
        rows[tuple(row[name] for name in key)] = row
    return [rows[identity] for identity in sorted(rows)]


@cache
def identity_of(table: Table) -> tuple[str, ...]:
    """What tells a row from its siblings: the primary key, or for spells the columns of the partial unique index."""
    keys = [column.name for column in table.primary_key.columns if column.identity is None]
    return tuple(keys) or tuple(column.name for index in table.indexes if index.unique for column in index.columns)


@cache
def _delete_others(table: Table, owner: str) -> str:
    return (
        f"DELETE FROM {table} AS ours WHERE ours.{owner} = ANY(%b::text[]) AND NOT EXISTS "
        f"(SELECT FROM {unnest(written_columns(table))} WHERE {_same_key(table)})"
    )


@cache
def _upsert_rows(table: Table) -> str:
    columns = [column.name for column in written_columns(table)]
    key = [column.name for column in table.primary_key.columns]
    return (
        f"INSERT INTO {table} AS ours ({', '.join(columns)}) SELECT * FROM {unnest(written_columns(table))} "
        f"ON CONFLICT ({', '.join(key)}) DO {_update_if_different([name for name in columns if name not in key])}"
    )


def _update_if_different(names: list[str]) -> str:
    if not names:
        return "NOTHING"
    ours, theirs = (", ".join(f"{side}.{name}" for name in names) for side in ("ours", "EXCLUDED"))
    assignments = ", ".join(f"{name} = EXCLUDED.{name}" for name in names)
    return f"UPDATE SET {assignments} WHERE ROW({ours}) IS DISTINCT FROM ROW({theirs})"


def _same_key(table: Table) -> str:
    return " AND ".join(f"rows.{column.name} = ours.{column.name}" for column in table.primary_key.columns)


# --- spells in a list -------------------------------------------------------------------------------------------------


async def _apply_spells(tx: Transaction, entities: Table, parts: Owned[Spells]) -> None:
    spells = parts[0][1]
    columns = spell_columns(spells.table)
    rows = arrays((spells.table.columns[name] for name in columns), owned_rows(spells.table, spells.owner, parts))
    closing = [key for key, part in parts if part.closes]
    await tx.cursor.execute(_close(spells.table, spells.owner, spells.member), [tx.now, closing, *rows])
    await tx.cursor.execute(_move(spells.table, spells.owner, spells.member), rows)
    await tx.cursor.execute(_open(spells.table, spells.owner, spells.member, entities), [tx.now, *tx.stream, *rows])


@cache
def spell_columns(table: Table) -> tuple[str, ...]:
    """The columns that the list brings; the observed times are ours."""
    observed = {"first_seen_lower_bound", "first_seen_at", "removed_at"}
    return tuple(column.name for column in written_columns(table) if column.name not in observed)


@cache
def _close(table: Table, owner: str, member: str) -> str:
    return (
        f"UPDATE {table} AS ours SET removed_at = %b::timestamptz "
        f"WHERE ours.{owner} = ANY(%b::text[]) AND ours.removed_at IS NULL AND NOT EXISTS "
        f"(SELECT FROM {_spell_rows(table)} WHERE rows.{owner} = ours.{owner} AND rows.{member} = ours.{member})"
    )


@cache
def _move(table: Table, owner: str, member: str) -> str:
    return (
        f"UPDATE {table} AS ours SET position = rows.position FROM {_spell_rows(table)} "
        f"WHERE rows.{owner} = ours.{owner} AND rows.{member} = ours.{member} AND ours.removed_at IS NULL "
        "AND ours.position IS DISTINCT FROM rows.position"
    )


@cache
def _open(table: Table, owner: str, member: str, entities: Table) -> str:
    """Open spells for members that have none.

    The truth lies after the last look at a whole list without the member. That look is at least as late as the start
    of the last certified walk; without a whole list before, or behind an absence, nothing is known.
    """
    column, whole = table.info["whole_when"]
    names = spell_columns(table)
    return (
        f"INSERT INTO {table} ({', '.join(names)}, first_seen_at, first_seen_lower_bound) "
        f"SELECT {', '.join(f'rows.{name}' for name in names)}, %b::timestamptz, "
        f"CASE WHEN entity.{column} = '{whole}' AND entity._syncd_deleted_at IS NULL THEN "
        "(SELECT last_certified_at FROM syncd.stream_status WHERE installation = %b AND stream = %b) END "
        f"FROM {_spell_rows(table)} LEFT JOIN {entities} AS entity ON entity.{key_column(entities)} = rows.{owner} "
        f"WHERE NOT EXISTS (SELECT FROM {table} AS ours WHERE ours.{owner} = rows.{owner} "
        f"AND ours.{member} = rows.{member} AND ours.removed_at IS NULL)"
    )


def _spell_rows(table: Table) -> str:
    return unnest(table.columns[name] for name in spell_columns(table))


# --- links that two sides report --------------------------------------------------------------------------------------


async def _apply_links(tx: Transaction, parts: Owned[Links]) -> None:
    table, owner, flag = parts[0][1].table, parts[0][1].owner, parts[0][1].flag
    owners = [key for key, _ in parts]
    rows = arrays(table.primary_key.columns, owned_rows(table, owner, parts))
    await tx.cursor.execute(_report(table, flag), rows)
    await tx.cursor.execute(_retract(table, owner, flag), [owners, *rows])
    await tx.cursor.execute(_drop_unreported(table, owner), [owners])


@cache
def _report(table: Table, flag: str) -> str:
    key = ", ".join(column.name for column in table.primary_key.columns)
    flags = _flags(table)
    return (
        f"INSERT INTO {table} AS ours ({key}, {', '.join(flags)}) "
        f"SELECT rows.*, {', '.join(str(name == flag).lower() for name in flags)} "
        f"FROM {unnest(table.primary_key.columns)} "
        f"ON CONFLICT ({key}) DO UPDATE SET {flag} = true WHERE NOT ours.{flag}"
    )


@cache
def _retract(table: Table, owner: str, flag: str) -> str:
    return (
        f"UPDATE {table} AS ours SET {flag} = false WHERE ours.{owner} = ANY(%b::text[]) AND ours.{flag} "
        f"AND NOT EXISTS (SELECT FROM {unnest(table.primary_key.columns)} WHERE {_same_key(table)})"
    )


@cache
def _drop_unreported(table: Table, owner: str) -> str:
    return f"DELETE FROM {table} WHERE {owner} = ANY(%b::text[]) AND NOT ({' OR '.join(_flags(table))})"


def _flags(table: Table) -> list[str]:
    return [column.name for column in table.columns if isinstance(column.type, Boolean)]


# --- what is gathered from all entities -------------------------------------------------------------------------------


async def _apply_dictionary(tx: Transaction, parts: Owned[Dictionary]) -> None:
    table, grows = parts[0][1].table, parts[0][1].grows
    merged: dict[str, dict[str, object]] = {}
    for row in (row for _, part in parts for row in part.rows):
        entry = merged.setdefault("/".join(str(row[name]) for name in table.info["key"]), {**row, grows: ()})
        entry[grows] = sorted({*entry[grows], *row[grows]})  # type: ignore[misc]
    rows = [{"first_seen_at": tx.now.isoformat(), **row} for _, row in sorted(merged.items())]
    if rows:
        await tx.cursor.execute(_grow(table, grows), [Jsonb(rows)])


@cache
def _grow(table: Table, grows: str) -> str:
    """The rows are one JSON array: `unnest` would take an array of lists for one long list."""
    names = ", ".join(column.name for column in written_columns(table))
    return (
        f"INSERT INTO {table} AS ours ({names}) SELECT {names} FROM jsonb_populate_recordset(NULL::{table}, %b) "
        f"ON CONFLICT ({key_column(table)}) DO UPDATE SET {grows} = "
        f"ARRAY(SELECT DISTINCT word FROM unnest(ours.{grows} || EXCLUDED.{grows}) AS word ORDER BY word) "
        f"WHERE NOT ours.{grows} @> EXCLUDED.{grows}"
    )


# --- fields without a column ------------------------------------------------------------------------------------------


async def _apply_unmapped(tx: Transaction, table: Table, changed: list[tuple[str, Change]]) -> None:
    """Keep, replace or drop each changed entity's row of `unmapped_fields`."""
    target = table.metadata.tables[f"{table.schema}.unmapped_fields"]
    rows = [
        {"entity": str(table.name), "entity_key": key, "fields": change.unmapped}
        for key, change in changed
        if change.unmapped
    ]
    gone = [key for key, change in changed if not change.unmapped]
    await tx.cursor.execute(
        f"DELETE FROM {target} WHERE entity = %b AND entity_key = ANY(%b::text[])", [str(table.name), gone]
    )
    if rows:
        await tx.cursor.execute(_upsert_rows(target), arrays(written_columns(target), rows))
