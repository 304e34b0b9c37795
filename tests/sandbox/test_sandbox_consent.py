"""Consent by authorization code and PKCE (contracts/revento.md §3, §4), over real sockets."""

from __future__ import annotations

import base64
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.sandbox.conftest import Open, Remote

CALLBACK = "https://client.example/callback?tenant=1"
VERIFIER = base64.urlsafe_b64encode(bytes(range(32))).rstrip(b"=").decode()
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
INSTALLATION = "event.read participants.read program.read"


@pytest.fixture
async def remote(open_remote: Open) -> Remote:
    """A sandbox that knows our callback."""
    return await open_remote(redirect_uris=(CALLBACK,))


async def authorize(remote: Remote, **changes: str | None) -> httpx.Response:
    """The browser's way to the consent page; None leaves a parameter out."""
    given = {
        "response_type": "code",
        "client_id": "sandbox-client",
        "redirect_uri": CALLBACK,
        "scope": INSTALLATION,
        "state": "s/1 &",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        "event_id": remote.event_id,
    }
    params = {name: value for name, value in (given | changes).items() if value is not None}
    return await remote.http.get(f"{remote.sandbox.auth_url}/oauth/authorize", params=params)


def answer(reply: httpx.Response) -> dict[str, str]:
    """What the browser brings back to the callback."""
    assert (reply.status_code, reply.content) == (302, b"")
    where = reply.headers["location"]
    assert where.startswith(CALLBACK + "&")
    return {name: value for name, (value,) in parse_qs(urlsplit(where).query).items() if name != "tenant"}


async def code_for(remote: Remote, **changes: str | None) -> str:
    return answer(await authorize(remote, **changes))["code"]


async def redeem(remote: Remote, code: str, /, **changes: str | None) -> httpx.Response:
    given = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": VERIFIER,
        "redirect_uri": CALLBACK,
        "client_id": "sandbox-client",
        "client_secret": "sandbox-secret",
    }
    form = {name: value for name, value in (given | changes).items() if value is not None}
    return await remote.http.post(f"{remote.sandbox.auth_url}/oauth/token", data=form)


async def refused(reply: httpx.Response) -> tuple[int, str]:
    assert "location" not in reply.headers
    assert set(reply.json()) == {"error", "message", "request_id"}
    return reply.status_code, str(reply.json()["error"])


async def test_a_consent_yields_a_token_of_the_event(remote: Remote) -> None:
    back = answer(await authorize(remote))
    assert back == {"code": back["code"], "state": "s/1 &"}
    reply = await redeem(remote, back["code"])
    grant = reply.json()
    assert grant.keys() == remote.grant.keys()
    assert (reply.headers["content-type"], reply.headers["cache-control"]) == ("application/json", "no-store")
    assert (grant["scope"], grant["event_id"]) == (INSTALLATION, remote.event_id)
    assert (await remote.get(token=grant["access_token"])).status_code == 200
    assert (await remote.refresh(grant["refresh_token"])).status_code == 200


async def test_a_code_works_once(remote: Remote) -> None:
    code = await code_for(remote)
    first = (await redeem(remote, code)).json()
    assert await refused(await redeem(remote, code)) == (400, "invalid_grant")
    assert (await remote.get(token=first["access_token"])).status_code == 200


