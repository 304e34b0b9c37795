"""What a database must be for syncd to work with it, asked before anything is written to it (docs/faults.md 92)."""

from __future__ import annotations

import psycopg

from syncd.errors import ConfigError

OLDEST_MAJOR = 15


def require_supported(info: psycopg.ConnectionInfo) -> None:
    """Raise ConfigError for a server that is too old, and for a database that cannot hold every character or tells
    times in a form of its own. Costs no query: a server says all of it at the login."""
    if info.server_version < OLDEST_MAJOR * 10_000:
        raise ConfigError(
            f"the database server is PostgreSQL {info.parameter_status('server_version') or 'of no known version'}, "
            f"and syncd needs {OLDEST_MAJOR} or newer; nothing was written",
            hint="upgrade that server, or name a newer one in database.url",
        )
    if (encoding := info.parameter_status("server_encoding")) not in (None, "UTF8"):
        raise ConfigError(
            f"the database's encoding is {encoding}, and syncd needs UTF8; nothing was written",
            hint="in database.url name one that was made by CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'",
        )
    if not (style := info.parameter_status("DateStyle") or "ISO").startswith("ISO"):
        raise ConfigError(
            f"the database tells times in the style {style!r}, and syncd reads ISO alone; nothing was written",
            hint="for the user of database.url: ALTER ROLE … SET datestyle = 'ISO'",
        )
