"""The rules that the database keeps for us: constraints that stand and hold, and no row without its parent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import (
    CheckConstraint,
    Connection,
    ForeignKeyConstraint,
    MetaData,
    Select,
    Table,
    and_,
    exists,
    func,
    literal,
    not_,
    select,
    text,
    union_all,
)

from syncd.findings import Finding
from syncd.model import View
from syncd.store.inspection.tables import REPAIR

# Child table, its columns, parent table, number of rows.
Orphans = Select[str, str, str, int]


def check_constraints(connection: Connection, metadatas: Sequence[MetaData], _views: Sequence[View]) -> list[Finding]:
    """The CHECKs (that books balance among them) are there, and no constraint was left unvalidated."""
    found = {(table, name): is_valid for table, name, is_valid in connection.execute(_CONSTRAINTS)}
    wanted = [(str(table), str(check.name)) for table, check in _checks(metadatas)]
    missing = [
        Finding("database", "wrong", f"constraint {name} is missing from {table}", REPAIR)
        for table, name in wanted
        if (table, name) not in found
    ]
    ours = {str(table) for table in _tables(metadatas)}
    doubtful = [_doubtful(*key) for key, is_valid in found.items() if not is_valid and key[0] in ours]
    if missing or doubtful:
        return missing + doubtful
    return [Finding("database", "ok", f"all constraints hold; the books balance ({len(wanted)} checks)")]


_CONSTRAINTS = text("""
    SELECT format('%s.%s', nspname, relname), conname::text, convalidated
    FROM pg_constraint JOIN pg_class AS rel ON rel.oid = conrelid
    JOIN pg_namespace AS schema ON schema.oid = relnamespace
    WHERE contype IN ('c', 'f')
""")


def _doubtful(table: str, name: str) -> Finding:
    return Finding(
        "database", "wrong", f"constraint {name} of {table} was never validated: old rows may break it",
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}",
    )  # fmt: skip


def check_orphans(connection: Connection, metadatas: Sequence[MetaData], _views: Sequence[View]) -> list[Finding]:
    """No row names a parent that is not there. With foreign keys in force it takes a hand to make one."""
    counts = connection.execute(union_all(*_orphans(metadatas)))
    findings = [_orphaned(*row) for row in counts if row[3]]
    return findings or [Finding("database", "ok", "no row names another that is not there")]


def _orphaned(child: str, columns: str, parent: str, number: int) -> Finding:
    return Finding(
        "database", "wrong", f"{number} rows of {child} name ({columns}) a row of {parent} that is not there",
        f"restore the rows of {parent} from a backup, or delete those of {child}",
    )  # fmt: skip


def _orphans(metadatas: Iterable[MetaData]) -> Iterator[Orphans]:
    for table in _tables(metadatas):
        for key in sorted(table.foreign_key_constraints, key=lambda key: list(key.column_keys)):
            yield _without_parent(table, key)
        if table.name == "unmapped_fields":
            yield from (_fields_without_row(table, entity) for entity in table.metadata.sorted_tables if _key(entity))


def _without_parent(table: Table, key: ForeignKeyConstraint) -> Orphans:
    parent = key.referred_table.alias()
    pairs = [(element.parent, parent.c[element.column.name]) for element in key.elements]
    named = [child.is_not(None) for child, _ in pairs]
    there = exists().where(and_(*(child == of_parent for child, of_parent in pairs)))
    return _counted(table, ", ".join(key.column_keys), key.referred_table).where(*named, not_(there))


def _fields_without_row(fields: Table, entity: Table) -> Orphans:
    (key,) = entity.primary_key.columns
    there = exists().where(key == fields.c.entity_key)
    return _counted(fields, "entity_key", entity).where(fields.c.entity == entity.name, not_(there))


def _counted(child: Table, columns: str, parent: Table) -> Orphans:
    return select(literal(str(child)), literal(columns), literal(str(parent)), func.count()).select_from(child)


def _key(table: Table) -> object:
    """The columns that make an entity's key; None of a table of parts."""
    return table.info.get("key")


def _checks(metadatas: Iterable[MetaData]) -> list[tuple[Table, CheckConstraint]]:
    return [
        (table, constraint)
        for table in _tables(metadatas)
        for constraint in table.constraints
        if isinstance(constraint, CheckConstraint)
    ]


def _tables(metadatas: Iterable[MetaData]) -> list[Table]:
    return [table for metadata in metadatas for table in metadata.sorted_tables]
