"""The read API of contracts/revento.md §12: routes, whose budget a call draws on, its admission, its answer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from syncd.sandbox import developer, events, me
from syncd.sandbox.budgets import Budget
from syncd.sandbox.call import Call, Endpoint
from syncd.sandbox.developer import Developer
from syncd.sandbox.http import Reply, Request
from syncd.sandbox.listings import Listings
from syncd.sandbox.refusals import API_MEDIA_TYPE, BadRequest, Refusal
from syncd.sandbox.settings import SandboxSettings
from syncd.sandbox.tokens import Grant, Tokens
from syncd.sandbox.world import World

ACCEPTED = re.compile(
    r"(application/vnd\.revento\.v1\+json|application/json|application/\*|\*/\*)\s*(;.*)?", re.IGNORECASE
)
# The only part of a page that is new each time.
CURSOR = re.compile(rb',"next_cursor":"[^"]*"(?=,"has_more":(?:true|false)}\Z)')
READS: dict[str, Endpoint] = {**events.ENDPOINTS, **me.ENDPOINTS}
ENDPOINTS = (*READS, *developer.ENDPOINTS)
PATTERNS = [(re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)), template) for template in ENDPOINTS]


def route(request: Request, path: str) -> Call:
    """Find the template of a path below the API base."""
    for pattern, template in PATTERNS:
        if match := pattern.fullmatch(path):
            ids = match.groupdict()
            return Call(request, path, template, ids.get("event_id"), ids.get("activity_id"), ids.get("integration_id"))
    return Call(request, path, None)


class Api:
    """Answers the API from the world. `budget_of`, then `admit`, then `handle`; the latter two raise `Refusal`."""

    def __init__(
        self,
        world: World,
        tokens: Tokens,
        listings: Listings,
        developer: Developer,
        settings: Callable[[], SandboxSettings],
    ) -> None:
        self._world, self._tokens, self._developer = world, tokens, developer
        self.listings, self.settings = listings, settings

    def budget_of(self, call: Call) -> Budget:
        """What the call draws on, whether admitted or not; of an unknown caller an empty budget."""
        if call.group == "developer":
            return self._developer.budget_of(call)
        return self._tokens.budget_of(call.bearer, self.settings())

    def admit(self, call: Call, budget: Budget, arrived_at: float) -> Grant | None:
        """The grant that the call is made under, None for a developer's; `budget` now holds the call. Credentials
        first, then kind, route, method, version, event, scope and budget; nothing but the last is counted."""
        grant = self._identify(call)
        if call.endpoint is None:
            raise Refusal("resource_not_found")
        if call.request.method != developer.METHODS.get(call.endpoint, "GET"):
            raise Refusal("method_not_allowed")
        self._check_version(call.request.headers.get("accept"))
        if grant is not None:
            self._authorize(call, READS[call.endpoint], grant)
        self._spend(budget, grant, arrived_at)
        return grant

    def handle(self, call: Call, grant: Grant | None) -> Reply:
        """The answer to an admitted call; 413 when it would be larger than the cap (§10)."""
        if call.endpoint is None:
            raise Refusal("resource_not_found")
        if grant is None:
            body = self._developer.handle(call, self.listings)
        else:
            body = self._read(call, READS[call.endpoint], grant)
        if len(body) > self.settings().response_cap_bytes:
            raise Refusal("payload_too_large", "Reduce the limit and retry.")
        return self._conditional(call, Reply(200, body, {"Content-Type": API_MEDIA_TYPE}))

    def costs_nothing(self, refusal: Refusal) -> bool:
        """Whether the refusal of an admitted call gives its budget back (G21)."""
        return isinstance(refusal, BadRequest) and self.settings().reading("G21") == "free"

    def _identify(self, call: Call) -> Grant | None:
        """Each group of endpoints takes one kind of credentials: 401 or 403 for the others (§2)."""
        if call.group == "developer":
            self._developer.authenticate(call)
            return None
        grant = self._tokens.authenticate(call.bearer)
        if call.group == "me" and grant.kind != "user":
            raise Refusal("user_token_required")
        if call.group == "events" and grant.kind != "installation":
            raise Refusal("installation_token_required")
        return grant

    def _check_version(self, accept: str | None) -> None:
        """No header means the default version; otherwise one listed type must be ours (§7, G17)."""
        if accept is None or self.settings().reading("G17") == "served":
            return
        if not any(ACCEPTED.fullmatch(part.strip()) for part in accept.split(",")):
            raise Refusal("unsupported_version", "Only application/vnd.revento.v1+json is served.")

    def _authorize(self, call: Call, endpoint: Endpoint, grant: Grant) -> None:
        if call.event_id not in (None, grant.event_id):
            is_known = call.event_id in self._world.events
            raise Refusal(
                "resource_not_found"
                if not is_known and self.settings().reading("G19") == "404"
                else "event_not_authorized"
            )
        is_served_anyway = endpoint.scope == "profile.read" and self.settings().reading("G28") == "served"
        if endpoint.scope not in grant.scopes and not is_served_anyway:
            raise Refusal("insufficient_scope")

    def _spend(self, budget: Budget, grant: Grant | None, now: float) -> None:
        """Take the call from its budget; whoever is refused too often is suspended, where that is wanted (§8)."""
        settings = self.settings()
        try:
            budget.admit(settings.limits_of(budget.kind), now, counts_refused=settings.reading("G11") == "counted")
        except Refusal as refusal:
            if refusal.code == "rate_limit_exceeded" and settings.reading("G10") == "zero":
                refusal.headers["X-RateLimit-Remaining"] = "0"
            refused = budget.refused_lately(now)
            if grant is not None and 0 < settings.suspend_after_429s <= refused:
                self._tokens.suspend_event(grant.event_id)
            raise
        if grant is not None:
            grant.last_used_at = now

    def _read(self, call: Call, endpoint: Endpoint, grant: Grant) -> bytes:
        served = (event for name, event in self._world.events.items() if (name == grant.event_id) != call.other_event)
        event = next(served, None)
        if event is None:
            raise Refusal("resource_not_found")
        return endpoint.handler(self, call, grant, event)

    def _conditional(self, call: Call, reply: Reply) -> Reply:
        """With an ETag, and 304 when the caller names it (G22). A page is the same when its rows are, whatever its
        cursor: the tag is a weak one."""
        if self.settings().reading("G22") == "ignored":
            return reply
        tag = f'W/"{hashlib.sha256(CURSOR.sub(b"", reply.body)).hexdigest()[:20]}"'
        known = [part.strip() for part in call.request.headers.get("if-none-match", "").split(",")]
        if tag in known or "*" in known:
            return Reply(304, b"", {"ETag": tag})
        return Reply(reply.status, reply.body, {**reply.headers, "ETag": tag})
