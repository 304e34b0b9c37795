"""A sandbox on real sockets, a migrated database, and the application between them, for the tests of the engine."""

from __future__ import annotations

import asyncio
import atexit
import base64
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

from syncd import config, main
from syncd.credentials.file import read_credentials
from syncd.model import Installation
from syncd.sandbox import Limits, Sandbox, SandboxSettings
from syncd.sources import SOURCES
from syncd.store.installations import find_installation
from syncd.sync.round import RoundResult, Watch
from tests.postgres import Session

UNLIMITED = Limits(0, 0, 0)
TODAY = date(2026, 5, 1)
TIMEZONE = "Europe/Warsaw"
KEYS = "k1:" + base64.b64encode(b"a key of thirty-two bytes, truly"[:32]).decode()
CLIENT_SECRET = "sandbox-secret-NFrW8s1xKQ"
# A world that has every trap of the sandbox and is walked in a blink.
SMALL: Mapping[str, Any] = {"events": 1, "participants": 60, "activities": 30}

EVENT = "/events/{event_id}"
ROLES = EVENT + "/roles"
PARTICIPANTS = EVENT + "/participants"
THREADS = EVENT + "/threads"
LOCATIONS = EVENT + "/locations"
ACTIVITIES = EVENT + "/activities"
WAVES = EVENT + "/registration-waves"
TOKEN = "/oauth/token"


class HastyClock:
    """`Clock` on which a sleep takes no time at all: the monotonic clock leaps instead. The wall clock is the real one.

    `slept` holds every sleep in seconds.
    """

    def __init__(self) -> None:
        self._leapt_s = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The machine's wall clock."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """The machine's monotonic clock and all leaps."""
        return time.monotonic() + self._leapt_s

    async def sleep(self, delay_s: float) -> None:
        """Leap."""
        self.slept.append(delay_s)
        self._leapt_s += delay_s
        await asyncio.sleep(0)


class ShiftedClock(HastyClock):
    """A `HastyClock` whose wall clock stands apart from the real one by `offset_s`."""

    def __init__(self, offset_s: float) -> None:
        super().__init__()
        self.offset_s = offset_s

    def now(self) -> datetime:
        """The machine's wall clock and the offset."""
        return super().now() + timedelta(seconds=self.offset_s)


@dataclass
class Bench:
    """One sandbox, one database, one application."""

    sandbox: Sandbox
    url: str
    app: main.App
    names: list[str] = field(default_factory=list)  # of the installations that were added
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.session = Session(self.url)

    @property
    def event_id(self) -> str:
        """The sandbox's first event."""
        return self.sandbox.event_ids[0]

    async def add(self, event_id: str | None = None, scopes: tuple[str, ...] | None = None) -> Installation:
        """Connect an event, the first one unless told: a fresh grant."""
        return await self.add_reply("revento", self.sandbox.connect(event_id or self.event_id, scopes))

    async def add_user(self, participant_id: str, scopes: tuple[str, ...] | None = None) -> Installation:
        """Let a participant of the first event sign in: a fresh grant."""
        reply = self.sandbox.connect(self.event_id, scopes, participant_id=participant_id)
        return await self.add_reply("revento-user", reply)

    async def add_reply(
        self, source_name: str, reply: Mapping[str, Any], *, name: str | None = None, check: bool = False
    ) -> Installation:
        """Add what a token reply opens to the source of that name, as the installation `name` or under its own."""
        source = SOURCES[source_name]
        credentials = read_credentials(
            json.dumps(reply).encode(), now=datetime.now(UTC), account=source.account, consenter=source.consenter
        )
        installation = Installation(
            name=name or f"{source_name}/{credentials.account}",
            source=source_name,
            account=credentials.account,
            organization=credentials.organization_id,
            timezone=TIMEZONE,
            environment="sandbox",
            api_url=self.sandbox.api_url,
            auth_url=self.sandbox.auth_url,
            scopes=credentials.tokens.scopes,
            state="active",
            grant_id=uuid4(),
        )
        self.names.append(installation.name)
        return await main.add_installation(self.app, installation, credentials.tokens, check=check)

    async def installation(self, name: str | None = None) -> Installation:
        """An installation as it stands in the database, the one that was added first unless named."""
        return await find_installation(self.app.database, name or self.names[0])

    async def sync(
        self,
        installation: Installation | None = None,
        streams: Sequence[str] = (),
        *,
        watch: Watch | None = None,
        wait: bool = True,
        fresh: bool = False,
        deadline_s: float = 60,
    ) -> RoundResult:
        """One round of an installation as it stands in the database, the one that was added first unless told.

        Raises TimeoutError at the deadline: a walk that never ends must not hang the suite.
        """
        known = await self.installation(installation.name if installation else None)
        chosen = main.chosen_streams(known, streams)
        order = self.app.order(known, "sync", chosen, wait=wait, fresh=fresh)
        async with asyncio.timeout(deadline_s):
            return await self.app.run_round(order, watch or Watch())

    def calls(self, endpoint: str | None = None, since: int = 0) -> list[dict[str, Any]]:
        """The sandbox's log of API calls, or of one endpoint's, from the entry behind number `since` on."""
        return [
            entry
            for entry in self.sandbox.log(since)
            if (entry["endpoint"] == endpoint if endpoint else entry["endpoint"] != TOKEN)
        ]

    def mark(self) -> int:
        """The number of the last entry of the sandbox's log."""
        return self.sandbox.log()[-1]["n"] if self.sandbox.log() else 0

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Rows of a query of our own."""
        if self.session.url != self.url:  # the application goes through a proxy, and we do not
            self.session.close()
            self.session = Session(self.url)
        return self.session.run(sql, *parameters)

    def value(self, sql: str, *parameters: object) -> Any:
        """The only value of a query."""
        ((value,),) = self.query(sql, *parameters)
        return value

    def execute(self, sql: str, *parameters: object) -> None:
        """Change the database behind the application's back."""
        self.query(sql, *parameters)

    def close(self) -> None:
        """End the session of its own."""
        self.session.close()

    def hurry(self) -> HastyClock:
        """Let the application's pauses take no time from now on."""
        clock = HastyClock()
        self.app = replace(self.app, clock=clock)
        return clock

    @asynccontextmanager
    async def second_app(self, **environ: str) -> AsyncIterator[main.App]:
        """Another application on the same database, as another process would open it."""
        async with open_app(self.url, self.sandbox, **environ) as app:
            yield replace(app, owner="another driver")


