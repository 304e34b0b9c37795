"""The developer endpoints (contracts/revento.md §12.3), suspension, secrets and the list of grants, on real sockets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest

from syncd.sandbox import Limits
from tests.sandbox.conftest import ACCEPT, Open, Remote

AUTH = ("sandbox-client", "sandbox-secret")
BASE = "/developer/integrations/int_sandbox"


async def ask(remote: Remote, path: str = "/installations", method: str = "GET", **options: Any) -> httpx.Response:
    """One request to a developer endpoint."""
    given: dict[str, Any] = {"auth": AUTH, "headers": {"Accept": ACCEPT}} | options
    base = given.pop("base", BASE)
    return await remote.http.request(method, remote.sandbox.api_url + base + path, **given)


async def installations(remote: Remote) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await ask(remote)).raise_for_status().json()["data"]
    return rows


async def status_of(remote: Remote) -> tuple[str, str | int]:
    """The installation's status in the listing, and what a call gets."""
    reply = await remote.get()
    (status,) = [row["status"] for row in await installations(remote) if row["event_id"] == remote.event_id]
    return status, reply.status_code if reply.is_success else reply.json()["error"]


async def test_installations_are_listed_one_per_event(remote: Remote) -> None:
    await remote.get()
    used_at = int(remote.sandbox.clock.now())
    other = remote.sandbox.event_ids[1]
    remote.sandbox.connect(other, ("event.read",))
    remote.sandbox.connect(other, participant_id=remote.sandbox.truth()["events"][1]["participants"][0]["id"])
    first, second = await installations(remote)
    assert first.keys() == {"event_id", "organization_id", "scopes", "status", "connected_at", "last_used_at"}
    assert first["event_id"] == remote.event_id
    assert first["organization_id"] == remote.truth()["event"]["organization_id"]
    assert first["scopes"] == ["event.read", "participants.read", "program.read"]
    assert abs(datetime.fromisoformat(first["last_used_at"]).timestamp() - used_at) <= 1
    assert (second["event_id"], second["scopes"], second["last_used_at"]) == (other, ["event.read"], None)


async def test_the_newest_living_grant_speaks_for_its_event(remote: Remote) -> None:
    remote.sandbox.clock.advance(3000)
    again = remote.sandbox.connect(remote.event_id, ("event.read",))
    (row,) = await installations(remote)
    assert row["scopes"] == ["event.read"]
    remote.sandbox.tokens.revoke_token(again["refresh_token"])
    (row,) = await installations(remote)
    assert (row["status"], len(row["scopes"])) == ("active", 3)
    remote.sandbox.tokens.revoke_token(remote.grant["refresh_token"])
    assert [row["status"] for row in await installations(remote)] == ["revoked"]


async def test_the_listing_is_paged_by_up_to_100(open_remote: Open) -> None:
    remote = await open_remote(events=5, participants=1, activities=1)
    for event_id in remote.sandbox.event_ids:
        remote.sandbox.connect(event_id)
    first = (await ask(remote, params={"limit": 2})).json()
    second = (await ask(remote, params={"limit": 3, "cursor": first["next_cursor"]})).json()
    assert [row["event_id"] for page in (first, second) for row in page["data"]] == remote.sandbox.event_ids
    assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)
    replies = [await ask(remote, params={"limit": limit}) for limit in (100, 101)]
    assert [reply.status_code for reply in replies] == [200, 400]
    foreign = (await remote.get("/participants", params={"limit": 1})).json()["next_cursor"]
    assert (await ask(remote, params={"cursor": foreign})).json()["error"] == "invalid_cursor"


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"auth": ("sandbox-client", "wrong")}, 401, "invalid_client"),
        ({"auth": ("somebody", "sandbox-secret")}, 401, "invalid_client"),
        ({"auth": None}, 401, "invalid_client"),
        ({"auth": None, "headers": {"Authorization": "Bearer rev_install_x"}}, 401, "invalid_token"),
        ({"auth": None, "headers": {"Authorization": "Basic %%%"}}, 401, "invalid_client"),
        ({"base": "/developer/integrations/int_other"}, 404, "resource_not_found"),
        ({"path": "/nothing"}, 404, "resource_not_found"),
        ({"method": "POST"}, 405, "method_not_allowed"),
        ({"headers": {"Accept": "text/html"}}, 406, "unsupported_version"),
        ({"path": "/rotate-webhook-secret"}, 405, "method_not_allowed"),
        ({"path": "/rotate-webhook-secret", "method": "POST", "content": b"{}"}, 400, "invalid_request"),
    ],
)
async def test_what_a_developer_may_not_do(remote: Remote, options: dict[str, Any], status: int, code: str) -> None:
    reply = await ask(remote, **options)
    assert (reply.status_code, reply.json()["error"]) == (status, code)
    assert reply.json()["request_id"] == reply.headers["x-revento-request-id"]


async def test_the_developers_budget_is_apart_from_the_tokens(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits(), developer_limits=Limits(9, 3, 1))
    replies = [await ask(remote) for _ in range(4)]
    assert [reply.status_code for reply in replies] == [200, 200, 200, 429]
    assert replies[-1].json()["error"] == "rate_limit_exceeded"
    assert int(replies[-1].headers["retry-after"]) > 0
    assert [reply.headers["x-ratelimit-limit"] for reply in replies] == ["9"] * 4
    assert (await remote.get()).headers["x-ratelimit-remaining"] == "499"
    stranger = await ask(remote, auth=("sandbox-client", "wrong"))
    assert stranger.status_code == 401, "and spends nobody's budget"


