"""The tables against their definitions, as alembic compares them. It sees no CHECK constraint."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import SAWarning

from syncd.findings import Finding
from syncd.model import View

REPAIR = "somebody changed it by hand: change it back to what `syncd schema` shows"


def check_tables(connection: Connection, metadatas: Sequence[MetaData], _views: Sequence[View]) -> list[Finding]:
    """What is missing or different is wrong; what is there beyond the definitions is worth a warning."""
    operations = [operation for metadata in metadatas for operation in differences(connection, metadata)]
    comments = [operation for operation in operations if operation[0].endswith("_comment")]
    findings = [describe(operation) for operation in operations if operation not in comments]
    if not any(finding.state == "wrong" for finding in findings):
        number = sum(len(metadata.tables) for metadata in metadatas)
        findings.insert(0, Finding("database", "ok", f"all {number} tables have the columns and keys they should have"))
    return [*findings, _comments(len(comments))]


def differences(connection: Connection, metadata: MetaData) -> Iterator[tuple[Any, ...]]:
    """What would make the database equal to the definitions: alembic's operations, one by one."""
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == metadata.schema,
        "version_table_schema": "syncd",
        "compare_type": True,
        "compare_server_default": True,
    }
    with warnings.catch_warnings():
        # It cannot read all that users may have made, and stumbles over a CHECK that is NOT VALID (SQLAlchemy 2.1.9).
        warnings.simplefilter("ignore", SAWarning)
        operations = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    for operation in operations:
        yield from operation if isinstance(operation, list) else [operation]


def describe(operation: tuple[Any, ...]) -> Finding:
    """One of alembic's operations as a finding."""
    match operation:
        case ("add_table", table):
            return _wrong(f"table {table} is missing")
        case ("add_column", schema, table, column):
            return _wrong(f"column {schema}.{table}.{column.name} is missing")
        case ("add_index" | "add_fk" | "add_constraint", part):
            return _wrong(f"{_part(operation)} is missing from {part.table}")
        case (str(change), schema, table, column, _, old, new) if change.startswith("modify_"):
            what = change.removeprefix("modify_")
            return _wrong(f"column {schema}.{table}.{column}: its {what} is {_shown(old)}, not {_shown(new)}")
        case ("remove_table", table):
            return _foreign(f"table {table}")
        case ("remove_column", schema, table, column):
            return _foreign(f"column {schema}.{table}.{column.name}")
        case ("remove_index" | "remove_fk" | "remove_constraint", part):
            return _foreign(f"{_part(operation)} on {part.table}")
    return _wrong(f"a table differs: {operation[0]}")


def _part(operation: tuple[Any, ...]) -> str:
    kind = {"index": "index", "fk": "foreign key", "constraint": "constraint"}[operation[0].partition("_")[2]]
    return f"{kind} {operation[1].name}"


def _shown(value: object) -> str:
    """A type, a default's SQL, or whether null is allowed."""
    return str(getattr(value, "arg", value))


def _wrong(sentence: str) -> Finding:
    return Finding("database", "wrong", sentence, REPAIR)


def _foreign(what: str) -> Finding:
    return Finding("database", "warning", f"{what} is not of syncd's making", "keep your own in a schema of your own")


def _comments(number: int) -> Finding:
    if number:
        return Finding(
            "database", "wrong", f"{number} comments on tables and columns differ", "run `syncd db upgrade` again"
        )
    return Finding("database", "ok", "every table and column has its comment")