# Beside no database that the tests share: what one machine remembers of its grants.
HOME = tempfile.mkdtemp(prefix="syncd-tests-")


def leave_no_home(maker: int = os.getpid()) -> None:
    """Remove HOME; a fork leaves it to the process that has made it."""
    if os.getpid() == maker:
        shutil.rmtree(HOME, ignore_errors=True)


atexit.register(leave_no_home)


def environment(url: str, sandbox: Sandbox, **changes: str) -> dict[str, str]:
    """The environment of a `syncd` process that works on this database and this sandbox without limits."""
    return {
        "SYNCD_DATABASE__URL": url,
        "SYNCD_DATABASE__DATA_DIR": HOME,
        "SYNCD_SECURITY__ENCRYPTION_KEYS": KEYS,
        "SYNCD_REVENTO__API_URL": sandbox.api_url,
        "SYNCD_REVENTO__AUTH_URL": sandbox.auth_url,
        "SYNCD_REVENTO__CLIENT_ID": sandbox.settings.client_id,
        "SYNCD_REVENTO__CLIENT_SECRET": sandbox.settings.client_secret,
        "SYNCD_REVENTO__LIMITS__PER_HOUR": "0",
        "SYNCD_REVENTO__LIMITS__PER_MINUTE": "0",
        **{f"SYNCD_{name}": value for name, value in changes.items()},
    }


@asynccontextmanager
async def open_app(url: str, sandbox: Sandbox, **environ: str) -> AsyncIterator[main.App]:
    """The application, under settings that were read from an environment; `REVENTO__PAGE_SIZE="10"` changes one."""
    settings = config.load(None, environment(url, sandbox, **environ))
    async with main.open_app(settings, url, "test") as app:
        yield app


OpenBench = Callable[..., Awaitable[Bench]]


@asynccontextmanager
async def benches(url: str) -> AsyncIterator[OpenBench]:
    """Open benches on one database; `environ` changes settings of the application, the rest those of the sandbox."""
    async with AsyncExitStack() as stack:

        async def start(environ: Mapping[str, str] | None = None, **sandbox_settings: Any) -> Bench:
            given: dict[str, Any] = {"today": TODAY, "limits": UNLIMITED, "client_secret": CLIENT_SECRET, **SMALL}
            sandbox = await stack.enter_async_context(Sandbox(SandboxSettings(**(given | sandbox_settings))))
            app = await stack.enter_async_context(open_app(url, sandbox, **(environ or {})))
            bench = Bench(sandbox, url, app)
            stack.callback(bench.close)
            return bench

        yield start
