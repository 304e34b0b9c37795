"""The views of schema `bi` against their definitions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, MetaData, text

from syncd.findings import Finding
from syncd.model import View

REBUILD = "run `syncd db views`"


def check_views(connection: Connection, _metadatas: Sequence[MetaData], views: Sequence[View]) -> list[Finding]:
    """Each view is there, a security barrier, with its columns and comments. Views of users' own are theirs."""
    found = {row.name: row for row in connection.execute(_VIEWS)}
    findings = [finding for view in views for finding in _complaints(view, found.get(view.name))]
    if not findings:
        return [Finding("database", "ok", f"all {len(views)} views of bi have their columns and comments")]
    return findings


_VIEWS = text("""
    SELECT relname::text AS name, obj_description(rel.oid, 'pg_class') AS comment,
           'security_barrier=true' = ANY (reloptions) AS is_barrier,
           array_agg(attname::text ORDER BY attnum) AS columns,
           array_agg(col_description(rel.oid, attnum) ORDER BY attnum) AS comments
    FROM pg_class AS rel JOIN pg_attribute ON attrelid = rel.oid AND attnum > 0 AND NOT attisdropped
    WHERE relnamespace = to_regnamespace('bi') AND relkind = 'v'
    GROUP BY rel.oid, relname, reloptions
""")


def _complaints(view: View, found: Any) -> Iterator[Finding]:
    if found is None:
        yield _wrong(f"view bi.{view.name} is missing")
        return
    if found.columns != list(view.columns):
        yield _wrong(
            f"view bi.{view.name} has other columns than it should: {_difference(view, found.columns)}",
            f"DROP VIEW bi.{view.name}, then {REBUILD}",
        )
    elif [found.comment, *found.comments] != [view.comment, *view.columns.values()]:
        yield _wrong(f"comments of view bi.{view.name} differ")
    if not found.is_barrier:
        yield _wrong(f"view bi.{view.name} is no security barrier: a reader's function may see hidden rows")


def _difference(view: View, columns: Sequence[str]) -> str:
    missing = [f"{name} is missing" for name in view.columns if name not in columns]
    foreign = [f"{name} is foreign" for name in columns if name not in view.columns]
    return ", ".join(missing + foreign) or "their order"


def _wrong(sentence: str, fix: str = REBUILD) -> Finding:
    return Finding("database", "wrong", sentence, fix)
