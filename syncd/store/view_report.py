"""The views of schema `bi` as they stand in the database, those that users have made included."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select, table, text

from syncd.store.database import Database


@dataclass(frozen=True, slots=True)
class ViewReport:
    """A view, what it says of itself, and how many rows it has now."""

    name: str
    comment: str | None
    rows: int


async def report_views(database: Database) -> list[ViewReport]:
    """All of them, by name, as of one instant."""
    async with database.control() as control:
        await control.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
        found = list(await control.execute(_VIEWS))
        reports = []
        for name, comment in found:
            rows = await control.scalar(select(func.count()).select_from(table(name, schema="bi")))
            reports.append(ViewReport(f"bi.{name}", comment, rows or 0))
    return reports


_VIEWS = text("""
    SELECT relname::text, obj_description(oid, 'pg_class') FROM pg_class
    WHERE relnamespace = to_regnamespace('bi') AND relkind IN ('v', 'm') ORDER BY relname
""")
