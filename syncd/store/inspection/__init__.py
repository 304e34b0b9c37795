"""What is right and wrong with a database, in plain words. Reads only; blocking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import Connection, MetaData, text

from syncd.errors import DatabaseError
from syncd.findings import Finding, unchecked
from syncd.model import View
from syncd.store.engine import connected
from syncd.store.inspection.grants import check_grants
from syncd.store.inspection.rows import check_constraints, check_orphans
from syncd.store.inspection.server import check_server, check_version
from syncd.store.inspection.tables import check_tables
from syncd.store.inspection.views import check_views

__all__ = ["inspect_database"]

Check = Callable[[Connection, Sequence[MetaData], Sequence[View]], list[Finding]]
# What can be judged only in a database of the newest schema.
CHECKS: dict[str, Check] = {
    "tables": check_tables,
    "views": check_views,
    "grants": check_grants,
    "constraints": check_constraints,
    "orphans": check_orphans,
}


def inspect_database(url: str, metadatas: Iterable[MetaData], views: Iterable[View]) -> list[Finding]:
    """Everything that was found in the database, good and bad; one that cannot be reached is a finding too."""
    findings: list[Finding] = []
    left = iter(CHECKS.items())
    try:
        with connected(_plain(url)) as connection:
            connection.execute(text("SET TRANSACTION READ ONLY"))
            version = check_version(connection)
            findings += [*check_server(connection), version]
            if version.state == "ok":
                for _, check in left:
                    findings += check(connection, tuple(metadatas), tuple(views))
            reason = "the schema is not the newest"
    except DatabaseError as error:
        findings.append(Finding("database", "wrong", str(error), error.hint or "the server's log says more"))
        reason = "the database did not answer"
    return findings + [unchecked("database", f"{name}, because {reason}") for name, _ in left]


def _plain(url: str) -> str:
    """The same database; a role may be called like a schema, which alembic would then take for the default one."""
    options = conninfo_to_dict(url).get("options") or ""
    return make_conninfo(url, options=f"{options} -c search_path=public".strip())
