"""What a well-behaved client does not do, and who watches for it. A clean run leaves no note."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from syncd.sandbox.clock import Clock
from syncd.sandbox.http import Reply
from syncd.sandbox.log import RequestLog
from syncd.sandbox.rules_http import CleanUrls, PinnedVersion, Redirects, RequestIds
from syncd.sandbox.rules_tokens import Consents, Limits, RefreshTokens
from syncd.sandbox.rules_walks import Walks
from syncd.sandbox.settings import SandboxSettings
from syncd.sandbox.tokens import Tokens
from syncd.sandbox.visit import Rule, Visit

NOTES = {
    "accept_not_pinned": "Accept is not application/vnd.revento.v1+json alone",
    "request_id_missing": "no X-Revento-Request-Id",
    "request_id_not_uuid": "the request id is not a UUID",
    "request_id_repeated": "the request id was used before",
    "secret_in_url": "a token or the client's secret is in the URL",
    "redirect_followed": "the call follows a redirect",
    "retry_after_ignored": "the last Retry-After of this installation was not over",
    "too_many_in_flight": "more calls were in flight than are allowed",
    "over_budget": "the hour's or the minute's budget was used up",
    "call_after_token_revoked": "the client had been told token_revoked, and no new consent was given",
    "call_after_invalid_grant": "the client had been told invalid_grant, and no new consent was given",
    "refresh_token_reused": "the refresh token was presented before, and the reply to that was not lost",
    "page_asked_again": "the page had been served whole, under the same cursor, limit and token",
    "cursor_of_another_listing": "the cursor was issued for another event or listing",
    "walked_past_the_end": "the cursor came with has_more: false",
}


class Conduct:
    """Writes notes into the log."""

    def __init__(self, log: RequestLog, tokens: Tokens, clock: Clock, settings: Callable[[], SandboxSettings]) -> None:
        self._log, self._walks = log, Walks()
        self._rules: tuple[Rule, ...] = (
            PinnedVersion(),
            RequestIds(),
            CleanUrls(lambda: settings().client_secret),
            Redirects(),
            Limits(clock),
            Consents(clock, tokens),
            RefreshTokens(),
            self._walks,
        )

    def arrived(self, visit: Visit) -> None:
        """Judge a request before anything is done about it."""
        for rule in self._rules:
            visit.entry.notes.extend(rule.arrived(visit))

    def served(self, visit: Visit, body: bytes) -> None:
        """See what is answered, before it is compressed and damaged."""
        self._walks.served(visit, body)

    def answered(self, visit: Visit, reply: Reply) -> None:
        """Judge a request by its reply, as it is about to be sent."""
        for rule in self._rules:
            visit.entry.notes.extend(rule.answered(visit, reply))

    def summary(self) -> list[dict[str, Any]]:
        """Each note with its meaning and the numbers of the requests in the log that earned it, maybe none."""
        numbers: dict[str, list[int]] = {code: [] for code in NOTES}
        for entry in self._log:
            for code in entry.notes:
                numbers[code].append(entry.n)
        return [
            {"code": code, "means": means, "count": len(numbers[code]), "requests": numbers[code]}
            for code, means in NOTES.items()
        ]
