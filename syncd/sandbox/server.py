"""The sandbox: both listeners, the world behind them, and the same operations as the control port, in process."""

from __future__ import annotations

import asyncio
import json
import secrets
from dataclasses import asdict, fields, replace
from typing import Any

from syncd.sandbox.api import ENDPOINTS, Api
from syncd.sandbox.clock import Clock
from syncd.sandbox.control import Control
from syncd.sandbox.cursors import Cursors
from syncd.sandbox.faults import Faults
from syncd.sandbox.gateway import API_PREFIX, AUTH_PREFIX, Gateway
from syncd.sandbox.http import Listener
from syncd.sandbox.log import RequestLog
from syncd.sandbox.oauth import REVOKE_ENDPOINT, TOKEN_ENDPOINT, OAuthHost
from syncd.sandbox.settings import Limits, SandboxSettings
from syncd.sandbox.tokens import Tokens
from syncd.sandbox.world import World

# What shapes the world or the sockets is fixed once the sandbox runs.
FIXED_SETTINGS = frozenset({"host", "port", "control_port", "seed", "events", "participants", "activities", "today"})


class Sandbox:
    """The remote side, on real sockets, while the context is open; nothing survives it.

    `world`, `tokens`, `faults` and `clock` may be used directly: all of them live in the event loop's thread.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self.clock = Clock()
        self.world = World(self.settings, self.clock.stamp)
        self.tokens = Tokens(self.clock)
        self.faults = Faults((*ENDPOINTS, TOKEN_ENDPOINT, REVOKE_ENDPOINT))
        self.requests = RequestLog()
        self.api_url = self.auth_url = self.control_url = ""
        api = Api(self.world, self.tokens, Cursors(secrets.token_bytes(32)), self.clock, self._current)
        host = OAuthHost(self.tokens, self._current)
        gateway = Gateway(
            api=api,
            host=host,
            tokens=self.tokens,
            faults=self.faults,
            log=self.requests,
            clock=self.clock,
            settings=self._current,
        )
        self._listener = Listener(gateway.respond)
        self._control = Listener(Control(self).respond)
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Sandbox:
        host = self.settings.host
        port = await self._listener.start(host, self.settings.port)
        try:
            control_port = await self._control.start(host, self.settings.control_port)
        except OSError:
            await self._listener.stop()
            raise
        self.api_url, self.auth_url = f"http://{host}:{port}{API_PREFIX}", f"http://{host}:{port}{AUTH_PREFIX}"
        self.control_url = f"http://{host}:{control_port}"
        await self._restart_life()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._stop_life()
        await self._control.stop()
        await self._listener.stop()

    @property
    def event_ids(self) -> list[str]:
        """Ids of the events that exist now."""
        return list(self.world.events)

    def connect(self, event_id: str, scopes: tuple[str, ...] | None = None) -> dict[str, Any]:
        """An organizer consents: a fresh grant's token response (contracts/revento.md §5). `scopes` narrows what is
        granted. `KeyError` when there is no such event."""
        organization_id = self.world.events[event_id].row.value["organization_id"]
        settings = self.settings if scopes is None else replace(self.settings, scopes=tuple(scopes))
        return self.tokens.connect(event_id, organization_id, settings)

    def truth(self) -> dict[str, Any]:
        """Every object as the API serves it; the caller's own copy."""
        copy: dict[str, Any] = json.loads(json.dumps(self.world.truth()))
        return copy

    def log(self, since: int = 0) -> list[dict[str, Any]]:
        """The requests numbered above `since`, oldest first (fields: `syncd.sandbox.log.Entry`)."""
        return self.requests.since(since)

    async def configure(self, **changes: Any) -> None:
        """Change settings while running; `limits` may be a mapping of some limits. `ValueError` on what is fixed or
        unknown."""
        allowed = {item.name for item in fields(SandboxSettings)} - FIXED_SETTINGS
        if refused := set(changes) - allowed:
            raise ValueError(f"cannot be changed: {', '.join(sorted(refused))}")
        if isinstance(limits := changes.get("limits"), dict):
            changes["limits"] = Limits(**{**asdict(self.settings.limits), **limits})
        self.settings = replace(self.settings, **changes)
        if "life_s" in changes:
            await self._restart_life()

    def _current(self) -> SandboxSettings:
        return self.settings

    async def _restart_life(self) -> None:
        await self._stop_life()
        if self.settings.life_s > 0:
            self._life = asyncio.get_running_loop().create_task(self._live(self.settings.life_s))

    async def _stop_life(self) -> None:
        if self._life is not None:
            self._life.cancel()
            await asyncio.gather(self._life, return_exceptions=True)
            self._life = None

    async def _live(self, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            self.world.live_once()
