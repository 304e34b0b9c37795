"""Why there is no connection to the database, in a person's words.

The driver gives a refused connection no SQLSTATE, only text: the server's own, in the server's language. What is not
recognized is repeated as the driver put it, first line only.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import PoolTimeout

from syncd.errors import ConfigError, DatabaseError

_QUOTING = "in its user and password write @ as %40, : as %3A, / as %2F, % as %25"
_HOST_NAME = re.compile(r"[\w.-]+", re.ASCII)


class _Cause(NamedTuple):
    pattern: str
    sentence: str
    hint: str


# {} stands for the address; the words are those of libpq 18, psycopg 3.3 and PostgreSQL 15 to 18.
_CAUSES = tuple(
    _Cause(*cause)
    for cause in (
        (
            "Connection refused",
            "nothing listens at {}",
            "start PostgreSQL there, or correct host and port in database.url",
        ),
        ("No such file", "no server listens on {}", "start PostgreSQL, or correct the folder in database.url"),
        ("password authentication failed", "{} refuses the user or the password", "correct them in database.url"),
        ("no password supplied", "{} asks for a password, and database.url has none", "put it into database.url"),
        (r'role ".*" does not exist', "{} does not know the user", "create it there, or correct it in database.url"),
        (
            r'database ".*" does not exist',
            "{} has no such database",
            "create it there, or correct its name in database.url",
        ),
        (
            "permission denied for database",
            "{} lets the user not into that database",
            "GRANT CONNECT on it to that user",
        ),
        ("not currently accepting conn", "{} lets nobody into that database", "name another one in database.url"),
        (
            "no pg_hba.conf entry",
            "{} lets nobody in from this machine",
            "add this machine to that server's pg_hba.conf",
        ),
        (
            "too many c|connection slots",
            "{} has no connection left",
            "raise its max_connections, or lower database.pool_size",
        ),
        ("starting up|shutting down|recovery mode|not yet acc", "{} is starting or stopping", "repeat in a moment"),
        ("does not support SSL", "{} offers no TLS", "leave out sslmode in database.url, or switch TLS on there"),
        ("certificate|SSL error", "{} has no certificate that can be trusted", "correct sslrootcert in database.url"),
        (
            "invalid response to SSL|expected auth",
            "what listens at {} is no PostgreSQL",
            "correct the port in database.url",
        ),
        ("No route|unreachable", "there is no way to {}", "is the network up, and the host in database.url right?"),
        ("timeout|timed out", "no answer from {}", "is the host in database.url right, and open in the firewall?"),
        ("closed the connection", "{} closed the connection", "is it PostgreSQL? Then its log says why"),
    )
)


def require_readable(url: str) -> None:
    """Raise ConfigError unless libpq can read the URL. Shows nothing of it: what is misread may be the password."""
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # its text quotes the part that it could not read
        raise ConfigError(
            "database.url cannot be read",
            hint=f"it looks like postgresql://host/name, with user and password before the host; {_QUOTING}",
        ) from None


def unreached(error: psycopg.Error) -> DatabaseError:
    """The error for a connection that could not be had, or broke off."""
    if isinstance(error, PoolTimeout):
        return DatabaseError(
            "no connection to the database was to be had in time", hint="is the server running, or overloaded?"
        )
    text = str(error).strip()
    if found := re.search(r"failed to resolve host '(.*)':", text):
        return _no_host(found[1])
    found = re.search(r'server at "(.*?)", port (\d+) failed: (.*)|server on (socket ".*?") failed: (.*)', text)
    if found is None:
        return _broken_off(text)
    place = f"{found[1]}:{found[2]}" if found[1] else found[4]
    return _refused(place, found[3] or found[5])


def _refused(place: str, said: str) -> DatabaseError:
    for cause in _CAUSES:
        if re.search(cause.pattern, said):
            return DatabaseError(
                f"no connection to the database: {cause.sentence.format(place)} ({said})", hint=cause.hint
            )
    return DatabaseError(
        f"no connection to the database: {place} says {said!r}", hint="correct database.url, or that server"
    )


def _no_host(name: str) -> DatabaseError:
    if not _HOST_NAME.fullmatch(name):  # most likely a part of the password
        return DatabaseError(
            "no connection to the database: database.url names no host", hint=f"correct it; {_QUOTING}"
        )
    return DatabaseError(
        f"no connection to the database: there is no host {name}", hint=f"correct the host in database.url; {_QUOTING}"
    )


def _broken_off(text: str) -> DatabaseError:
    if "connection is bad: invalid" in text:  # a port or an option; quotes it
        return DatabaseError(
            "no connection to the database: database.url holds a wrong port or option", hint=f"correct it; {_QUOTING}"
        )
    if "timeout" in text:
        return DatabaseError(
            "no connection to the database: no answer in time",
            hint="is the host in database.url right, and open in the firewall?",
        )
    return DatabaseError(
        f"the connection to the database has broken off ({text.partition(chr(10))[0]})",
        hint="is the server running? What was stored is intact, and the next sync goes on",
    )
