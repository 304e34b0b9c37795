"""Grants, access tokens and rotating refresh tokens (contracts/revento.md §2, §5, §6)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from syncd.sandbox.budgets import Budget
from syncd.sandbox.clock import Clock
from syncd.sandbox.collection import Json
from syncd.sandbox.refusals import Refusal
from syncd.sandbox.settings import Kind, SandboxSettings

# Absolute life of a grant, not extended by refreshing (§2).
YEAR_S = 365 * 86_400.0
# How long the other reading of G7 replays the same pair for a rotated refresh token.
GRACE_S = 60.0
PREFIXES: dict[Kind, str] = {"installation": "rev_install_", "user": "rev_user_"}


@dataclass(slots=True)
class Grant:
    """One consent: an event or one participant of it, scopes, budgets, and the token family issued under it."""

    id: str
    event_id: str
    organization_id: str
    scopes: tuple[str, ...]
    issued_at: float
    kind: Kind = "installation"
    user_id: str | None = None
    participant_id: str | None = None
    refresh_token: str = ""
    refresh_expires_at: float = 0.0
    access_expires_at: dict[str, float] = field(default_factory=dict)
    revoked_tokens: set[str] = field(default_factory=set)
    revoked: bool = False
    last_rotation: tuple[str, float, dict[str, Any]] | None = None
    last_used_at: float | None = None
    budgets: dict[str, Budget] = field(default_factory=dict)

    @property
    def access_token(self) -> str:
        """The one issued last."""
        return next(reversed(self.access_expires_at))


class Tokens:
    """Every grant of one sandbox. Replies are those of the token endpoint (§5); errors are `Refusal`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._grants: list[Grant] = []
        self._by_access: dict[str, Grant] = {}
        self._by_refresh: dict[str, Grant] = {}
        self._suspended: set[str] = set()

    def connect(
        self, event: Json, scopes: tuple[str, ...], settings: SandboxSettings, person: Json | None = None
    ) -> dict[str, Any]:
        """An organizer or, with the row of a participant, that `person` consents: a fresh grant and its first pair."""
        grant = Grant(f"grant_{secrets.token_hex(6)}", event["id"], event["organization_id"], scopes, self._clock.now())
        if person is not None:
            grant.kind, grant.user_id, grant.participant_id = "user", person["user_id"], person["id"]
        self._grants.append(grant)
        return self._issue(grant, settings)

    def authenticate(self, token: str) -> Grant:
        """The grant of a live access token; else `invalid_token`, `token_revoked` or `token_expired` (§11)."""
        grant = self._by_access.get(token)
        if grant is None:
            raise Refusal("invalid_token")
        if self.status_of(grant) != "active" or token in grant.revoked_tokens:
            raise Refusal("token_revoked")
        if self._clock.now() >= grant.access_expires_at[token]:
            raise Refusal("token_expired")
        return grant

    def grant_of(self, token: str) -> Grant | None:
        """The grant that ever issued this access or refresh token, live or not."""
        return self._by_access.get(token) or self._by_refresh.get(token)

    def grants(self, kind: Kind | None = None) -> list[Grant]:
        """Every grant, or those of one kind, in order of consent."""
        return [grant for grant in self._grants if kind in (None, grant.kind)]

    def listing(self) -> list[Json]:
        """Every grant and its state; times in epoch seconds, and no token."""
        return [
            {
                "id": grant.id,
                "kind": grant.kind,
                "event_id": grant.event_id,
                "organization_id": grant.organization_id,
                "user_id": grant.user_id,
                "participant_id": grant.participant_id,
                "scopes": list(grant.scopes),
                "status": self.status_of(grant),
                "issued_at": grant.issued_at,
                "last_used_at": grant.last_used_at,
                "access_expires_at": max(grant.access_expires_at.values()),
                "refresh_expires_at": grant.refresh_expires_at,
            }
            for grant in self._grants
        ]

    def status_of(self, grant: Grant) -> str:
        """`active`, `revoked` or `suspended` (§12.3)."""
        return "revoked" if grant.revoked else "suspended" if grant.event_id in self._suspended else "active"

    def budget_of(self, token: str, settings: SandboxSettings) -> Budget:
        """The budget of a token: its grant's, or its own under the other reading of G12; an unknown one's is empty."""
        grant = self.grant_of(token)
        if grant is None:
            return Budget()
        key = token if settings.reading("G12") == "token" else grant.id
        return grant.budgets.setdefault(key, Budget(grant.kind))

    def refresh(self, token: str, settings: SandboxSettings) -> dict[str, Any]:
        """Rotate the pair. A token that was rotated before kills the family, or replays the pair in its grace (G7);
        an expired, revoked, unknown or over-a-year-old one is `invalid_grant`. A suspended grant may refresh."""
        grant = self._by_refresh.get(token)
        if grant is None or grant.revoked:
            raise Refusal("invalid_grant")
        if token != grant.refresh_token:
            return self._reused(grant, token, settings)
        if self._clock.now() >= grant.refresh_expires_at:
            raise Refusal("invalid_grant")
        if settings.reading("G8") == "dies":
            grant.revoked_tokens.update(grant.access_expires_at)
        reply = self._issue(grant, settings)
        grant.last_rotation = (token, self._clock.now(), reply)
        return reply

    def revoke_token(self, token: str) -> None:
        """RFC 7009: an access token dies alone, a refresh token takes its family along; unknown tokens do nothing."""
        if (grant := self._by_access.get(token)) is not None:
            grant.revoked_tokens.add(token)
        elif (grant := self._by_refresh.get(token)) is not None:
            grant.revoked = True

    def revoke_event(self, event_id: str) -> int:
        """The organizer disconnects: every grant of the event is revoked; returns how many."""
        grants = self._of_event(event_id)
        for grant in grants:
            grant.revoked = True
        return len(grants)

    def expire_event(self, event_id: str) -> int:
        """All access tokens of the event expire now; returns how many grants it concerns."""
        grants = self._of_event(event_id)
        for grant in grants:
            grant.access_expires_at = dict.fromkeys(grant.access_expires_at, self._clock.now())
        return len(grants)

    def suspend_event(self, event_id: str) -> int:
        """Calls under grants of the event are `token_revoked` until `resume_event` (C7); returns how many grants."""
        self._suspended.add(event_id)
        return len(self._of_event(event_id))

    def resume_event(self, event_id: str) -> int:
        """The suspension ends; tokens that did not expire meanwhile are good again. Returns how many grants."""
        self._suspended.discard(event_id)
        return len(self._of_event(event_id))

    def _of_event(self, event_id: str) -> list[Grant]:
        return [grant for grant in self._grants if grant.event_id == event_id]

    def _reused(self, grant: Grant, token: str, settings: SandboxSettings) -> dict[str, Any]:
        if settings.reading("G7") == "grace" and grant.last_rotation is not None:
            rotated, at, reply = grant.last_rotation
            if rotated == token and self._clock.now() < at + GRACE_S:
                return reply
        grant.revoked = True
        raise Refusal("invalid_grant", "The refresh token was already used.")

    def _issue(self, grant: Grant, settings: SandboxSettings) -> dict[str, Any]:
        """A new pair; the refresh token slides, up to the yearly cap, whether the reply says so or not (G9)."""
        now = self._clock.now()
        access = PREFIXES[grant.kind] + secrets.token_urlsafe(32)
        grant.refresh_token = "rev_refresh_" + secrets.token_urlsafe(32)
        grant.refresh_expires_at = min(now + settings.refresh_token_s, grant.issued_at + YEAR_S)
        grant.access_expires_at[access] = now + settings.access_token_s
        self._by_access[access] = self._by_refresh[grant.refresh_token] = grant
        is_constant = settings.reading("G9") == "constant"
        reply = {
            "access_token": access,
            "refresh_token": grant.refresh_token,
            "token_type": "Bearer",
            "expires_in": int(settings.access_token_s),
            "refresh_expires_in": int(settings.refresh_token_s if is_constant else grant.refresh_expires_at - now),
            "scope": " ".join(grant.scopes),
            "event_id": grant.event_id,
            "organization_id": grant.organization_id,
        }
        return reply | ({"user_id": grant.user_id} if grant.user_id else {})
