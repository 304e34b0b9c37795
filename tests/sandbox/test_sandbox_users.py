"""User tokens and what they open (contracts/revento.md §2, §12.2), over real sockets."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.sandbox import Limits
from tests.sandbox.conftest import Open, Remote


def someone(remote: Remote, n: int = 0) -> dict[str, Any]:
    """A participant of the connected event."""
    row: dict[str, Any] = remote.truth()["participants"][n]
    return row


def connect(remote: Remote, n: int = 0, scopes: tuple[str, ...] | None = None) -> dict[str, Any]:
    """A user token response for a participant of the connected event."""
    return remote.sandbox.connect(remote.event_id, scopes, participant_id=someone(remote, n)["id"])


async def me(remote: Remote, name: str, token: str) -> tuple[int, Any]:
    """Status and body of a read; of an error its code."""
    reply = await remote.get_api(f"/me/{name}", token=token)
    return reply.status_code, reply.json() if reply.is_success else reply.json()["error"]


async def test_a_user_token_is_bound_to_one_person_and_one_event(remote: Remote) -> None:
    person, grant = someone(remote), connect(remote)
    assert grant["access_token"].startswith("rev_user_")
    assert grant["refresh_token"].startswith("rev_refresh_")
    assert grant["scope"] == "profile.read event.attendance"
    assert (grant["user_id"], grant["event_id"]) == (person["user_id"], remote.event_id)
    status, profile = await me(remote, "profile", grant["access_token"])
    assert status == 200
    assert profile["locale"] in {"pl", "en", "de"}
    assert profile == {
        "user_id": person["user_id"],
        "display_name": person["display_name"],
        "email": person["email"],
        "locale": profile["locale"],
        "event_id": remote.event_id,
    }
    status, application = await me(remote, "application", grant["access_token"])
    assert (status, application["event_id"], application["status"]) == (200, remote.event_id, "approved")
    assert application["id"].startswith("app_")
    assert application["submitted_at"] == person["created_at"]
    assert [application[name] for name in ("last_reviewed_at", "last_review_action")] == [
        person[name] for name in ("last_reviewed_at", "last_review_action")
    ]


async def test_the_application_follows_the_review(remote: Remote) -> None:
    token = connect(remote)["access_token"]
    changes = {"application_status": "rejected", "last_review_action": "rejected"}
    remote.sandbox.world.patch(remote.event_id, "participants", someone(remote)["id"], changes)
    _, application = await me(remote, "application", token)
    assert (application["status"], application["last_review_action"]) == ("rejected", "rejected")


async def test_everyone_has_an_account_with_an_email_even_where_the_event_knows_none(remote: Remote) -> None:
    (n,) = [n for n, row in enumerate(remote.truth()["participants"]) if "email" not in row][:1]
    _, profile = await me(remote, "profile", connect(remote, n)["access_token"])
    assert profile["email"] == f"{someone(remote, n)['user_id']}@example.com"


@pytest.mark.parametrize("reading", ["gone", "kept"])
async def test_a_withdrawn_application_is_not_found_and_the_profile_stays(open_remote: Open, reading: str) -> None:
    remote = await open_remote(gaps={"G20": reading})
    token, name = connect(remote, 3)["access_token"], someone(remote, 3)["display_name"]
    remote.sandbox.world.delete(remote.event_id, "participants", someone(remote, 3)["id"])
    assert await me(remote, "application", token) == (404, "resource_not_found")
    status, profile = await me(remote, "profile", token)
    assert (status, profile["display_name"]) == (200, name)


async def test_each_kind_of_token_is_refused_by_the_others_endpoints(remote: Remote) -> None:
    user = connect(remote)["access_token"]
    for path in ("", "/participants", "/nothing"):
        reply = await remote.get(path, token=user)
        assert (reply.status_code, reply.json()["error"]) == (403, "installation_token_required")
    for name in ("profile", "application", "nothing"):
        assert await me(remote, name, remote.grant["access_token"]) == (403, "user_token_required")
    assert await me(remote, "nothing", user) == (404, "resource_not_found")
    assert await me(remote, "profile", "rev_user_unknown") == (401, "invalid_token")
    reply = await remote.get_api("/developer/integrations/int_sandbox/installations", token=user)
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")


async def test_each_scope_may_be_declined_by_itself(remote: Remote) -> None:
    profile_only = connect(remote, 0, ("profile.read",))["access_token"]
    attendance_only = connect(remote, 0, ("event.attendance",))["access_token"]
    assert await me(remote, "application", profile_only) == (403, "insufficient_scope")
    assert await me(remote, "profile", attendance_only) == (403, "insufficient_scope")
    assert [(await me(remote, name, token))[0] for name, token in
            (("profile", profile_only), ("application", attendance_only))] == [200, 200]  # fmt: skip


async def test_user_tokens_refresh_expire_and_are_revoked_like_the_others(remote: Remote) -> None:
    grant = connect(remote)
    fresh = (await remote.refresh(grant["refresh_token"])).json()
    assert fresh["access_token"].startswith("rev_user_")
    assert fresh["user_id"] == grant["user_id"]
    remote.sandbox.clock.advance(3600)
    assert await me(remote, "profile", fresh["access_token"]) == (401, "token_expired")
    fresh = (await remote.refresh(fresh["refresh_token"])).json()
    remote.sandbox.tokens.revoke_event(remote.event_id)
    assert await me(remote, "profile", fresh["access_token"]) == (401, "token_revoked")
    assert (await remote.refresh(fresh["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_user_token_has_its_own_smaller_budget(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits())
    token = connect(remote)["access_token"]
    replies = [await remote.get_api("/me/profile", token=token) for _ in range(21)]
    assert [reply.status_code for reply in replies] == [200] * 20 + [429]
    assert [replies[n].headers["x-ratelimit-limit"] for n in (0, 20)] == ["200", "200"]
    assert [replies[n].headers["x-ratelimit-remaining"] for n in (0, 20)] == ["199", "180"]
    assert (await remote.get()).headers["x-ratelimit-remaining"] == "499"


async def test_connect_by_control(remote: Remote) -> None:
    person = someone(remote, 5)
    for who in ({"user_id": person["user_id"]}, {"participant_id": person["id"]}):
        grant = (await remote.control("POST", "/connect", {"event_id": remote.event_id, **who})).json()
        assert grant["user_id"] == person["user_id"]
    narrow = {"event_id": remote.event_id, "participant_id": person["id"], "scopes": ["profile.read"]}
    assert (await remote.control("POST", "/connect", narrow)).json()["scope"] == "profile.read"
    nobody = {"event_id": remote.event_id, "participant_id": "ptp_none"}
    assert (await remote.control("POST", "/connect", nobody)).status_code == 404
    mixed = {"event_id": remote.event_id, "scopes": ["profile.read"]}
    assert (await remote.control("POST", "/connect", mixed)).status_code == 400
