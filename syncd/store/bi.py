"""Comments on all tables, and the `bi` views: each a SELECT in a file of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib.resources import files

from sqlalchemy import Connection, MetaData, Table

from syncd.model import View


def _select(name: str) -> str:
    return (files("syncd.store") / "views" / f"{name}.sql").read_text()


DATA_FRESHNESS = View(
    "data_freshness",
    _select("data_freshness"),
    "How fresh each stream is: one row per installation and stream",
    {
        "installation": "Name of the installation",
        "stream": "Name of the stream",
        "last_certified_at": "All that the source held before this instant is in the tables; null: never yet",
        "age_seconds": "Seconds since then; null: never yet",
        "promised_seconds": "How old it may become",
        "is_stale": "True: older than promised, or never certified; a stream that was skipped promises nothing",
        "reason": "Why the last try did not certify the stream, or what it held; null: nothing to tell, or no try yet",
        "last_tried_at": "When a run last ended the stream, either way",
        "held_rows": "Rows that are gone at the source and still shown, until a person decides",
    },
)
API_HEADROOM = View(
    "api_headroom",
    _select("api_headroom"),
    "Calls and what was left of the hourly budget: one row per installation, token and hour",
    {
        "installation": "Name of the installation",
        "token_fingerprint": "Short name of the token; never the token",
        "hour_at": "Start of the hour, UTC",
        "calls": "Calls made in it",
        "refused_calls": "Calls answered with 429",
        "failed_calls": "Calls without a reply, or answered with 400 or more",
        "rate_limit": "The hourly budget, as the last reply says",
        "lowest_remaining": "The least that any reply said was left",
        "last_remaining": "What the last reply said was left",
        "last_reset_at": "When the last reply said it is whole again",
        "waits": "Calls that waited for the budget for a second or longer before they left",
        "waited_seconds": "Seconds for which all its calls together waited for the budget",
        "backfill_calls": "Those of the calls that a backfill made",
    },
)
CONTROL_VIEWS = (DATA_FRESHNESS, API_HEADROOM)


SCHEMA = (
    "CREATE SCHEMA IF NOT EXISTS bi",
    "COMMENT ON SCHEMA bi IS 'For BI tools: live rows, analysts'' names, no personal data'",
)


def create_views(connection: Connection, views: Iterable[View]) -> None:
    """Create or replace the views with their comments; views that users have built on them stay."""
    _run(connection, SCHEMA)
    for view in (*CONTROL_VIEWS, *views):
        _run(connection, view_statements(view))


def write_comments(connection: Connection, metadatas: Iterable[MetaData]) -> None:
    """Comment every table and column as its definition does."""
    for table in (table for metadata in metadatas for table in metadata.sorted_tables):
        _run(connection, comment_statements(table))


def view_statements(view: View) -> Iterator[str]:
    """The view in SQL, with its comments."""
    yield f"CREATE OR REPLACE VIEW bi.{view.name} WITH (security_barrier) AS\n{view.select}"
    yield _comment(f"VIEW bi.{view.name}", view.comment)
    for column, comment in view.columns.items():
        yield _comment(f"COLUMN bi.{view.name}.{column}", comment)


def comment_statements(table: Table) -> Iterator[str]:
    """The comments of a table and its columns in SQL."""
    yield _comment(f"TABLE {table}", table.comment or "")
    for column in table.columns:
        yield _comment(f"COLUMN {table}.{column.name}", column.comment or "")


def _comment(target: str, comment: str) -> str:
    quoted = comment.replace("'", "''")
    return f"COMMENT ON {target} IS '{quoted}'"


def _run(connection: Connection, statements: Iterable[str]) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement.replace("%", "%%"))
