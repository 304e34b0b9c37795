"""SQL text made from table definitions, once per table. No value from data ever becomes part of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from psycopg.types.json import Jsonb
from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB

from syncd.model import Row

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
METADATA = ("_syncd_hash", "_syncd_synced_at", "_syncd_run_id", "_syncd_request_id")


@cache
def key_column(table: Table) -> str:
    """The single column that identifies an entity of `table`."""
    (column,) = table.primary_key.columns
    return column.name


def key_of(table: Table, row: Row) -> str:
    """An entity's key: its id columns joined by a slash (docs/warehouse.md §1)."""
    return "/".join(str(row[name]) for name in table.info["key"])


@cache
def written_columns(table: Table) -> tuple[Column[Any], ...]:
    """The columns that a row brings itself: neither computed, nor of our own metadata."""
    return tuple(
        column
        for column in table.columns
        if column.computed is None and column.identity is None and not column.name.startswith("_syncd_")
    )


@cache
def read_known(table: Table) -> str:
    """Key, hash, version and stub mark of entities, the hash of an older version that a walk met, and whether that
    walk was certified. Parameters: installation, stream, keys.

    A hidden one has neither hash nor version: whatever the API lists again shows again, though it be the same, or
    older; its personal data are gone, so there is nothing newer to keep.
    """
    version = "updated_at" if "updated_at" in table.columns else "NULL::timestamptz"
    return (
        f"SELECT {key_column(table)}, CASE WHEN _syncd_deleted_at IS NULL THEN _syncd_hash END, "
        f"CASE WHEN _syncd_deleted_at IS NULL THEN {version} END, _syncd_is_stub, "
        "older.content_hash, coalesce(walk.outcome = 'certified', false) "
        f"FROM {table} LEFT JOIN syncd.older_versions AS older ON older.installation = %b AND older.stream = %b "
        f"AND older.entity = '{table.name}' AND older.entity_key = {key_column(table)} "
        "LEFT JOIN syncd.walks AS walk ON walk.walk_id = older.walk_id "
        f"WHERE {key_column(table)} = ANY(%b::text[])"
    )


@cache
def upsert_entities(table: Table) -> str:
    """Write whole entities. Parameters: now, run, request, one array a written column, the hashes."""
    columns = written_columns(table)
    names = [column.name for column in columns]
    assignments = [f"{name} = EXCLUDED.{name}" for name in (*names, *METADATA) if name not in table.info["key"]]
    arrays = ", ".join([*(_array(column) for column in columns), "%b::bytea[]"])
    return (
        f"INSERT INTO {table} ({', '.join((*names, *METADATA))}) "
        f"SELECT rows.*, %b::timestamptz, %b::uuid, %b::uuid FROM unnest({arrays}) AS rows "
        f"ON CONFLICT ({key_column(table)}) DO UPDATE SET {', '.join(assignments)}, "
        "_syncd_deleted_at = NULL, _syncd_is_stub = false"
    )


@cache
def withdraw_entities(table: Table) -> str:
    """Write that entities are gone, and leave all else of them. Parameters: now, run, request, now, one array a key
    column, the hashes."""
    names = table.info["key"]
    arrays = ", ".join([*("%b::text[]" for _ in names), "%b::bytea[]"])
    assignments = ", ".join(f"{name} = EXCLUDED.{name}" for name in METADATA)
    return (
        f"INSERT INTO {table} AS ours ({', '.join((*names, *METADATA))}, withdrawn_at) "
        f"SELECT rows.*, %b::timestamptz, %b::uuid, %b::uuid, %b::timestamptz FROM unnest({arrays}) AS rows "
        f"ON CONFLICT ({key_column(table)}) DO UPDATE SET {assignments}, "
        "withdrawn_at = coalesce(ours.withdrawn_at, EXCLUDED.withdrawn_at), _syncd_deleted_at = NULL"
    )


@cache
def delete_entities(table: Table) -> tuple[str, ...]:
    """Delete entities, and what is kept of them elsewhere. Parameter of each: their keys."""
    return (*delete_personal(table), f"DELETE FROM {table} WHERE {key_column(table)} = ANY(%b::text[])")


@cache
def insert_stubs(table: Table) -> str:
    """Make sure that the named parents exist. Parameters: now, then one array a key column."""
    names = table.info["key"]
    arrays = ", ".join("%b::text[]" for _ in names)
    return (
        f"INSERT INTO {table} ({', '.join(names)}, _syncd_is_stub, _syncd_synced_at) "
        f"SELECT rows.*, true, %b::timestamptz FROM unnest({arrays}) AS rows "
        f"ON CONFLICT ({key_column(table)}) DO NOTHING"
    )


@cache
def read_live(table: Table) -> str:
    """Key, stub mark, and whether it stood there before an instant, of all that is not hidden. Parameters: the
    instant, and the id of what scopes the table."""
    return (
        f"SELECT {key_column(table)}, _syncd_is_stub, _syncd_synced_at < %b::timestamptz FROM {table} "
        f"WHERE {table.info['key'][0]} = %b AND _syncd_deleted_at IS NULL"
    )


@cache
def hide_entities(table: Table) -> str:
    """Hide live entities. Parameters: now, twice, and their keys."""
    return (
        f"UPDATE {table} SET _syncd_deleted_at = %b, _syncd_synced_at = %b "
        f"WHERE {key_column(table)} = ANY(%b::text[]) AND _syncd_deleted_at IS NULL"
    )


@cache
def read_newer(table: Table) -> str:
    """Which entities are hidden, or were written after a moment by another request. Parameters: keys, both."""
    key = key_column(table)
    return (
        f"SELECT {key} FROM {table} WHERE {key} = ANY(%b::text[]) AND NOT _syncd_is_stub AND "
        "(_syncd_deleted_at IS NOT NULL OR _syncd_synced_at > %b AND _syncd_request_id IS DISTINCT FROM %b)"
    )


@cache
def delete_personal(table: Table) -> tuple[str, ...]:
    """Delete what is kept of entities in tables that BI is not granted. Parameter of each: their keys."""
    personal = [other for other in table.metadata.sorted_tables if other.info.get("personal")]
    owned = [(other, name) for other in personal for name, parent in foreign_keys(other).items() if parent is table]
    return (
        *(f"DELETE FROM {other} WHERE {name} = ANY(%b::text[])" for other, name in owned),
        f"DELETE FROM {table.schema}.unmapped_fields WHERE entity = '{table.name}' AND entity_key = ANY(%b::text[])",
    )


def arrays(columns: Iterable[Column[Any]], rows: Iterable[Row]) -> list[list[Any]]:
    """The rows column by column, as `unnest` takes them; a column that a row lacks is null."""
    rows = list(rows)
    return [[adapted(column, row.get(column.name)) for row in rows] for column in columns]


def unnest(columns: Iterable[Column[Any]]) -> str:
    """A row source over one array parameter per column, named `rows` with the columns' names."""
    columns = list(columns)
    return f"unnest({', '.join(map(_array, columns))}) AS rows ({', '.join(column.name for column in columns)})"


@cache
def foreign_keys(table: Table) -> Mapping[str, Table]:
    """Each column that names another entity, and the entity's table."""
    return {
        column.name: next(iter(column.foreign_keys)).column.table for column in table.columns if column.foreign_keys
    }


def adapted(column: Column[Any], value: Any) -> Any:
    """A value as its column's parameter."""
    return Jsonb(value) if value is not None and isinstance(column.type, JSONB) else value


def _array(column: Column[Any]) -> str:
    sql_type = column.type.compile(dialect=_DIALECT)
    return f"%b::{sql_type.partition(' COLLATE ')[0]}[]"
