"""Who may read what: roles without login, and grants re-applied after each migration (docs/warehouse.md §6)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from psycopg import sql
from sqlalchemy import Connection, MetaData, Table, text

from syncd.errors import ConfigError
from syncd.store.engine import connected

ROLES = ("syncd_writer", "syncd_bi", "syncd_bi_pii")


def create_roles(url: str, metadatas: Iterable[MetaData]) -> None:
    """Create the roles that are missing and apply every grant. Needs the right to create roles.

    Temporary tables, which PostgreSQL lets everybody make unless told otherwise, become its owner's alone.
    """
    with connected(url) as connection:
        for role in ROLES:
            if not _exists(connection, role):
                _run(connection, sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
        _run(connection, sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(_database(connection)))
        apply_grants(connection, metadatas)


def make_login(url: str, name: str) -> str | None:
    """Let a login read what is not personal, read-only and with a time limit; returns its password if it was made here.

    Settings on a NOLOGIN role are not inherited, so they are set on the login itself. Raises ConfigError for a role
    that works on the warehouse: the settings would lock it out.
    """
    login = sql.Identifier(name)
    with connected(url) as connection:
        _refuse_workers(connection, name)
        password = None if _exists(connection, name) else secrets.token_urlsafe(24)
        if password:
            _run(connection, sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(login, sql.Literal(password)))
        _run(connection, sql.SQL("GRANT syncd_bi TO {}").format(login))
        for setting, value in _LOGIN_SETTINGS.items():
            _run(
                connection,
                sql.SQL("ALTER ROLE {} SET {} = {}").format(login, sql.Identifier(setting), sql.SQL(value)),
            )
    return password


def _refuse_workers(connection: Connection, name: str) -> None:
    works = text("SELECT 1 FROM pg_roles WHERE rolname = :name AND (rolsuper OR rolname = current_user)")
    if name in ROLES or connection.execute(works, {"name": name}).first():
        raise ConfigError(
            f"{name!r} is a role that works on the warehouse; as a reader's login it would be locked out",
            hint="choose another name for the login",
        )


def apply_grants(connection: Connection, metadatas: Iterable[MetaData]) -> None:
    """Grant to those of the roles that exist; a role that nobody has made gets nothing."""
    metadatas = list(metadatas)
    for role, grant in (("syncd_bi", _grant_bi), ("syncd_bi_pii", _grant_pii), ("syncd_writer", _grant_writer)):
        if _exists(connection, role):
            for statement in grant(metadatas):
                _run(connection, sql.SQL(statement))


_LOGIN_SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "'60s'",
    "search_path": "bi",
    "timezone": "'UTC'",
}


def _grant_bi(metadatas: list[MetaData]) -> Iterable[str]:
    yield "GRANT USAGE ON SCHEMA bi TO syncd_bi"
    yield "GRANT SELECT ON ALL TABLES IN SCHEMA bi TO syncd_bi"
    for metadata in _sources(metadatas):
        yield f"GRANT USAGE ON SCHEMA {metadata.schema} TO syncd_bi"
    for table in _tables(metadatas, personal=False):
        # a role with SELECT alone sees no primary key through information_schema
        yield f"GRANT SELECT, REFERENCES ON {table} TO syncd_bi"


def _grant_pii(metadatas: list[MetaData]) -> Iterable[str]:
    yield "GRANT syncd_bi TO syncd_bi_pii"
    for table in _tables(metadatas, personal=True):
        yield f"GRANT SELECT, REFERENCES ON {table} TO syncd_bi_pii"


def _grant_writer(metadatas: list[MetaData]) -> Iterable[str]:
    yield "GRANT USAGE ON SCHEMA bi TO syncd_writer"
    yield "GRANT SELECT ON ALL TABLES IN SCHEMA bi TO syncd_writer"
    for metadata in metadatas:
        yield f"GRANT USAGE ON SCHEMA {metadata.schema} TO syncd_writer"
        yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {metadata.schema} TO syncd_writer"


def _sources(metadatas: Iterable[MetaData]) -> Iterable[MetaData]:
    """The control schema is no one's to read but syncd's."""
    return (metadata for metadata in metadatas if metadata.schema != "syncd")


def _tables(metadatas: Iterable[MetaData], *, personal: bool) -> Iterable[Table]:
    for metadata in _sources(metadatas):
        yield from (table for table in metadata.sorted_tables if table.info.get("personal", False) is personal)


def _database(connection: Connection) -> sql.Identifier:
    return sql.Identifier(connection.execute(text("SELECT current_database()")).scalar_one())


def _exists(connection: Connection, role: str) -> bool:
    found = connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role})
    return found.first() is not None


def _run(connection: Connection, statement: sql.Composable) -> None:
    driver = connection.connection.driver_connection
    if driver is None:
        raise ConfigError("the database connection is closed")
    driver.execute(statement)
