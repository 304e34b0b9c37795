"""Showing that something has written nothing: every row of every table, with its place and its transaction."""

from __future__ import annotations

from tests.harness import Bench

# What looking at an installation writes all the same: its lease, and the record of its calls.
WRITTEN = {"syncd.leases", "syncd.requests"}


def digest(bench: Bench) -> dict[str, str]:
    """A digest of each table. A row that was written anew with the same values has another place, so it shows."""
    tables = bench.query(
        "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('revento', 'syncd') ORDER BY 1"
    )
    return {
        table: bench.value(
            f"SELECT coalesce(md5(string_agg(ctid::text || xmin::text || ours::text, '|' ORDER BY ctid)), '') "
            f"FROM {table} AS ours"
        )
        for (table,) in tables
        if table not in WRITTEN
    }
