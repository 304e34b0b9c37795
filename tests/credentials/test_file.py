"""The credentials file: a token reply with its event."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from syncd.credentials.file import read_credentials
from syncd.errors import ConfigError, NeedsAuthorization

NOW = datetime(2026, 5, 9, 14, 22, 31, tzinfo=UTC)
REPLY = {
    "access_token": "rev_install_CANARY",
    "refresh_token": "rev_refresh_CANARY",
    "token_type": "Bearer",
    "expires_in": 3600,
    "refresh_expires_in": 7776000,
    "scope": "event.read participants.read program.read",
    "event_id": "evt_abc123",
    "organization_id": "org_xyz789",
}


def read(**changes: Any) -> Any:
    return read_credentials(json.dumps(REPLY | changes).encode(), now=NOW)


def test_a_token_reply_is_read_as_it_came() -> None:
    credentials = read()
    assert (credentials.account, credentials.organization_id) == ("evt_abc123", "org_xyz789")
    tokens = credentials.tokens
    assert (tokens.access_token, tokens.refresh_token) == ("rev_install_CANARY", "rev_refresh_CANARY")
    assert tokens.access_expires_at == NOW + timedelta(hours=1)
    assert tokens.refresh_expires_at == NOW + timedelta(days=90)
    assert tokens.scopes == ("event.read", "participants.read", "program.read")
    assert "CANARY" not in repr(credentials)


def test_lifetimes_count_from_the_time_that_is_given() -> None:
    assert read(obtained_at="2026-05-09T14:00:00Z").tokens.access_expires_at == datetime(2026, 5, 9, 15, tzinfo=UTC)
    assert read(obtained_at="2026-05-09T16:00:00+02:00").tokens.access_expires_at == datetime(
        2026, 5, 9, 15, tzinfo=UTC
    )


def test_unknown_fields_are_no_matter() -> None:
    assert read(new_field={"a": 1}).account == "evt_abc123"


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff",
        b'{"access_token": 7}',
        json.dumps({**REPLY, "event_id": ""}).encode(),
        json.dumps({**REPLY, "event_id": "evt/../x"}).encode(),
        json.dumps({**REPLY, "event_id": ".."}).encode(),
        json.dumps({**REPLY, "event_id": "e" * 3000}).encode(),
        json.dumps({**REPLY, "scope": "event.read\0"}).encode(),
        json.dumps({**REPLY, "obtained_at": "2026-05-09T14:00:00"}).encode(),
        json.dumps({**REPLY, "obtained_at": "yesterday"}).encode(),
        json.dumps({**REPLY, "token_type": "mac"}).encode(),
        json.dumps({key: value for key, value in REPLY.items() if key != "event_id"}).encode(),
        json.dumps({key: value for key, value in REPLY.items() if key != "access_token"}).encode(),
    ],
)
def test_what_cannot_be_used_is_refused_and_not_shown(document: bytes) -> None:
    with pytest.raises(ConfigError) as error:
        read_credentials(document, now=NOW)
    assert "CANARY" not in str(error.value) + str(error.value.hint)


def test_a_participants_token_opens_no_event() -> None:
    with pytest.raises(NeedsAuthorization, match="a participant's token") as error:
        read_credentials(json.dumps({**REPLY, "access_token": "rev_user_x"}).encode(), now=NOW)
    assert "an organizer's consent" in str(error.value.hint)


def participant(**changes: Any) -> Any:
    reply = REPLY | {"access_token": "rev_user_x", "scope": "profile.read", "user_id": "usr_1"} | changes
    document = json.dumps({name: value for name, value in reply.items() if value is not ...}).encode()
    return read_credentials(document, now=NOW, account=("event_id", "user_id"), consenter="participant")


def test_a_participants_token_opens_one_person_and_event() -> None:
    assert participant().ids == {"event_id": "evt_abc123", "user_id": "usr_1"}
    assert participant().account == "evt_abc123/usr_1"
    assert participant().tokens.opens == {"event_id": "evt_abc123", "user_id": "usr_1"}


def test_an_installation_token_opens_no_person() -> None:
    with pytest.raises(NeedsAuthorization, match="this is an installation token") as error:
        participant(access_token="rev_install_CANARY")
    assert "the participant's consent" in str(error.value.hint)


@pytest.mark.parametrize("user_id", [..., None, "", 7, "usr/1", "..", "u" * 300, "usr\0"])
def test_whose_token_it_is_must_be_said(user_id: object) -> None:
    with pytest.raises(ConfigError, match="user_id"):
        participant(user_id=user_id)


@pytest.mark.parametrize("user_id", [7, None, {"a": 1}])
def test_an_organizers_reply_may_say_anything_of_users(user_id: object) -> None:
    assert read(user_id=user_id).tokens.opens == {"event_id": "evt_abc123"}
