"""What a failed reply asks of us (contracts/revento.md §8, §11): the code decides, and where it is unknown the status.

Messages are ours: the API's own text may change at any time and is not repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from syncd.errors import (
    ApiError,
    ContractBreach,
    CursorRefused,
    NotFound,
    PageTooLarge,
    RateLimited,
    ScopeMissing,
    TokenExpired,
    TokenRefused,
    TooManyInFlight,
    Transient,
)
from syncd.model import Dialect
from syncd.wire.rate_limit import read_retry_after
from syncd.wire.reply import Reply, read_error_code

# The API's own word for what there is not; a 404 without it is a proxy's, or another host's.
GONE = "resource_not_found"


@dataclass(frozen=True, slots=True)
class _Meaning:
    reaction: type[ApiError]
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class _Consenter:
    """Who gave a token, and who else can take it back; how it is had anew."""

    name: str
    revokers: str
    again: str


_ORGANIZER = _Consenter(
    "the organizer",
    "the organizer or by Revento",
    "have the event connected again, and `syncd installations add` the new credentials",
)
_PARTICIPANT = _Consenter(
    "the participant",
    "the participant, the organizer or by Revento",
    "have the participant sign in again, and `syncd installations add` the new credentials",
)


def _meanings(consenter: _Consenter) -> Mapping[str, _Meaning]:
    return {
        "invalid_token": _Meaning(TokenRefused, "Revento does not know this access token", consenter.again),
        "token_expired": _Meaning(TokenExpired, "the access token has expired"),
        # Said of a suspension too, which only the listing of connections tells apart (contracts/revento.md C7).
        "token_revoked": _Meaning(
            TokenRefused,
            f"the access token was revoked by {consenter.revokers}, or the connection is suspended",
            "where `syncd installations list` says suspended, work goes on by itself when that is over; otherwise "
            f"ask {consenter.name} why, then {consenter.again}",
        ),
        "invalid_grant": _Meaning(TokenRefused, "the refresh token is no longer good", consenter.again),
        "invalid_scope": _Meaning(
            ContractBreach, "a scope was asked for that this kind of token cannot have", "correct the scopes"
        ),
        "invalid_client": _Meaning(
            ContractBreach, "Revento refused the client id or secret", "correct the client credentials"
        ),
        "insufficient_scope": _Meaning(
            ScopeMissing, "the token lacks the scope that this listing needs", f"{consenter.again} and grant it"
        ),
        "event_not_authorized": _Meaning(
            TokenRefused,
            "the token belongs to another event",
            f"give the token reply whole, with the event_id that came with it, or {consenter.again}",
        ),
        "user_token_required": _Meaning(
            TokenRefused,
            "an installation token was used where a participant's token is needed",
            "give the token reply that a participant's consent brought, not an organizer's",
        ),
        "installation_token_required": _Meaning(
            TokenRefused,
            "a participant's token was used where an installation token is needed",
            "give the token reply that an organizer's consent to the event brought, not a participant's",
        ),
        GONE: _Meaning(NotFound, "Revento has no such resource"),
        "payload_too_large": _Meaning(PageTooLarge, "the reply would be larger than the API's 2 MB"),
        "rate_limit_exceeded": _Meaning(RateLimited, "the hourly or the one-minute budget of the token is used up"),
        "concurrent_limit_exceeded": _Meaning(TooManyInFlight, "too many calls of this token are under way"),
        "invalid_cursor": _Meaning(CursorRefused, "Revento no longer accepts the cursor"),
        "invalid_request": _Meaning(ContractBreach, "Revento refused a parameter of the request"),
        "internal_error": _Meaning(Transient, "Revento failed to answer"),
        "service_unavailable": _Meaning(Transient, "Revento is not available"),
    }


_BY_STATUS: Mapping[int, type[ApiError]] = {
    401: TokenRefused,
    404: NotFound,
    408: Transient,
    413: PageTooLarge,
    429: RateLimited,
}


def _classifier(consenter: _Consenter) -> Callable[[Reply], ApiError]:
    by_code = _meanings(consenter)

    def classify(reply: Reply) -> ApiError:
        """The error that a reply other than 200 stands for, with the API's code, our request id and any wait."""
        code = read_error_code(reply.body)
        meaning = by_code.get(code or "") or _by_status(reply, code)
        return meaning.reaction(
            f"{meaning.message} ({code or f'HTTP {reply.status}'})",
            status=reply.status,
            code=code,
            request_id=reply.request_id,
            retry_after_s=read_retry_after(reply.headers, received_at=reply.received_at),
            hint=meaning.hint,
        )

    return classify


def breach(reply: Reply, what: str, kind: type[ContractBreach] = ContractBreach) -> ContractBreach:
    """The error for a 200 reply that is not what the API promises."""
    return kind(
        f"the reply is not what the API promises: {what}",
        status=reply.status,
        code="contract_breach",
        request_id=reply.request_id,
    )


def _by_status(reply: Reply, code: str | None) -> _Meaning:
    """A reply without a code of the API's own comes from a proxy on the way, or from another host than the API's."""
    reaction = Transient if reply.status >= 500 else _BY_STATUS.get(reply.status, ContractBreach)
    who, known = reply.host or "Revento", "an unknown error code" if code else "no error code of Revento's"
    hint = None if code else f"is the API at {who}? Compare the installation's API address with the documentation"
    return _Meaning(reaction, f"{who} answered with {known}", hint)


classify = _classifier(_ORGANIZER)
DIALECT = Dialect("application/vnd.revento.v1+json", "X-Revento-Request-Id", classify)
PARTICIPANTS_DIALECT = replace(DIALECT, classify=_classifier(_PARTICIPANT))
