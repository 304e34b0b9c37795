"""Every code of the contract (§11), and every status without a code that we know."""

from __future__ import annotations

from typing import Any

import pytest

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
from syncd.sources.revento.faults import DIALECT, PARTICIPANTS_DIALECT, classify
from tests.sources.scripted import reply


def envelope(code: str) -> dict[str, str]:
    return {"error": code, "message": "words of the server", "request_id": "x"}


@pytest.mark.fault(50)
@pytest.mark.parametrize(
    ("code", "status", "reaction"),
    [
        ("invalid_token", 401, TokenRefused),
        ("token_expired", 401, TokenExpired),
        pytest.param("token_revoked", 401, TokenRefused, marks=pytest.mark.case("RV-15")),
        ("invalid_grant", 400, TokenRefused),
        ("invalid_scope", 400, ContractBreach),
        ("insufficient_scope", 403, ScopeMissing),
        pytest.param("event_not_authorized", 403, TokenRefused, marks=pytest.mark.case("RV-22")),
        ("user_token_required", 403, TokenRefused),
        ("installation_token_required", 403, TokenRefused),
        ("resource_not_found", 404, NotFound),
        ("payload_too_large", 413, PageTooLarge),
        ("rate_limit_exceeded", 429, RateLimited),
        pytest.param("concurrent_limit_exceeded", 429, TooManyInFlight, marks=pytest.mark.case("RV-19")),
        ("invalid_cursor", 400, CursorRefused),
        ("invalid_request", 400, ContractBreach),
        ("invalid_client", 401, ContractBreach),
        ("internal_error", 500, Transient),
        ("service_unavailable", 503, Transient),
    ],
)
@pytest.mark.parametrize("dialect", [DIALECT, PARTICIPANTS_DIALECT], ids=["organizers", "participants"])
def test_known_code(dialect: Dialect, code: str, status: int, reaction: type[ApiError]) -> None:
    failed = reply(envelope(code), status)
    error = dialect.classify(failed)
    assert type(error) is reaction
    assert (error.code, error.status, error.request_id) == (code, status, failed.request_id)
    assert code in str(error)
    assert "words of the server" not in str(error)


@pytest.mark.case("RV-24")
@pytest.mark.parametrize(
    ("status", "reaction"),
    [
        (301, ContractBreach),
        (304, ContractBreach),
        (307, ContractBreach),
        (400, ContractBreach),
        (401, TokenRefused),
        (403, ContractBreach),
        (404, NotFound),
        (406, ContractBreach),
        (408, Transient),
        (413, PageTooLarge),
        (418, ContractBreach),
        (429, RateLimited),
        (500, Transient),
        (502, Transient),
        (503, Transient),
        (504, Transient),
    ],
)
@pytest.mark.parametrize(
    "body", [envelope("brand_new"), b"<html>Bad Gateway</html>", b"", b"\xff\xfe", b"[]", b"null", {"error": 5}]
)
def test_unknown_code_falls_back_on_the_status(status: int, reaction: type[ApiError], body: Any) -> None:
    error = classify(reply(body, status))
    assert type(error) is reaction
    assert error.code == ("brand_new" if isinstance(body, dict) and body["error"] != 5 else None)


def test_the_code_decides_not_the_status() -> None:
    assert type(classify(reply(envelope("rate_limit_exceeded"), 503))) is RateLimited
    assert type(classify(reply(envelope("token_expired"), 400))) is TokenExpired


@pytest.mark.fault(58)
@pytest.mark.parametrize(
    ("headers", "retry_after_s"),
    [({"retry-after": "42"}, 42.0), ({}, None), ({"retry-after": "soon"}, None), ({"retry-after": "-5"}, None)],
)
@pytest.mark.parametrize("status", [429, 503])
def test_wait_that_the_reply_names(headers: dict[str, str], retry_after_s: float | None, status: int) -> None:
    assert classify(reply(b"", status, headers)).retry_after_s == retry_after_s


@pytest.mark.parametrize("word", ["x" * 10_000, "weird\0code", "zwei wörter", ""])
def test_what_is_no_code_is_not_taken_for_one(word: str) -> None:
    error = classify(reply(envelope(word), 400))
    assert error.code == "unreadable_code"
    assert len(str(error)) < 200


def test_errors_that_need_a_person_say_what_to_do() -> None:
    for code in ("invalid_token", "token_revoked", "event_not_authorized", "insufficient_scope"):
        assert classify(reply(envelope(code), 401)).hint
        assert classify(reply(envelope(code), 401)).exit_code == 4


@pytest.mark.parametrize("code", ["invalid_token", "token_revoked", "invalid_grant", "insufficient_scope"])
def test_who_has_to_consent_again_is_who_consented(code: str) -> None:
    """Participants too may take back what they gave (§2)."""
    ours, theirs = (each.classify(reply(envelope(code), 401)) for each in (DIALECT, PARTICIPANTS_DIALECT))
    assert "have the event connected again" in str(ours.hint)
    assert "have the participant sign in again" in str(theirs.hint)
    assert "participant" not in f"{ours} {ours.hint}"
