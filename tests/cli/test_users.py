"""A participant's own token, from the file to the tables: the real command in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Remote, Syncd

Query = Callable[..., list[tuple[Any, ...]]]


def sign_in(remote: Remote, n: int = 0, scopes: list[str] | None = None) -> dict[str, Any]:
    """A token reply of the nth participant."""
    person = remote.control("GET", "/truth")["events"][0]["participants"][n]
    order = {"event_id": remote.event_id, "participant_id": person["id"], "scopes": scopes}
    reply: dict[str, Any] = remote.control("POST", "/connect", order)
    return reply


def add(warehouse: Syncd, reply: dict[str, Any], source: str = "revento-user") -> Any:
    return warehouse("installations", "add", source, "--credentials", "-", "--json", stdin=json.dumps(reply))


def test_a_person_is_added_copied_proven_and_given_up(warehouse: Syncd, remote: Remote, query: Query) -> None:
    reply = sign_in(remote)
    name = f"revento-user/{remote.event_id}/{reply['user_id']}"
    added = add(warehouse, reply)
    assert (added.exit_code, added.document["installation"]["name"]) == (0, name)
    assert warehouse("sync", reply["user_id"]).exit_code == 0
    assert query("SELECT user_id, withdrawn_at FROM revento.user_applications") == [(reply["user_id"], None)]
    for command in (["verify", name], ["installations", "check", name], ["status", name], ["doctor"]):
        ended = warehouse(*command)
        assert (ended.exit_code if command != ["doctor"] else 0) == 0, ended.err
    shown = warehouse("installations", "show", name).out
    assert f"{remote.event_id}/{reply['user_id']}" in shown
    ended = warehouse("installations", "remove", name, "--yes")
    assert (ended.exit_code, "which ends the participant's consent; 2 copied rows stay" in ended.out) == (0, True)


def test_a_declined_profile_is_a_steady_state(warehouse: Syncd, remote: Remote, query: Query) -> None:
    reply = sign_in(remote, 1, ["event.attendance"])
    assert add(warehouse, reply).exit_code == 0
    ended = warehouse("sync", "--json")
    streams = {one["stream"]: (one["status"], one["reason"]) for one in ended.result["streams"]}
    assert (ended.exit_code, streams["profile"]) == (0, ("skipped", "scope_missing: profile.read was not granted"))
    assert warehouse("installations", "check").exit_code == 4
    assert query("SELECT count(*) FROM revento.user_profiles") == [(0,)]


@pytest.mark.parametrize(
    ("source", "says"),
    [("revento-user", "this is an installation token"), ("revento", "this is a participant's token")],
)
def test_a_token_of_the_other_kind_is_refused(
    warehouse: Syncd, remote: Remote, query: Query, source: str, says: str
) -> None:
    replies = {"revento": sign_in(remote), "revento-user": json.loads(remote.token()) | {"user_id": "usr_1"}}
    ended = add(warehouse, replies[source], source)
    assert (ended.exit_code, says in ended.document["error"]) == (4, True)
    assert query("SELECT count(*) FROM syncd.installations") == [(0,)]


def test_a_reply_that_names_no_person_is_refused(warehouse: Syncd, remote: Remote) -> None:
    reply = {name: value for name, value in sign_in(remote).items() if name != "user_id"}
    ended = add(warehouse, reply)
    assert (ended.exit_code, "user_id is missing" in ended.document["error"]) == (2, True)
