"""One request from arrival to reply: log, admission, latency, faults, handler, headers, compression."""

from __future__ import annotations

import asyncio
import gzip
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

from syncd.sandbox import oauth
from syncd.sandbox.api import Api, route
from syncd.sandbox.budgets import Budget
from syncd.sandbox.call import Call
from syncd.sandbox.clock import Clock
from syncd.sandbox.faults import Fault, Faults
from syncd.sandbox.http import Reply, Request
from syncd.sandbox.log import Entry, RequestLog, fingerprint
from syncd.sandbox.oauth import OAuthHost
from syncd.sandbox.refusals import Refusal, envelope, media_type
from syncd.sandbox.settings import SandboxSettings
from syncd.sandbox.tokens import Grant, Tokens

API_PREFIX = "/revento/api/v1"
AUTH_PREFIX = "/revento-auth"
REQUEST_ID = "x-revento-request-id"
# Below this a compressed body saves nothing.
GZIP_FROM_BYTES = 1_000
GZIP_LEVEL = 1


class Gateway:
    """Serves the API and the OAuth host on one port."""

    def __init__(
        self,
        *,
        api: Api,
        host: OAuthHost,
        tokens: Tokens,
        faults: Faults,
        log: RequestLog,
        clock: Clock,
        settings: Callable[[], SandboxSettings],
    ) -> None:
        self._api, self._host, self._tokens, self._faults, self._log = api, host, tokens, faults, log
        self._clock, self._settings = clock, settings

    async def respond(self, request: Request) -> Reply:
        """Answer and log one request."""
        started = time.perf_counter()
        if request.path.startswith(API_PREFIX + "/"):
            call = route(request, request.path.removeprefix(API_PREFIX))
            entry = self._arrived(request, call.endpoint, call.event_id, call.bearer)
            reply = await self._api_reply(call, entry)
        else:
            endpoint, token = _oauth_route(request)
            grant = self._tokens.grant_of(token)
            entry = self._arrived(request, endpoint, grant.event_id if grant else None, token)
            reply = await self._oauth_reply(request, endpoint, entry)
        entry.status = None if reply.drop else reply.status
        entry.duration_ms = round((time.perf_counter() - started) * 1000, 3)
        return reply

    def _arrived(self, request: Request, endpoint: str | None, event_id: str | None, token: str) -> Entry:
        return self._log.arrived(
            at=self._clock.now(),
            method=request.method,
            path=request.path,
            query=request.query_text,
            endpoint=endpoint,
            event_id=event_id,
            request_id=request.headers.get(REQUEST_ID) or str(uuid.uuid4()),
            token=fingerprint(token) if token else None,
        )

    async def _api_reply(self, call: Call, entry: Entry) -> Reply:
        """Budgets count the arrival; the in-flight slot is given back before the reply can be seen."""
        budget = self._api.budget_of(call)
        try:
            grant = self._api.admit(call, budget, entry.at)
        except Refusal as refusal:
            entry.in_flight = budget.in_flight
            return self._finished(_refused(refusal, entry), call.request, entry, budget)
        entry.in_flight = budget.in_flight
        try:
            return await self._handled(call, grant, entry, budget)
        finally:
            budget.release()

    async def _handled(self, call: Call, grant: Grant | None, entry: Entry, budget: Budget) -> Reply:
        def handle() -> Reply:
            try:
                return self._api.handle(call, grant)
            except Refusal as refusal:
                if self._api.costs_nothing(refusal):
                    budget.refund(entry.at)
                return _refused(refusal, entry)

        return await self._through_faults(handle, call.request, entry, budget)

    async def _oauth_reply(self, request: Request, endpoint: str | None, entry: Entry) -> Reply:
        def handle() -> Reply:
            try:
                return self._host.handle(endpoint, request)
            except Refusal as refusal:
                return _refused(refusal, entry)

        return await self._through_faults(handle, request, entry, None)

    async def _through_faults(
        self, handle: Callable[[], Reply], request: Request, entry: Entry, budget: Budget | None
    ) -> Reply:
        """Wait out the latency, then answer, as the fault that strikes this call orders."""
        fault = self._faults.strike(entry.endpoint, entry.event_id) if entry.endpoint else None
        await _pause(self._settings().latency_s)
        if fault is None:
            return self._finished(handle(), request, entry, budget)
        entry.fault = fault.id
        return await self._struck(fault, handle, request, entry, budget)

    async def _struck(
        self, fault: Fault, handle: Callable[[], Reply], request: Request, entry: Entry, budget: Budget | None
    ) -> Reply:
        if not fault.after_handling:
            await _pause(fault.delay_s)
        reply = fault.answer(handle, entry.request_id)
        if fault.after_handling:
            await _pause(fault.delay_s)
        entry.error = fault.code or entry.error
        return fault.damage(self._finished(reply, request, entry, budget))

    def _finished(self, reply: Reply, request: Request, entry: Entry, budget: Budget | None) -> Reply:
        """The reply with the headers that every response carries (§7), compressed when asked for and worth it."""
        now = self._clock.now()
        headers = {**reply.headers, "X-Revento-Request-Id": entry.request_id, "Date": formatdate(now, usegmt=True)}
        if budget is not None:
            limits = self._settings().limits_of(budget.kind)
            headers = budget.headers(limits, now) | headers
            entry.remaining = budget.remaining(limits, now)
        if "gzip" not in request.headers.get("accept-encoding", "") or len(reply.body) <= GZIP_FROM_BYTES:
            return replace(reply, headers=headers)
        body = gzip.compress(reply.body, GZIP_LEVEL, mtime=0)
        return replace(reply, body=body, headers=headers | {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})


def _refused(refusal: Refusal, entry: Entry) -> Reply:
    entry.error = refusal.code
    body = envelope(refusal.code, refusal.message, entry.request_id)
    return Reply(refusal.status, body, {"Content-Type": media_type(refusal.status), **refusal.headers})


def _oauth_route(request: Request) -> tuple[str | None, str]:
    """The OAuth endpoint of a path, None when unknown, and the token that the form carries."""
    path = request.path.removeprefix(AUTH_PREFIX) if request.path.startswith(AUTH_PREFIX) else ""
    endpoint = path if path in oauth.METHODS else None
    form = oauth.form_of(request)
    return endpoint, form.get("refresh_token") or form.get("token") or ""


async def _pause(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)
