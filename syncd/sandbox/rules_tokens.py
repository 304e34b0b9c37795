"""Good conduct under limits and grants (contracts/revento.md §5, §8, §11)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from syncd.sandbox.clock import Clock
from syncd.sandbox.http import Reply
from syncd.sandbox.log import Entry
from syncd.sandbox.oauth import REVOKE_ENDPOINT, TOKEN_ENDPOINT
from syncd.sandbox.tokens import Tokens
from syncd.sandbox.visit import IN_TRANSIT_S, Memory, Visit

WHOLE_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class Limits:
    """A well-behaved client never meets a limit: it counts for itself. When told to wait, it waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: Memory[tuple[bool, str], tuple[float, float]] = Memory()

    def arrived(self, visit: Visit) -> Iterable[str]:
        """`retry_after_ignored`."""
        told_at, until = self._told.get(_caller(visit), (0.0, 0.0))
        if told_at + IN_TRANSIT_S < visit.entry.at < until:
            yield "retry_after_ignored"

    def answered(self, visit: Visit, reply: Reply) -> Iterable[str]:
        """`too_many_in_flight`, `over_budget`; and how long the caller is to wait."""
        retry_after = next((value for name, value in reply.headers.items() if name.lower() == "retry-after"), "")
        if WHOLE_SECONDS.fullmatch(retry_after):
            now = self._clock.now()
            self._told[_caller(visit)] = (now, now + int(retry_after))
        if visit.entry.fault is None and visit.entry.error == "concurrent_limit_exceeded":
            yield "too_many_in_flight"
        if visit.entry.fault is None and visit.entry.error == "rate_limit_exceeded":
            yield "over_budget"


class Consents:
    """`token_revoked` and `invalid_grant` are final: only a new consent, which is another grant, helps. A suspension
    that has ended is forgotten, and so is an access token that a refresh had replaced."""

    def __init__(self, clock: Clock, tokens: Tokens) -> None:
        self._clock, self._tokens = clock, tokens
        self._told: Memory[str, tuple[str, float, str]] = Memory()

    def arrived(self, visit: Visit) -> Iterable[str]:
        """`call_after_token_revoked`, `call_after_invalid_grant`; to hand a token back is no call."""
        if visit.grant is None or visit.entry.endpoint == REVOKE_ENDPOINT:
            return
        status = self._tokens.status_of(visit.grant)
        for key in (visit.token, visit.grant.id):
            code, told_at, then = self._told.get(key, ("", 0.0, ""))
            if then == "suspended" and status == "active":
                del self._told[key]
            elif code and told_at + IN_TRANSIT_S < visit.entry.at:
                yield f"call_after_{code}"
                return

    def answered(self, visit: Visit, reply: Reply) -> Iterable[str]:
        """Keep what the client was told, about this token or about all of its grant."""
        code, grant = visit.entry.error, visit.grant
        if grant is None or visit.entry.status is None or code not in ("token_revoked", "invalid_grant"):
            return ()
        told = (code, self._clock.now(), self._tokens.status_of(grant))
        self._told[visit.token] = told
        if code == "invalid_grant" or visit.token == grant.access_token or told[2] != "active":
            self._told[grant.id] = told
        return ()


@dataclass(slots=True)
class Presented:
    """A refresh token that was presented: when last, by which request it was `spent`, and whether it was `repeated`."""

    last: Entry
    spent: Entry | None = None
    repeated: bool = False


class RefreshTokens:
    """A refresh token that is spent is presented once more only when the reply to that was lost (§5)."""

    def __init__(self) -> None:
        self._presented: Memory[str, Presented] = Memory()

    def arrived(self, visit: Visit) -> Iterable[str]:
        """`refresh_token_reused`, also while the reply to the first is on its way."""
        if visit.entry.endpoint != TOKEN_ENDPOINT or visit.grant is None:
            return
        before, is_spent = self._presented.get(visit.token), visit.token != visit.grant.refresh_token
        is_on_its_way = before is not None and before.last.duration_ms is None
        may_repeat = before and before.spent and not before.spent.whole and not before.repeated
        if is_on_its_way or (is_spent and not may_repeat):
            yield "refresh_token_reused"
        self._presented[visit.token] = Presented(visit.entry, before.spent if before else None, is_spent)

    def answered(self, visit: Visit, reply: Reply) -> Iterable[str]:
        """Keep which request has spent the token."""
        before = self._presented.get(visit.token)
        if before and before.spent is None and visit.grant and visit.token != visit.grant.refresh_token:
            before.spent = visit.entry
        return ()


def _caller(visit: Visit) -> tuple[bool, str]:
    """Who waits: the grant, whatever its token, at the API or at the OAuth host; else the developer."""
    return visit.is_api, visit.grant.id if visit.grant else ""
