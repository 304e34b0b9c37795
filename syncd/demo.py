"""The whole product on one machine: a sandbox of the API, an embedded PostgreSQL, and syncd between them.

The demo has a home of its own, begins with an empty database each time, and stops what it started.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Select, Table, func, select

from syncd import config
from syncd.clock import SystemClock
from syncd.credentials.file import read_credentials
from syncd.errors import ConfigError
from syncd.main import TABLES, App, add_installation, open_app, upgrade_database
from syncd.model import Installation
from syncd.sandbox import Sandbox, SandboxSettings
from syncd.store import embedded
from syncd.store.engine import recreate_database
from syncd.sync.round import RoundResult, Watch

# Both walks of three events stay within an hour's budget at these promises (contracts/revento.md §8).
FRESHNESS = {"participants": "6m", "activities": "90s"}
LIFE_S = 5.0
CONFIG_FILE = "syncd.toml"

FAULTS: Mapping[str, Mapping[str, object]] = {
    "outage": {"endpoint": "/events/{event_id}/participants", "nth": 2, "times": 2, "error": "service_unavailable"},
    "cut": {"endpoint": "/events/{event_id}/participants", "nth": 3, "times": 1, "cut_after_bytes": 500},
    "slow": {"endpoint": "/events/{event_id}/activities", "nth": 1, "times": 2, "delay_s": 2.0},
    "refused": {"endpoint": "/events/{event_id}/locations", "nth": 1, "times": 1, "error": "rate_limit_exceeded"},
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A demo that is set up: everything runs, nothing has been copied yet."""

    app: App
    sandbox: Sandbox
    installations: tuple[Installation, ...]
    bind: tuple[str, int]  # where the daemon's probes shall answer

    async def first_sync(self, watch: Watch) -> list[RoundResult]:
        """Copy every event once. Raises the first error that kept a round from running."""
        orders = [self.app.order(installation, "sync") for installation in self.installations]
        return list(await asyncio.gather(*(self.app.run_round(order, watch) for order in orders)))

    async def row_counts(self) -> dict[str, int]:
        """Rows in each table that the sync fills; rows that are only named by others do not count."""
        tables = [table for metadata in TABLES if metadata.schema != "syncd" for table in metadata.sorted_tables]
        async with self.app.database.control() as control:
            return {str(table): await control.scalar(_count(table)) or 0 for table in tables}

    def activity_id(self) -> str:
        """An activity of the first event, to play with."""
        activity_id: str = self.sandbox.truth()["events"][0]["activities"][0]["id"]
        return activity_id


def _count(table: Table) -> Select[int]:
    rows = select(func.count()).select_from(table)
    return rows.where(~table.c["_syncd_is_stub"]) if "_syncd_is_stub" in table.c else rows


def default_home() -> Path:
    """Beside the home of the embedded server that real work uses."""
    home = embedded.default_home()
    return home.with_name(f"{home.name}-demo")


@contextmanager
def stage_database(home: Path) -> Iterator[embedded.Server]:
    """An embedded server with an empty, migrated database; stopped at the end. Blocking. Raises ConfigError."""
    server = embedded.start(home)
    with _alone(home):
        try:
            recreate_database(server.url)
            upgrade_database(server.url)
            yield server
        finally:
            embedded.stop(home)


@asynccontextmanager
async def set_up(
    server: embedded.Server, sandbox_settings: SandboxSettings, faults: tuple[str, ...], watch: Watch
) -> AsyncIterator[Stage]:
    """Start the sandbox, write the demo's configuration, and connect every event of the sandbox's world."""
    bind = ("127.0.0.1", _free_port())
    async with Sandbox(sandbox_settings) as sandbox:
        settings = config.load(_write_config(server.home, sandbox, sandbox_settings, bind), {})
        async with open_app(settings, server.url, "demo", watch) as app:
            installations = [await _connect(app, sandbox, event_id) for event_id in sandbox.event_ids]
            for fault in faults:
                sandbox.faults.add(dict(FAULTS[fault]))
            yield Stage(app, sandbox, tuple(installations), bind)


async def _connect(app: App, sandbox: Sandbox, event_id: str) -> Installation:
    """What an organizer's consent and `syncd installations add` do for a real event."""
    credentials = read_credentials(json.dumps(sandbox.connect(event_id)).encode(), now=SystemClock().now())
    installation = Installation(
        name=f"revento/{event_id}",
        source="revento",
        account=event_id,
        organization=credentials.organization_id,
        timezone="Europe/Warsaw",
        environment="sandbox",
        api_url=sandbox.api_url,
        auth_url=sandbox.auth_url,
        scopes=credentials.tokens.scopes,
        state="active",
        grant_id=uuid4(),
    )
    return await add_installation(app, installation, credentials.tokens, check=True)


def _write_config(home: Path, sandbox: Sandbox, settings: SandboxSettings, bind: tuple[str, int]) -> Path:
    tables: dict[str, dict[str, str]] = {
        "database": {"data_dir": str(home)},
        "http": {"bind": f"{bind[0]}:{bind[1]}"},
        "revento": {
            "api_url": sandbox.api_url,
            "auth_url": sandbox.auth_url,
            "client_id": settings.client_id,
            "client_secret": settings.client_secret,
        },
        "freshness.revento": dict(FRESHNESS),
    }
    lines = ["# Written by `syncd demo` at each start."]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    path = home / CONFIG_FILE
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    path.chmod(0o600)
    return path


def _free_port() -> int:
    """The usual port if it is free, else any that is."""
    for port in (8440, 0):
        try:
            with socket.create_server(("127.0.0.1", port)) as listener:
                free: int = listener.getsockname()[1]
                return free
        except OSError:
            continue
    raise ConfigError("no port on 127.0.0.1 is free", hint="close some programs and try again")


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Two demos in one home would empty each other's database."""
    descriptor = os.open(home / "demo.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ConfigError(f"another demo is running in {home}", hint="stop it with Ctrl-C first") from error
    finally:
        os.close(descriptor)
