"""The token reply, in every form that a server may give it."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

import pytest

from syncd.errors import ContractBreach
from syncd.wire.tokens import ACCESS_LIFE_S, LONGEST_LIFE_S, TokenResponse, Tokens, basic, fingerprint, read_tokens

NOW = datetime(2026, 5, 9, 14, 22, 31, tzinfo=UTC)


def read(**fields: Any) -> Tokens:
    return read_tokens(TokenResponse(**({"access_token": "a"} | fields)), "previous", now=NOW)


@pytest.mark.fault(49)
@pytest.mark.parametrize(
    ("expires_in", "seconds"),
    [
        (3600, 3600),
        (0.5, 0.5),
        ("3600", 3600),
        (None, ACCESS_LIFE_S),
        ("soon", ACCESS_LIFE_S),
        ("nan", ACCESS_LIFE_S),
        ("inf", ACCESS_LIFE_S),
        (0, ACCESS_LIFE_S),
        (-5, ACCESS_LIFE_S),
        (1e99, LONGEST_LIFE_S),
    ],
)
def test_a_lifetime_is_held_to_sane_bounds(expires_in: object, seconds: float) -> None:
    assert read(expires_in=expires_in).access_expires_at == NOW + timedelta(seconds=seconds)


@pytest.mark.fault(49)
@pytest.mark.parametrize("kept", [None, ""])
def test_a_reply_without_a_refresh_token_keeps_the_previous_one(kept: str | None) -> None:
    assert read(refresh_token=kept).refresh_token == "previous"
    assert read(refresh_token="next").refresh_token == "next"


def test_the_end_of_a_refresh_token_may_be_unknown() -> None:
    assert read().refresh_expires_at is None
    assert read(refresh_expires_in=7_776_000).refresh_expires_at == NOW + timedelta(days=90)


def test_scopes() -> None:
    assert read(scope="event.read  program.read").scopes == ("event.read", "program.read")
    assert read().scopes == ()


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER"])
def test_a_bearer_token_is_taken(kind: str) -> None:
    assert read(token_type=kind).access_token == "a"


@pytest.mark.fault(49)
def test_another_kind_of_token_is_refused() -> None:
    with pytest.raises(ContractBreach, match="no bearer token"):
        read(token_type="mac")


def test_a_pair_shows_no_token() -> None:
    shown = repr(read(access_token="CANARY-1", refresh_token="CANARY-2"))
    assert "CANARY" not in shown


def test_a_fingerprint_names_a_token_and_does_not_give_it_away() -> None:
    names = {fingerprint(f"rev_install_{n}") for n in range(1000)}
    assert len(names) == 1000
    assert {len(name) for name in names} == {12}
    assert fingerprint("rev_install_7") == fingerprint("rev_install_7")


@pytest.mark.fault(54)
@pytest.mark.parametrize(
    ("client_id", "client_secret"),
    [("client", "secret"), ("a:b", "100% żółć"), ("+ &=", "::"), ("/", "\u2028")],
)
def test_the_client_is_named_as_rfc_6749_wants_it(client_id: str, client_secret: str) -> None:
    """Each half is form-encoded, so that a colon in one of them does not divide them elsewhere (§2.3.1)."""
    given_id, _, given_secret = b64decode(basic(client_id, client_secret)).decode("ascii").partition(":")
    assert (unquote_plus(given_id), unquote_plus(given_secret)) == (client_id, client_secret)
