"""The oldest PostgreSQL server that syncd works with, asked before anything is written to it."""

from __future__ import annotations

import psycopg

from syncd.errors import ConfigError

OLDEST_MAJOR = 15


def require_supported(info: psycopg.ConnectionInfo) -> None:
    """Raise ConfigError for a server that is too old. Costs no query: a server says its version at the login."""
    if info.server_version >= OLDEST_MAJOR * 10_000:
        return
    raise ConfigError(
        f"the database server is PostgreSQL {info.parameter_status('server_version') or 'of no known version'}, "
        f"and syncd needs {OLDEST_MAJOR} or newer; nothing was written",
        hint="upgrade that server, or name a newer one in database.url",
    )