async def test_the_webhook_secret_is_rotated_with_a_day_of_overlap(remote: Remote) -> None:
    async def in_force() -> list[str]:
        secrets: list[str] = (await remote.control("GET", "/webhook-secrets")).json()["secrets"]
        return secrets

    assert await in_force() == ["sandbox-webhook-secret"]
    reply = await ask(remote, "/rotate-webhook-secret", "POST")
    first = reply.json()
    assert (reply.status_code, first.keys()) == (200, {"secret", "previous_secret_expires_at"})
    assert reply.headers["content-type"] == "application/vnd.revento.v1+json; charset=utf-8"
    ends_at = datetime.fromisoformat(first["previous_secret_expires_at"]).timestamp()
    assert abs(ends_at - remote.sandbox.clock.now() - 86_400) < 60
    assert await in_force() == [first["secret"], "sandbox-webhook-secret"]
    second = (await ask(remote, "/rotate-webhook-secret", "POST")).json()
    assert await in_force() == [second["secret"], first["secret"]], "the oldest drops at once (G24)"
    remote.sandbox.clock.advance(86_400)
    assert await in_force() == [second["secret"]]


async def test_a_rotated_client_secret_is_the_one_everywhere(remote: Remote) -> None:
    fresh = (await remote.control("POST", "/client-secret")).json()["client_secret"]
    assert (await ask(remote)).status_code == 401
    assert (await ask(remote, auth=("sandbox-client", fresh))).status_code == 200
    assert (await remote.refresh(remote.grant["refresh_token"], client_secret=fresh)).status_code == 200
    revoke = f"{remote.sandbox.auth_url}/oauth/revoke"
    assert (await remote.http.post(revoke, data={"token": "x"}, auth=AUTH)).status_code == 401
    assert (await remote.http.post(revoke, data={"token": "x"}, auth=("sandbox-client", fresh))).status_code == 200


async def test_a_suspended_installation_looks_revoked_to_its_token_and_comes_back(remote: Remote) -> None:
    assert await status_of(remote) == ("active", 200)
    told = await remote.control("POST", "/tokens/suspend", {"event_id": remote.event_id})
    assert told.json() == {"grants": 1}
    assert await status_of(remote) == ("suspended", "token_revoked")
    remote.grant = (await remote.refresh(remote.grant["refresh_token"])).json()
    assert await status_of(remote) == ("suspended", "token_revoked")
    await remote.control("POST", "/tokens/resume", {"event_id": remote.event_id})
    assert await status_of(remote) == ("active", 200)
    await remote.control("POST", "/tokens/suspend", {"event_id": remote.event_id})
    await remote.control("POST", "/tokens/revoke", {"event_id": remote.event_id})
    assert await status_of(remote) == ("revoked", "token_revoked")
    await remote.control("POST", "/tokens/resume", {"event_id": remote.event_id})
    assert await status_of(remote) == ("revoked", "token_revoked")


async def test_one_events_suspension_leaves_the_others_alone(remote: Remote) -> None:
    other = remote.sandbox.event_ids[1]
    remote.sandbox.connect(other)
    remote.sandbox.tokens.suspend_event(other)
    assert (await remote.get()).status_code == 200
    assert [row["status"] for row in await installations(remote)] == ["active", "suspended"]


@pytest.mark.parametrize(("suspend_after", "ends"), [(0, "rate_limit_exceeded"), (3, "token_revoked")])
async def test_repeated_429s_suspend_where_that_is_wanted(open_remote: Open, suspend_after: int, ends: str) -> None:
    remote = await open_remote(limits=Limits(1, 0, 0), suspend_after_429s=suspend_after)
    codes = [(await remote.get()).json().get("error") for _ in range(5)]
    assert codes == [None, *["rate_limit_exceeded"] * 3, ends]


async def test_rare_429s_suspend_nobody(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits(1, 0, 0), suspend_after_429s=2)
    await remote.get()
    for _ in range(4):
        assert (await remote.get()).json()["error"] == "rate_limit_exceeded"
        remote.sandbox.clock.advance(61)
    assert [row["status"] for row in await installations(remote)] == ["active"]


async def test_grants_are_listed_without_their_tokens(remote: Remote) -> None:
    person = remote.truth()["participants"][0]
    user = remote.sandbox.connect(remote.event_id, participant_id=person["id"])
    remote.sandbox.tokens.revoke_token(user["refresh_token"])
    await remote.get()
    reply = await remote.control("GET", "/grants")
    first, second = reply.json()
    assert (first["kind"], first["event_id"], first["status"]) == ("installation", remote.event_id, "active")
    assert (second["kind"], second["participant_id"], second["status"]) == ("user", person["id"], "revoked")
    assert (second["user_id"], second["scopes"]) == (person["user_id"], ["profile.read", "event.attendance"])
    assert first["last_used_at"] > first["issued_at"] > 0
    assert second["last_used_at"] is None
    assert first["access_expires_at"] - first["issued_at"] == pytest.approx(3600, abs=1)
    assert "rev_" not in reply.text
