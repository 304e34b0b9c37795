"""What an error of the database means to a person: the one table from SQLSTATE to a sentence and a next step.

Of the server's words only `message_primary` is repeated, and only of classes in which it names objects, never values:
the rest may hold personal data (docs/faults.md 93).
"""

from __future__ import annotations

from typing import NamedTuple

import psycopg

from syncd.errors import DatabaseError
from syncd.store.reach import unreached

_GOES_ON = "what was stored is intact, and the next sync goes on"


class _Meaning(NamedTuple):
    sentence: str
    hint: str


# PostgreSQL, "Appendix A. PostgreSQL Error Codes".
_BY_STATE = {
    "25006": _Meaning(
        "the database is read-only", "name the primary in database.url, or end default_transaction_read_only there"
    ),
    "25P03": _Meaning("a transaction stood still for too long and was ended", f"repeat: {_GOES_ON}"),
    "26000": _Meaning("the pooler mixes up sessions", 'set database.pooler = "transaction" and database.direct_url'),
    "40001": _Meaning("another session changed the same rows", f"repeat: {_GOES_ON}"),
    "40P01": _Meaning("another session locked the same rows", f"repeat: {_GOES_ON}"),
    "42501": _Meaning("the user of database.url may not do this", "as the owner of the tables run `syncd db grants`"),
    "42P01": _Meaning(
        "a table that syncd needs is missing", "restore it: only `syncd db upgrade` may change the schema"
    ),
    "42703": _Meaning(
        "a column that syncd needs is missing", "restore it: only `syncd db upgrade` may change the schema"
    ),
    "42P05": _Meaning("the pooler mixes up sessions", 'set database.pooler = "transaction" and database.direct_url'),
    "53100": _Meaning(
        "the disk of the database server is full; nothing that was stored is lost",
        "free space on that disk, then repeat: the next sync goes on",
    ),
    "53200": _Meaning("the database server is out of memory", f"give it more, then repeat: {_GOES_ON}"),
    "53300": _Meaning(
        "the database server has no connection left", "raise its max_connections, or lower database.pool_size"
    ),
    "55P03": _Meaning("another session holds a lock for too long", "end that session (pg_stat_activity), then repeat"),
    "57014": _Meaning(
        "the database server cancelled a query", "raise its statement_timeout for the user of database.url"
    ),
    "57P01": _Meaning(
        "an administrator ended the connection to the database", f"repeat when the server is up: {_GOES_ON}"
    ),
    "57P02": _Meaning("the database server has crashed", f"read its log, then repeat: {_GOES_ON}"),
    "57P03": _Meaning("the database server is starting or stopping", "repeat in a moment"),
    "58030": _Meaning("the database server's disk fails", "read the server's log; have the disk looked at"),
    "XX001": _Meaning("the database's files are damaged", "read the server's log; restore from a backup"),
    "XX002": _Meaning("an index of the database is damaged", "REINDEX it; read the server's log"),
}
_OTHERWISE = _Meaning("the database refused", "the server's log says more")
# Their `message_primary` names tables, columns, constraints, files: our own, and the server's. Class 22 quotes values.
_NAMES_NO_VALUE = {"08", "0A", "23", "25", "26", "28", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "XX"}


def explain(error: psycopg.Error) -> DatabaseError:
    """The error in a person's words."""
    if error.sqlstate is None:
        return unreached(error)
    meaning = _BY_STATE.get(error.sqlstate, _OTHERWISE)
    said = error.diag.message_primary if error.sqlstate[:2] in _NAMES_NO_VALUE else None
    words = f"{said}, SQLSTATE {error.sqlstate}" if said else f"SQLSTATE {error.sqlstate}"
    return DatabaseError(f"{meaning.sentence} ({words})", hint=meaning.hint)
