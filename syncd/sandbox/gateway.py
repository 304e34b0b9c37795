"""One request from arrival to reply: log, admission, latency, faults, schedule, handler, headers, compression."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate

from syncd.sandbox import coding, oauth
from syncd.sandbox.api import Api, route
from syncd.sandbox.budgets import Budget
from syncd.sandbox.call import Call
from syncd.sandbox.clock import Clock
from syncd.sandbox.conduct import Conduct
from syncd.sandbox.fault import Fault
from syncd.sandbox.faults import Armed, Faults
from syncd.sandbox.http import Reply, Request
from syncd.sandbox.log import Entry, RequestLog, fingerprint, redact
from syncd.sandbox.oauth import OAuthHost
from syncd.sandbox.refusals import Refusal, envelope, media_type
from syncd.sandbox.schedule import Schedule
from syncd.sandbox.settings import SandboxSettings
from syncd.sandbox.tokens import Grant, Tokens
from syncd.sandbox.visit import Visit

API_PREFIX = "/revento/api/v1"
AUTH_PREFIX = "/revento-auth"
REQUEST_ID = "x-revento-request-id"
# Below this a compressed body saves nothing.
GZIP_FROM_BYTES = 1_000

Handle = Callable[[Fault | None], Reply]


class Gateway:
    """Serves the API and the OAuth host on one port."""

    def __init__(
        self,
        *,
        api: Api,
        host: OAuthHost,
        tokens: Tokens,
        faults: Faults,
        schedule: Schedule,
        conduct: Conduct,
        log: RequestLog,
        clock: Clock,
        settings: Callable[[], SandboxSettings],
    ) -> None:
        self._api, self._host, self._tokens, self._log = api, host, tokens, log
        self._faults, self._schedule, self._conduct = faults, schedule, conduct
        self._clock, self._settings = clock, settings

    async def respond(self, request: Request) -> Reply:
        """Answer and log one request."""
        started = time.perf_counter()
        is_api = request.path.startswith(API_PREFIX + "/")
        visit, reply = await (self._api_reply(request) if is_api else self._oauth_reply(request))
        entry = visit.entry
        entry.status = None if reply.damage and reply.damage.drop else reply.status
        self._conduct.answered(visit, reply)
        entry.duration_ms = round((time.perf_counter() - started) * 1000, 3)
        return reply if entry.fault else replace(reply, delivered=entry.deliver)

    def _arrived(
        self, request: Request, endpoint: str | None, event_id: str | None, token: str, budget: Budget | None
    ) -> Visit:
        secret, grant = self._settings().client_secret, self._tokens.grant_of(token)
        entry = self._log.arrived(
            at=self._clock.now(),
            method=request.method,
            path=redact(request.path, secret),
            query=redact(request.query_text, secret),
            endpoint=endpoint,
            event_id=event_id or (grant.event_id if grant and budget is None else None),
            request_id=request.headers.get(REQUEST_ID) or str(uuid.uuid4()),
            token=fingerprint(token) if token else None,
        )
        if budget is not None:
            entry.budget = budget.held(self._settings().limits_of(budget.kind), entry.at)
        visit = Visit(request, entry, token, grant, budget)
        self._conduct.arrived(visit)
        return visit

    async def _api_reply(self, request: Request) -> tuple[Visit, Reply]:
        """Budgets count the arrival; the in-flight slot is given back before the reply can be seen."""
        call = route(request, request.path.removeprefix(API_PREFIX))
        budget = self._api.budget_of(call)
        visit = self._arrived(request, call.endpoint, call.event_id, call.bearer, budget)
        try:
            grant = self._api.admit(call, budget, visit.entry.at)
        except Refusal as refusal:
            visit.entry.in_flight = budget.in_flight
            return visit, self._finished(_refused(refusal, visit.entry), visit)
        visit.entry.in_flight = budget.in_flight
        try:
            return visit, await self._handled(call, grant, visit, budget)
        finally:
            budget.release()

    async def _handled(self, call: Call, grant: Grant | None, visit: Visit, budget: Budget) -> Reply:
        def handle(fault: Fault | None) -> Reply:
            try:
                return self._api.handle(_altered(call, fault), grant)
            except Refusal as refusal:
                if self._api.costs_nothing(refusal):
                    budget.refund(visit.entry.at)
                return _refused(refusal, visit.entry)

        return await self._through_faults(handle, visit)

    async def _oauth_reply(self, request: Request) -> tuple[Visit, Reply]:
        endpoint, token = _oauth_route(request)
        visit = self._arrived(request, endpoint, None, token, None)

        def handle(_fault: Fault | None) -> Reply:
            try:
                return self._host.handle(endpoint, request)
            except Refusal as refusal:
                return _refused(refusal, visit.entry)

        return visit, await self._through_faults(handle, visit)

    async def _through_faults(self, handle: Handle, visit: Visit) -> Reply:
        """Wait out the latency, then answer, as the fault that strikes this call orders."""
        entry = visit.entry
        armed = self._faults.strike(entry.endpoint, entry.event_id) if entry.endpoint else None
        await _pause(self._settings().latency_s)
        if armed is not None:
            entry.fault = armed.id
            return await self._struck(armed, handle, visit)
        reply = self._finished(await self._in_time(lambda: handle(None), visit), visit)
        if entry.endpoint:
            self._faults.answered(entry.endpoint, entry.event_id, visit.url, reply)
        return reply

    async def _struck(self, armed: Armed, handle: Handle, visit: Visit) -> Reply:
        fault = armed.fault
        if not fault.after_handling:
            await _pause(fault.delay_s)
        reply = await self._in_time(lambda: fault.answer(lambda: handle(fault), visit.entry.request_id), visit)
        if fault.after_handling:
            await _pause(fault.delay_s)
        visit.entry.error = fault.code or visit.entry.error
        finished = self._finished(armed.looped(reply), visit)
        return await armed.mixed_up(visit.url, fault.break_(finished))

    async def _in_time(self, answer: Callable[[], Reply], visit: Visit) -> Reply:
        """The answer, between the changes of the world that were scheduled around it."""
        endpoint, event_id = visit.entry.endpoint, visit.entry.event_id
        due = self._schedule.due(endpoint, event_id) if endpoint else []
        await self._schedule.keep(due, "before", event_id)
        reply = answer()
        await self._schedule.keep(due, "after", event_id)
        return reply

    def _finished(self, reply: Reply, visit: Visit) -> Reply:
        """The reply with the headers that every response carries (§7), compressed when asked for and worth it."""
        now, entry, budget = self._clock.now(), visit.entry, visit.budget
        headers = {**reply.headers, "X-Revento-Request-Id": entry.request_id, "Date": formatdate(now, usegmt=True)}
        if budget is not None:
            limits = self._settings().limits_of(budget.kind)
            headers = budget.headers(limits, now) | headers
            entry.remaining = budget.remaining(limits, now)
        self._conduct.served(visit, reply.body)
        wants_gzip = "gzip" in visit.request.headers.get("accept-encoding", "")
        if not wants_gzip or len(reply.body) <= GZIP_FROM_BYTES:
            return replace(reply, headers=headers)
        return replace(reply, body=coding.compressed(reply.body), headers=headers | coding.HEADERS)


def _altered(call: Call, fault: Fault | None) -> Call:
    if fault is None:
        return call
    return replace(call, holds_cursor=fault.hold_cursor, other_event=fault.other_event)


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
