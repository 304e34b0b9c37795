"""The server and the schema's version."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from syncd.findings import Finding
from syncd.store.oldest import OLDEST_MAJOR
from syncd.store.version import NEWEST, version_of


def check_server(connection: Connection) -> list[Finding]:
    """Its version, and whether it takes writes; one whose encoding is no use does not get so far."""
    server = connection.execute(_SERVER).one()
    return [_version(server), _writes(server)]


def check_version(connection: Connection) -> Finding:
    """Whether the schema is the one that this program needs."""
    found = version_of(connection)
    if found == NEWEST:
        return Finding("schema", "ok", f"the schema is at version {NEWEST}, the newest")
    if found is None:
        return Finding("schema", "wrong", "the database has no schema of syncd yet", "run `syncd db upgrade`")
    said = f"the schema is at version {found}, this program needs {NEWEST}"
    if found < NEWEST:
        return Finding("schema", "wrong", f"{said}: the program is newer", "run `syncd db upgrade`")
    return Finding("schema", "wrong", f"{said}: the database is newer", "upgrade this program")


_SERVER = text("""
    SELECT current_setting('server_version_num')::int AS number, current_setting('server_version') AS version,
           pg_is_in_recovery() AS is_standby,
           current_setting('default_transaction_read_only')::bool AS is_read_only
""")


def _version(server: Any) -> Finding:
    if server.number < OLDEST_MAJOR * 10_000:
        return Finding(
            "database",
            "wrong",
            f"the server is PostgreSQL {server.version}",
            f"syncd needs PostgreSQL {OLDEST_MAJOR} or newer",
        )
    return Finding("database", "ok", f"PostgreSQL {server.version} answers")


def _writes(server: Any) -> Finding:
    if server.is_standby:
        return Finding("database", "wrong", "the server is a standby, which takes no writes", "name the primary one")
    if server.is_read_only:
        return Finding(
            "database", "wrong", "transactions are read-only (default_transaction_read_only is on)",
            "turn it off for the database, or for the role that syncd logs in with",
        )  # fmt: skip
    return Finding("database", "ok", "the database takes writes")
