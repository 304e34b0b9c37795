"""The developer endpoints, for client credentials by HTTP Basic (contracts/revento.md §12.3)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from syncd.sandbox.budgets import Budget
from syncd.sandbox.call import Call, basic_credentials
from syncd.sandbox.client import OVERLAP_S, Client
from syncd.sandbox.clock import Clock, iso
from syncd.sandbox.collection import Collection, Json, dump
from syncd.sandbox.listings import Listings
from syncd.sandbox.refusals import BadRequest, Refusal
from syncd.sandbox.settings import SandboxSettings
from syncd.sandbox.tokens import Grant, Tokens

INSTALLATIONS = "/developer/integrations/{integration_id}/installations"
ROTATE = "/developer/integrations/{integration_id}/rotate-webhook-secret"
METHODS = {INSTALLATIONS: "GET", ROTATE: "POST"}
ENDPOINTS = tuple(METHODS)


class Developer:
    """The integration as its developer sees it: who has installed it, and the secret that signs its webhooks."""

    def __init__(self, client: Client, tokens: Tokens, clock: Clock, settings: Callable[[], SandboxSettings]) -> None:
        self._client, self._tokens, self._clock, self._settings = client, tokens, clock, settings
        self._budget = Budget("developer")
        self._secret = settings().webhook_secret
        self._previous: tuple[str, float] | None = None

    def authenticate(self, call: Call) -> None:
        """A Bearer token is `invalid_token` here, other credentials than the client's `invalid_client` (§2)."""
        header = call.request.headers.get("authorization", "")
        if header.partition(" ")[0].lower() == "bearer":
            raise Refusal("invalid_token", "Developer endpoints take client credentials.")
        self._client.authenticate(*basic_credentials(header))

    def budget_of(self, call: Call) -> Budget:
        """The developer's budget (G13), or an empty one for a stranger."""
        try:
            self.authenticate(call)
        except Refusal:
            return Budget("developer")
        return self._budget

    def handle(self, call: Call, listings: Listings) -> bytes:
        """Answer an admitted call; `resource_not_found` for another integration."""
        if call.integration_id != self._settings().integration_id:
            raise Refusal("resource_not_found")
        if call.endpoint == ROTATE:
            return self._rotate(call)
        return listings.page(call, None, self._installations())

    def webhook_secrets(self) -> list[str]:
        """The secrets that sign deliveries now, the newest first: two during the overlap of a rotation."""
        if self._previous is not None and self._clock.now() < self._previous[1]:
            return [self._secret, self._previous[0]]
        return [self._secret]

    def _rotate(self, call: Call) -> bytes:
        """A new secret, told this once (G14). The one before lives 24 h more; an older one drops at once (G24)."""
        if call.request.body:
            raise BadRequest("invalid_request", "The body must be empty.")
        ends_at = self._clock.now() + OVERLAP_S
        self._previous = (self._secret, ends_at)
        self._secret = "whsec_" + secrets.token_urlsafe(32)
        return dump({"secret": self._secret, "previous_secret_expires_at": _stamp(ends_at)})

    def _installations(self) -> Collection:
        """One row for each event that was ever connected, in order of its first connection."""
        by_event: dict[str, list[Grant]] = {}
        for grant in self._tokens.grants("installation"):
            by_event.setdefault(grant.event_id, []).append(grant)
        rows = Collection(key="event_id")
        for grants in by_event.values():
            rows.append(self._installation(grants))
        return rows

    def _installation(self, grants: list[Grant]) -> Json:
        """The newest grant that lives speaks for the event; `last_used_at` is null before the first call."""
        grant = next((each for each in reversed(grants) if not each.revoked), grants[-1])
        used = [each.last_used_at for each in grants if each.last_used_at is not None]
        return {
            "event_id": grant.event_id,
            "organization_id": grant.organization_id,
            "scopes": list(grant.scopes),
            "status": self._tokens.status_of(grant),
            "connected_at": _stamp(grant.issued_at),
            "last_used_at": _stamp(max(used)) if used else None,
        }


def _stamp(at: float) -> str:
    return iso(datetime.fromtimestamp(at, UTC))
