"""The composition root: settings become connections, connections become an application.

The only room that sees every part; what two parts need of each other is wired here.
"""

from syncd.main.accounts import accept_restored, add_installation, chosen, chosen_streams, discovered
from syncd.main.app import App, open_app
from syncd.main.consent import client_identity, redeem
from syncd.main.database import (
    TABLES,
    VIEWS,
    add_own_key,
    database_url,
    home,
    lone_rotation,
    open_vault,
    own_keys_path,
    prepare_database,
    upgrade_database,
)

__all__ = [
    "TABLES",
    "VIEWS",
    "App",
    "accept_restored",
    "add_installation",
    "add_own_key",
    "chosen",
    "chosen_streams",
    "client_identity",
    "database_url",
    "discovered",
    "home",
    "lone_rotation",
    "open_app",
    "open_vault",
    "own_keys_path",
    "prepare_database",
    "redeem",
    "upgrade_database",
]
