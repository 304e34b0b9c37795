"""Our tables and views as their definitions have them, for people and for other programs. Needs no database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement

from syncd.model import View
from syncd.store.bi import SCHEMA, comment_statements, view_statements

# SQLAlchemy's own dialects are untyped.
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]

PERSONAL = "personal data: not granted to BI"


@dataclass(frozen=True, slots=True)
class ColumnEntry:
    """A column. Of a view's only name and comment are known without a database."""

    name: str
    comment: str
    type: str | None = None
    is_key: bool = False
    is_nullable: bool | None = None
    is_generated: bool = False
    references: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A table or a view; `sql` are the statements that make it, with its comments."""

    schema: str
    name: str
    kind: str  # table or view
    comment: str
    is_personal: bool
    columns: tuple[ColumnEntry, ...]
    sql: tuple[str, ...]

    @property
    def full_name(self) -> str:
        """`revento.participants`."""
        return f"{self.schema}.{self.name}"


def entries(metadatas: Iterable[MetaData], views: Iterable[View]) -> list[Entry]:
    """All tables, each behind those that it refers to, and then all views."""
    tables = [_table(table) for metadata in metadatas for table in metadata.sorted_tables]
    return tables + [_view(view) for view in views]


def script(chosen: Sequence[Entry]) -> str:
    """The SQL that makes them in an empty database."""
    schemas = dict.fromkeys(entry.schema for entry in chosen)
    statements = [
        *(
            each
            for schema in schemas
            for each in (SCHEMA if schema == "bi" else [f"CREATE SCHEMA IF NOT EXISTS {schema}"])
        ),
        *(each for entry in chosen for each in _remarked(entry)),
    ]
    return "\n\n".join(f"{statement.rstrip()};" for statement in statements)


def _remarked(entry: Entry) -> Iterator[str]:
    if entry.is_personal:
        first, *rest = entry.sql
        yield from [f"-- {PERSONAL}\n{first}", *rest]
    else:
        yield from entry.sql


def markdown(chosen: Iterable[Entry]) -> str:
    """A chapter for each, with a table of its columns."""
    return "\n\n".join("\n".join(_chapter(entry)) for entry in chosen)


def _chapter(entry: Entry) -> Iterator[str]:
    yield f"## {entry.full_name}\n"
    yield f"{entry.comment}.{f' **⊘ {PERSONAL}**' if entry.is_personal else ''}\n"
    yield from _view_rows(entry) if entry.kind == "view" else _table_rows(entry)


def _table_rows(entry: Entry) -> Iterator[str]:
    yield "| Column | Type | Key | Null | Comment | References |"
    yield "|---|---|---|---|---|---|"
    for column in entry.columns:
        kind = f"{column.type}{', generated' if column.is_generated else ''}"
        key, null = "key" if column.is_key else "", "null" if column.is_nullable else ""
        yield f"| `{column.name}` | {kind} | {key} | {null} | {_cell(column.comment)} | {column.references or ''} |"


def _view_rows(entry: Entry) -> Iterator[str]:
    yield "| Column | Comment |"
    yield "|---|---|"
    for column in entry.columns:
        yield f"| `{column.name}` | {_cell(column.comment)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _table(table: Table) -> Entry:
    return Entry(
        schema=table.schema or "",
        name=table.name,
        kind="table",
        comment=table.comment or "",
        is_personal=bool(table.info.get("personal")),
        columns=tuple(_column(column) for column in table.columns),
        sql=tuple(_statements(table)),
    )


def _statements(table: Table) -> Iterator[str]:
    yield _compiled(CreateTable(table))
    yield from (_compiled(CreateIndex(index)) for index in sorted(table.indexes, key=lambda index: str(index.name)))
    yield from comment_statements(table)


def _compiled(statement: ExecutableDDLElement) -> str:
    sql = str(statement.compile(dialect=_DIALECT))
    return "\n".join(line.rstrip().replace("\t", "    ") for line in sql.strip().splitlines())


def _column(column: Column[Any]) -> ColumnEntry:
    return ColumnEntry(
        name=column.name,
        comment=column.comment or "",
        type=str(column.type.compile(dialect=_DIALECT)).partition(" COLLATE")[0].lower(),
        is_key=column.primary_key,
        is_nullable=bool(column.nullable),
        is_generated=column.computed is not None or column.identity is not None,
        references=", ".join(sorted(key.target_fullname for key in column.foreign_keys)) or None,
    )


def _view(view: View) -> Entry:
    columns = tuple(ColumnEntry(name, comment) for name, comment in view.columns.items())
    return Entry("bi", view.name, "view", view.comment, False, columns, tuple(view_statements(view)))
