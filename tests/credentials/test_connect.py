"""A consent believes only the redirect that answers to its own request."""

from __future__ import annotations

import base64
import hashlib
from urllib.parse import parse_qs, urlsplit

import pytest

from syncd.credentials.connect import Consent
from syncd.errors import ConfigError, NeedsAuthorization, Transient

CALLBACK = "http://127.0.0.1:8440/callback?tenant=1"


def consent() -> Consent:
    return Consent.begin("a client", CALLBACK, "evt_1", ["event.read", "participants.read"])


def test_the_address_asks_for_what_the_contract_names() -> None:
    asked = consent()
    parts = urlsplit(asked.address("https://auth.example.com"))
    query = {name: value for name, (value,) in parse_qs(parts.query, strict_parsing=True).items()}
    digest = hashlib.sha256(asked.verifier.encode()).digest()
    assert parts[:3] == ("https", "auth.example.com", "/oauth/authorize")
    assert query == {
        "response_type": "code",
        "client_id": "a client",
        "redirect_uri": CALLBACK,
        "scope": "event.read participants.read",
        "state": asked.state,
        "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
        "code_challenge_method": "S256",
        "event_id": "evt_1",
    }
    assert len(base64.urlsafe_b64decode(asked.verifier + "=")) == 32


def test_no_two_consents_share_a_secret_and_none_is_shown() -> None:
    one, other = consent(), consent()
    assert {one.state, one.verifier}.isdisjoint({other.state, other.verifier})
    assert one.state not in repr(one)
    assert one.verifier not in repr(one)


def test_the_code_of_our_own_request_is_taken() -> None:
    asked = consent()
    assert asked.read({"code": "c", "state": asked.state}) == "c"


@pytest.mark.parametrize("state", ["", "other", "é"])
@pytest.mark.parametrize("answer", [{"code": "c"}, {"error": "access_denied"}, {"error": "x"}, {}])
def test_an_answer_to_another_request_is_none(state: str, answer: dict[str, str]) -> None:
    assert consent().read(answer | {"state": state}) is None
    assert consent().read(answer) is None


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable"])
def test_a_server_in_trouble_is_no_mistake_of_ours(error: str) -> None:
    asked = consent()
    with pytest.raises(Transient, match=error) as told:
        asked.read({"error": error, "state": asked.state})
    assert (told.value.exit_code, "try again later" in str(told.value.hint)) == (75, True)


def test_a_refusal_and_a_mistake_of_ours_are_told_apart() -> None:
    asked = consent()
    with pytest.raises(NeedsAuthorization, match="organizer refused"):
        asked.read({"error": "access_denied", "state": asked.state})
    with pytest.raises(ConfigError, match="invalid_scope"):
        asked.read({"error": "invalid_scope", "state": asked.state})
    assert asked.read({"state": asked.state, "code": ""}) is None
