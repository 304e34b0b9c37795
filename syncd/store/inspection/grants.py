"""The roles, and what each may do, asked of PostgreSQL itself (docs/warehouse.md §6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from sqlalchemy import Connection, MetaData, Table, text

from syncd.findings import Finding
from syncd.model import View
from syncd.store.grants import ROLES

GRANT = "run `syncd db grants`"
READ = ("SELECT",)
READ_AND_JOIN = ("SELECT", "REFERENCES")
WRITE = ("SELECT", "INSERT", "UPDATE", "DELETE")
MOST_NAMES = 5
PRIVILEGES = ("SELECT", "REFERENCES", "INSERT", "UPDATE", "DELETE")

Right = tuple[str, str, str]  # role, table or view, privilege


def check_grants(connection: Connection, metadatas: Sequence[MetaData], views: Sequence[View]) -> list[Finding]:
    """What each of our roles may do too much or too little. Roles that nobody has made are no fault."""
    roles = {row.name: row.is_plain for row in connection.execute(_ROLES, {"roles": list(ROLES)})}
    if not roles:
        return [Finding("database", "ok", f"the roles {', '.join(ROLES)} are not in use; `syncd db grants` makes them")]
    missing = [Finding("database", "wrong", f"role {name} is missing", GRANT) for name in ROLES if name not in roles]
    mighty = [_mighty(name) for name, is_plain in roles.items() if not is_plain]
    relations = _present(
        connection, [str(table) for table in _tables(metadatas)] + [f"bi.{view.name}" for view in views]
    )
    wanted = {right for right in wanted_rights(metadatas, views) if right[0] in roles and right[1] in relations}
    rights = _rights(connection, list(roles), relations)
    findings = [*missing, *mighty, *_lacking(wanted - rights), *_excessive(rights - wanted)]
    return findings or [Finding("database", "ok", f"{', '.join(ROLES)} may do what they should, and no more")]


def wanted_rights(metadatas: Iterable[MetaData], views: Iterable[View]) -> set[Right]:
    """Everything that the roles shall be allowed to do with our tables and views."""
    wanted = {(role, f"bi.{view.name}", privilege) for view in views for role in ROLES for privilege in READ}
    for table in _tables(metadatas):
        wanted |= {("syncd_writer", str(table), privilege) for privilege in WRITE}
        wanted |= {(role, str(table), privilege) for role in _readers(table) for privilege in READ_AND_JOIN}
    return wanted


def _readers(table: Table) -> tuple[str, ...]:
    """Who may read a table besides the writer; the control schema is no one's to read but syncd's."""
    if table.schema == "syncd":
        return ()
    return ("syncd_bi_pii",) if table.info.get("personal") else ("syncd_bi", "syncd_bi_pii")


def _tables(metadatas: Iterable[MetaData]) -> list[Table]:
    return [table for metadata in metadatas for table in metadata.sorted_tables]


_ROLES = text("""
    SELECT rolname::text AS name,
           NOT (rolsuper OR rolcanlogin OR rolcreaterole OR rolcreatedb OR rolbypassrls) AS is_plain
    FROM pg_roles WHERE rolname = ANY (:roles)
""")
_PRESENT = text("SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE to_regclass(name) IS NOT NULL")
# A right to a table is worth nothing without one to its schema.
_RIGHTS = text("""
    SELECT role, relation, privilege
    FROM unnest(CAST(:roles AS text[])) AS role, unnest(CAST(:relations AS text[])) AS relation,
         unnest(CAST(:privileges AS text[])) AS privilege
    WHERE has_table_privilege(role, relation, privilege)
      AND has_schema_privilege(role, split_part(relation, '.', 1), 'USAGE')
""")


def _present(connection: Connection, names: list[str]) -> list[str]:
    """Those that are there; what is missing is told of elsewhere."""
    return [name for (name,) in connection.execute(_PRESENT, {"names": names})]


def _rights(connection: Connection, roles: list[str], relations: list[str]) -> set[Right]:
    asked = {"roles": roles, "relations": relations, "privileges": list(PRIVILEGES)}
    return {(role, relation, privilege) for role, relation, privilege in connection.execute(_RIGHTS, asked)}


def _lacking(rights: set[Right]) -> Iterator[Finding]:
    for role, privilege, relations in _grouped(rights):
        yield Finding("database", "wrong", f"{role} lacks {privilege} on {_named(relations)}", GRANT)


def _excessive(rights: set[Right]) -> Iterator[Finding]:
    for role, privilege, relations in _grouped(rights):
        sentence = f"{role} has {privilege} on {_named(relations)}, which it should not"
        revoke = f"REVOKE {privilege} ON {', '.join(relations)} FROM {role}; a right of PUBLIC is revoked from PUBLIC"
        yield Finding("database", "wrong", sentence, revoke)


def _grouped(rights: set[Right]) -> Iterator[tuple[str, str, list[str]]]:
    """Role, privilege, and the relations on which it is so."""
    rows = sorted((role, privilege, relation) for role, relation, privilege in rights)
    for (role, privilege), group in groupby(rows, key=lambda row: row[:2]):
        yield role, privilege, [relation for _, _, relation in group]


def _named(relations: Sequence[str]) -> str:
    rest = len(relations) - MOST_NAMES
    return ", ".join(relations[:MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def _mighty(role: str) -> Finding:
    return Finding(
        "database", "wrong", f"role {role} may log in, or is more than a plain role",
        f"ALTER ROLE {role} NOLOGIN NOSUPERUSER NOCREATEROLE NOCREATEDB NOBYPASSRLS",
    )  # fmt: skip
