"""The sandbox: both listeners, the world behind them, and the same operations as the control port, in process."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from syncd.sandbox import gaps, oauth
from syncd.sandbox.api import ENDPOINTS, Api
from syncd.sandbox.authorize import Consents
from syncd.sandbox.client import Client
from syncd.sandbox.clock import Clock
from syncd.sandbox.conduct import Conduct
from syncd.sandbox.control import Control, knows
from syncd.sandbox.cursors import Cursors
from syncd.sandbox.developer import Developer
from syncd.sandbox.faults import Faults
from syncd.sandbox.gateway import API_PREFIX, AUTH_PREFIX, Gateway
from syncd.sandbox.http import Listener
from syncd.sandbox.listings import Listings
from syncd.sandbox.log import RequestLog
from syncd.sandbox.oauth import OAuthHost
from syncd.sandbox.schedule import Schedule
from syncd.sandbox.settings import Limits, SandboxSettings, check_scopes
from syncd.sandbox.tokens import Tokens
from syncd.sandbox.world import World

# What shapes the world or the sockets is fixed once the sandbox runs.
FIXED_SETTINGS = frozenset(
    {"host", "port", "control_port", "seed", "events", "participants", "activities", "today", "webhook_secret"}
)
FIXED_GAPS = frozenset({"G25"})
LIMITS = ("limits", "user_limits", "developer_limits")


class Sandbox:
    """The remote side, on real sockets, while the context is open; nothing survives it.

    `world`, `tokens`, `faults`, `schedule` and `clock` may be used directly: all live in the event loop's thread.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self.clock = Clock()
        self.world = World(self.settings, self.clock.stamp, lambda: self.settings.reading("G20") == "kept")
        self.tokens = Tokens(self.clock)
        control, endpoints = Control(self), (*ENDPOINTS, *oauth.METHODS)
        self.faults = Faults(endpoints)
        self.schedule = Schedule(endpoints, self.world, control.respond, knows)
        self.requests = RequestLog()
        self._conduct = Conduct(self.requests, self.tokens, self.clock, self._current)
        self.api_url = self.auth_url = self.control_url = ""
        self._client = Client(self.clock, self._current)
        self.developer = Developer(self._client, self.tokens, self.clock, self._current)
        consents = Consents(self.world, self.tokens, self.clock, self._current)
        host = OAuthHost(self._client, self.tokens, consents, self._current)
        listings = Listings(Cursors(secrets.token_bytes(32)), self.clock, self._current)
        api = Api(self.world, self.tokens, listings, self.developer, self._current)
        gateway = Gateway(
            api=api,
            host=host,
            tokens=self.tokens,
            faults=self.faults,
            schedule=self.schedule,
            conduct=self._conduct,
            log=self.requests,
            clock=self.clock,
            settings=self._current,
        )
        self._listener = Listener(gateway.respond)
        self._control = Listener(control.respond)
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

    def connect(
        self,
        event_id: str,
        scopes: Sequence[str] | None = None,
        *,
        user_id: str | None = None,
        participant_id: str | None = None,
    ) -> dict[str, Any]:
        """An organizer consents or, when one is named, a participant: a fresh grant's token response
        (contracts/revento.md §5). `scopes` narrows what is granted. `KeyError` when there is no such event or
        participant, `ValueError` when a scope is not of this kind of token."""
        event = self.world.events[event_id]
        person = event.participant(user_id, participant_id) if user_id or participant_id else None
        granted = self.settings.user_scopes if person else self.settings.scopes
        if scopes is not None:
            granted = check_scopes(tuple(scopes), "user" if person else "installation")
        return self.tokens.connect(event.row.value, granted, self.settings, person)

    def rotate_client_secret(self) -> str:
        """A new client secret, as the developer console makes one; what becomes of the old one is G27."""
        self._client.retire(self.settings.client_secret)
        self.settings = replace(self.settings, client_secret=secrets.token_urlsafe(32))
        return self.settings.client_secret

    def truth(self) -> dict[str, Any]:
        """Every object as the API serves it; the caller's own copy."""
        copy: dict[str, Any] = json.loads(json.dumps(self.world.truth()))
        return copy

    def log(self, since: int = 0) -> list[dict[str, Any]]:
        """The requests numbered above `since`, oldest first (fields: `syncd.sandbox.log.Entry`)."""
        return self.requests.since(since)

    def notes(self) -> list[dict[str, Any]]:
        """What clients did that well-behaved ones do not: every code, its meaning and the requests, maybe none."""
        return self._conduct.summary()

    async def configure(self, **changes: Any) -> None:
        """Change settings while running; limits and `gaps` may be mappings of those that change. `ValueError` on what
        is fixed or unknown."""
        allowed = {item.name for item in fields(SandboxSettings)} - FIXED_SETTINGS
        if refused := set(changes) - allowed:
            raise ValueError(f"cannot be changed: {', '.join(sorted(refused))}")
        for name in LIMITS:
            if isinstance(limits := changes.get(name), dict):
                changes[name] = Limits(**{**asdict(getattr(self.settings, name)), **limits})
        for name in set(changes) & {"scopes", "user_scopes", "redirect_uris"}:
            changes[name] = tuple(changes[name])
        if "gaps" in changes:
            changes["gaps"] = self._overlaid(changes["gaps"])
        self.settings = replace(self.settings, **changes)
        if "life_s" in changes:
            await self._restart_life()

    def _overlaid(self, chosen: Mapping[str, str]) -> Mapping[str, str]:
        gaps.check(chosen)
        for gap_id in FIXED_GAPS & set(chosen):
            if chosen[gap_id] != self.settings.reading(gap_id):
                raise ValueError(f"{gap_id} shapes the world: choose it when the sandbox starts")
        return {**self.settings.gaps, **chosen}

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
