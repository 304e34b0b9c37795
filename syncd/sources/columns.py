"""Columns and tables, so that a source's tables.py reads like the table of docs/warehouse.md.

What the store relies on:

- An *entity* table: `info["key"]` names the columns whose values, joined by "/", are the row's key, such as
  ("event_id", "participant_id"). The one primary-key column, `<entity>_key`, is generated from them. A *root*
  table (Revento's events) has a single, plain key column: its ids hold no "/", so the first one divides every key.
- Entity tables carry the metadata columns of `METADATA_COLUMNS`. Their content columns are all nullable: a stub has
  its key and nothing else.
- A generated foreign-key column carries `info={"from": ("event_id", "role_id")}`, the columns it is made of, and is
  NULL when one of them is. `plain_parent` makes the same reference from a column that the loader fills.
- Every foreign key is DEFERRABLE INITIALLY DEFERRED, the one from an entity to its root included.
- Part tables (content, spells, links, dictionaries) have no metadata columns.
- A table of spells has `info["whole_when"]`: the owner's column, and the value in it, that say that its list was whole.
- `info["personal"]` is true for a table that BI is not granted.
- A table of entities that the API can call gone has a column `withdrawn_at`, which the store keeps; or it is personal,
  and the row goes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from sqlalchemy import (
    TIMESTAMP,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Double,
    ForeignKey,
    LargeBinary,
    MetaData,
    Table,
    Text,
    Time,
    Uuid,
    false,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

from syncd.wire.readers import Fields

# Postgres' own names, written out, so that a migration can name what it changes.
NAMES = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
}
METADATA_COLUMNS = (
    "_syncd_synced_at",
    "_syncd_deleted_at",
    "_syncd_run_id",
    "_syncd_request_id",
    "_syncd_hash",
    "_syncd_is_stub",
)
# Keys are compared byte by byte: two ids that differ in case or accent are two ids (docs/faults.md 36).
_KEY = Text(collation="C")


def join_key(*ids: str) -> str:
    """The key that the database generates from these ids."""
    return "/".join(ids)


# --- plain columns --------------------------------------------------------------------------------------------------


def identifier(name: str, comment: str, **options: Any) -> Column[str]:
    """An opaque id, compared byte by byte."""
    return Column(name, _KEY, comment=comment, **options)


def text(name: str, comment: str) -> Column[str]:
    """Text, open vocabularies included."""
    return Column(name, Text, comment=comment)


def texts(name: str, comment: str) -> Column[list[str]]:
    """A list of words."""
    return Column(name, ARRAY(Text), comment=comment)


def whole(name: str, comment: str) -> Column[int]:
    """A 64-bit integer."""
    return Column(name, BigInteger, comment=comment)


def real(name: str, comment: str) -> Column[float]:
    """A double-precision number."""
    return Column(name, Double, comment=comment)


def flag(name: str, comment: str, **options: Any) -> Column[bool]:
    """True or false."""
    return Column(name, Boolean, comment=comment, **options)


def stamp(name: str, comment: str, **options: Any) -> Column[Any]:
    """An instant."""
    return Column(name, TIMESTAMP(timezone=True), comment=comment, **options)


def day_time(name: str, comment: str) -> Column[Any]:
    """A time of day, without a zone."""
    return Column(name, Time, comment=comment)


def opaque(name: str, comment: str) -> Column[Any]:
    """A JSON value as received."""
    return Column(name, JSONB(none_as_null=True), comment=comment)


# --- keys and references --------------------------------------------------------------------------------------------


def parent(name: str, table: Table, id_column: str | None = None) -> Column[str]:
    """A generated reference to `table`, made from the scope's id and `id_column` (role_key: role_id)."""
    sources = (table.info["key"][0], id_column or name.removesuffix("_key") + "_id")
    comment = f"{table.name}.{_key_column(table).name}; null when {sources[1]} is"
    return Column(name, _KEY, _joined(sources), _reference(table), info={"from": sources}, comment=comment)


def plain_parent(table: Table, **options: Any) -> Column[str]:
    """A reference to `table` that the loader fills; never null."""
    name = _key_column(table).name
    return Column(name, _KEY, _reference(table), nullable=False, comment=f"{table.name}.{name}", **options)


def root(metadata: MetaData, name: str, entity: str, *columns: Column[Any], comment: str) -> Table:
    """The entity that scopes all others; its id is its key and holds no "/"."""
    key = f"{entity}_id"
    return Table(
        name,
        metadata,
        identifier(key, "Key of the row, the API's id", primary_key=True),
        *columns,
        *_metadata_columns(),
        CheckConstraint(f"position('/' in {key}) = 0", name="key"),
        comment=comment,
        info={"key": (key,)},
    )


def entity(
    metadata: MetaData,
    name: str,
    singular: str,
    scope: Table,
    *columns: Column[Any],
    comment: str,
    id_comment: str = "The API's id, unique within the event",
    personal: bool = False,
) -> Table:
    """A table of entities whose ids are unique within one row of `scope`."""
    key = (_key_column(scope).name, f"{singular}_id")
    return Table(
        name,
        metadata,
        generated_key(f"{singular}_key", *key),
        plain_parent(scope),
        identifier(key[1], id_comment, nullable=False),
        *columns,
        *_metadata_columns(),
        comment=comment,
        info={"key": key} | ({"personal": True} if personal else {}),
    )


def generated_key(name: str, *sources: str) -> Column[str]:
    """A primary key that the database makes from other columns."""
    return Column(name, _KEY, _joined(sources), primary_key=True, comment=f"Key of the row: {'/'.join(sources)}")


def _metadata_columns() -> tuple[Column[Any], ...]:
    return (
        stamp("_syncd_synced_at", "When syncd last changed this row's content, in UTC", nullable=False),
        stamp("_syncd_deleted_at", "When syncd hid the row because the API no longer lists it; null: live"),
        Column("_syncd_run_id", Uuid, comment="The run whose page last changed the row; null on a stub"),
        Column("_syncd_request_id", Uuid, comment="The API request whose reply last changed the row; null on a stub"),
        Column("_syncd_hash", LargeBinary, comment="Hash of the content, to tell a changed row; null on a stub"),
        flag(
            "_syncd_is_stub",
            "True: named by another row, not yet listed itself; only its key is known",
            nullable=False,
            server_default=false(),
        ),
    )


def _joined(sources: tuple[str, ...]) -> Computed:
    return Computed(" || '/' || ".join(sources), persisted=True)


def _reference(table: Table) -> ForeignKey:
    return ForeignKey(_key_column(table), deferrable=True, initially="DEFERRED")


def _key_column(table: Table) -> Column[Any]:
    (column,) = table.primary_key.columns
    return column


# --- rows -----------------------------------------------------------------------------------------------------------


@cache
def content(table: Table) -> tuple[Column[Any], ...]:
    """The columns that a source fills: neither generated by the database nor kept by the store."""
    return tuple(
        column
        for column in table.columns
        if column.computed is None and column.identity is None and column.name not in METADATA_COLUMNS
    )


def read_row(fields: Fields, table: Table, **given: Any) -> dict[str, Any]:
    """A row of `table`: what is given, and every other column from the field of its name, by the column's type."""
    read = {
        column.name: _READERS[type(column.type)](fields, column.name)
        for column in content(table)
        if column.name not in given
    }
    return given | read


_READERS: dict[type[TypeEngine[Any]], Callable[[Fields, str], Any]] = {
    Text: Fields.text,
    BigInteger: Fields.whole,
    Double: Fields.real,
    Boolean: Fields.flag,
    TIMESTAMP: Fields.stamp,
}
