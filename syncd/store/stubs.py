"""Rows that others name before the API has served them: a bare key, so that every foreign key holds at once.

The real row fills a stub later. Foreign keys are checked at commit, so stubs come last: whatever the page itself
brings is no longer missing then. Event ids hold no slash, so the first slash of a key divides it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Table

from syncd.model import Change, Dictionary, Row
from syncd.store.database import Transaction
from syncd.store.statements import foreign_keys, insert_stubs


async def insert_missing_parents(tx: Transaction, changes: Iterable[Change]) -> None:
    """Insert a stub for each parent that the changes name and no table holds; parents of stubs included."""
    named = set(_named_by(changes))
    named |= {parent for table, key in named for parent in _parents(table, _stub(table, key))}
    for table in {table.name: table for table, _ in named}.values():
        keys = sorted(key for other, key in named if other is table)
        rows = [_stub(table, key) for key in keys]
        columns = [[row[name] for row in rows] for name in table.info["key"]]
        await tx.cursor.execute(insert_stubs(table), [tx.now, *columns])


def _named_by(changes: Iterable[Change]) -> Iterator[tuple[Table, str]]:
    for change in changes:
        yield from _parents(change.table, change.row)
        for part in change.parts:
            if not isinstance(part, Dictionary):
                for row in part.rows:
                    yield from _parents(part.table, row)


def _parents(table: Table, row: Row) -> Iterator[tuple[Table, str]]:
    """The entities that a row names; a generated column's value is computed here as PostgreSQL will."""
    for name, parent in foreign_keys(table).items():
        sources = table.columns[name].info.get("from", (name,))
        values = [row.get(source) for source in sources]
        if None not in values:
            yield parent, "/".join(map(str, values))


def _stub(table: Table, key: str) -> Row:
    names = table.info["key"]
    return dict(zip(names, key.split("/", len(names) - 1), strict=True))