async def test_a_code_lives_for_ten_minutes(remote: Remote) -> None:
    young, old = await code_for(remote), await code_for(remote)
    remote.sandbox.clock.advance(595)
    assert (await redeem(remote, young)).status_code == 200
    remote.sandbox.clock.advance(5)
    assert await refused(await redeem(remote, old)) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"code": "unknown"}, (400, "invalid_grant")),
        ({"code_verifier": CHALLENGE}, (400, "invalid_grant")),
        ({"code_verifier": VERIFIER + "="}, (400, "invalid_grant")),
        ({"redirect_uri": CALLBACK + "/"}, (400, "invalid_grant")),
        ({"code_verifier": None}, (400, "invalid_request")),
        ({"redirect_uri": None}, (400, "invalid_request")),
        ({"code": None}, (400, "invalid_request")),
        ({"client_secret": "wrong"}, (401, "invalid_client")),
        ({"client_id": None}, (401, "invalid_client")),
    ],
)
async def test_what_a_code_is_not_redeemed_with(
    remote: Remote, changes: dict[str, str | None], told: tuple[int, str]
) -> None:
    code = await code_for(remote)
    assert await refused(await redeem(remote, code, **changes)) == told
    assert len(remote.sandbox.tokens.grants()) == 1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"client_id": "somebody"}, (400, "invalid_request")),
        ({"redirect_uri": CALLBACK + "/"}, (400, "invalid_request")),
        ({"redirect_uri": "https://evil.example/"}, (400, "invalid_request")),
        ({"redirect_uri": None}, (400, "invalid_request")),
        ({"response_type": "token"}, (400, "invalid_request")),
        ({"state": None}, (400, "invalid_request")),
        ({"code_challenge": None}, (400, "invalid_request")),
        ({"code_challenge_method": "plain"}, (400, "invalid_request")),
        ({"event_id": None}, (400, "invalid_request")),
        ({"event_id": "evt_nobody"}, (404, "resource_not_found")),
        ({"scope": "event.read profile.read"}, (400, "invalid_scope")),
        ({"scope": "event.attendance program.read"}, (400, "invalid_scope")),
        ({"scope": "event.write"}, (400, "invalid_scope")),
    ],
)
async def test_a_bad_request_is_refused_and_never_redirected(
    remote: Remote, changes: dict[str, str | None], told: tuple[int, str]
) -> None:
    assert await refused(await authorize(remote, **changes)) == told


async def test_only_get_authorizes(remote: Remote) -> None:
    reply = await remote.http.post(f"{remote.sandbox.auth_url}/oauth/authorize")
    assert await refused(reply) == (405, "method_not_allowed")


async def test_a_person_may_refuse(remote: Remote) -> None:
    await remote.control("PATCH", "/settings", {"consent": "deny"})
    assert answer(await authorize(remote)) == {"error": "access_denied", "state": "s/1 &"}
    assert (await remote.control("PATCH", "/settings", {"consent": "maybe"})).status_code == 400


async def test_less_may_be_granted_than_was_asked_for(remote: Remote) -> None:
    await remote.control("PATCH", "/settings", {"scopes": ["event.read", "participants.read"]})
    grant = (await redeem(remote, await code_for(remote))).json()
    assert grant["scope"] == "event.read participants.read"
    assert await refused(await remote.get("/threads", token=grant["access_token"])) == (403, "insufficient_scope")
    assert answer(await authorize(remote, scope="program.read"))["error"] == "access_denied"


async def test_less_may_be_asked_for_than_would_be_granted(remote: Remote) -> None:
    grant = (await redeem(remote, await code_for(remote, scope="event.read"))).json()
    assert grant["scope"] == "event.read"


async def test_a_participant_signs_in(remote: Remote) -> None:
    first, chosen = (remote.truth()["participants"][n] for n in (0, 7))
    both = "profile.read event.attendance"
    grant = (await redeem(remote, await code_for(remote, scope=both))).json()
    assert (grant["user_id"], grant["scope"]) == (first["user_id"], both)
    await remote.control("PATCH", "/settings", {"login_as": chosen["id"], "user_scopes": ["event.attendance"]})
    grant = (await redeem(remote, await code_for(remote, scope=both))).json()
    assert (grant["user_id"], grant["scope"]) == (chosen["user_id"], "event.attendance")
    assert (await remote.get_api("/me/application", token=grant["access_token"])).status_code == 200


async def test_nobody_signs_in_without_an_application_or_a_connected_event(remote: Remote) -> None:
    async def denied(event_id: str) -> bool:
        return "error" in answer(await authorize(remote, scope="profile.read", event_id=event_id))

    unconnected: Any = remote.sandbox.event_ids[1]
    assert await denied(unconnected)
    assert not await denied(remote.event_id)
    await remote.sandbox.configure(login_as="ptp_nobody")
    assert await denied(remote.event_id)
    await remote.sandbox.configure(login_as=None)
    remote.sandbox.tokens.revoke_event(remote.event_id)
    assert await denied(remote.event_id)


async def test_faults_and_the_log_know_the_endpoint_and_no_secret(remote: Remote) -> None:
    remote.sandbox.faults.add({"endpoint": "/oauth/authorize", "status": 503})
    assert (await authorize(remote)).status_code == 503
    code = await code_for(remote)
    await redeem(remote, code)
    log = (await remote.control("GET", "/log")).text
    assert log.count("/oauth/authorize") == 4
    for secret in (code, VERIFIER, "sandbox-secret"):
        assert secret not in log
