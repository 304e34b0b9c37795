"""Refresh, rotation, revocation (contracts/revento.md §2, §5, §6), over real sockets."""

from __future__ import annotations

import httpx
import pytest

from tests.sandbox.conftest import Open, Remote

PAIR = {
    "access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in", "scope", "event_id",
    "organization_id",
}  # fmt: skip


async def code_of(remote: Remote, token: str) -> str | int:
    """What a read with this access token gets: 200 or an error code."""
    reply = await remote.get(token=token)
    return reply.status_code if reply.is_success else str(reply.json()["error"])


async def assert_invalid_grant(reply: httpx.Response) -> None:
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")


async def revoke(remote: Remote, token: str, secret: str = "sandbox-secret") -> httpx.Response:
    return await remote.http.post(
        f"{remote.sandbox.auth_url}/oauth/revoke", data={"token": token}, auth=("sandbox-client", secret)
    )


async def test_a_consent_and_a_refresh_answer_alike(remote: Remote) -> None:
    reply = await remote.refresh(remote.grant["refresh_token"])
    pair = reply.json()
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    for answer in (remote.grant, pair):
        assert set(answer) == PAIR
        assert answer["access_token"].startswith("rev_install_")
        assert answer["refresh_token"].startswith("rev_refresh_")
        assert (answer["token_type"], answer["expires_in"], answer["refresh_expires_in"]) == ("Bearer", 3600, 7_776_000)
        assert answer["scope"] == "event.read participants.read program.read"
        assert answer["event_id"] == remote.event_id
        assert answer["organization_id"] == remote.truth()["event"]["organization_id"]
    assert pair["access_token"] != remote.grant["access_token"]
    assert pair["refresh_token"] != remote.grant["refresh_token"]


async def test_the_old_access_token_stays_valid_until_its_own_expiry(remote: Remote) -> None:
    remote.sandbox.clock.advance(1800)
    fresh = (await remote.refresh(remote.grant["refresh_token"])).json()["access_token"]
    assert [await code_of(remote, token) for token in (remote.grant["access_token"], fresh)] == [200, 200]
    remote.sandbox.clock.advance(1800)
    assert [await code_of(remote, token) for token in (remote.grant["access_token"], fresh)] == ["token_expired", 200]


async def test_reuse_of_a_rotated_refresh_token_kills_the_family(remote: Remote) -> None:
    first = remote.grant["refresh_token"]
    second = (await remote.refresh(first)).json()
    third = (await remote.refresh(second["refresh_token"])).json()
    await assert_invalid_grant(await remote.refresh(first))
    await assert_invalid_grant(await remote.refresh(third["refresh_token"]))
    assert await code_of(remote, third["access_token"]) == "token_revoked"


async def test_the_other_reading_replays_the_same_pair_for_a_minute(open_remote: Open) -> None:
    remote = await open_remote(gaps={"G7": "grace"})
    first = remote.grant["refresh_token"]
    pair = (await remote.refresh(first)).json()
    assert (await remote.refresh(first)).json() == pair
    assert await code_of(remote, pair["access_token"]) == 200
    remote.sandbox.clock.advance(61)
    await assert_invalid_grant(await remote.refresh(first))
    assert await code_of(remote, pair["access_token"]) == "token_revoked"


async def test_refresh_tokens_slide_for_90_days_and_end_after_a_year(remote: Remote) -> None:
    day, pair = 86_400, remote.grant
    for _ in range(4):
        remote.sandbox.clock.advance(80 * day)
        pair = (await remote.refresh(pair["refresh_token"])).json()
    assert pair["refresh_expires_in"] == pytest.approx(45 * day, abs=60), "320 days gone, 45 of the year are left (G9)"
    remote.sandbox.clock.advance(45 * day)
    await assert_invalid_grant(await remote.refresh(pair["refresh_token"]))


async def test_an_idle_refresh_token_dies_after_90_days(remote: Remote) -> None:
    remote.sandbox.clock.advance(90 * 86_400)
    await assert_invalid_grant(await remote.refresh(remote.grant["refresh_token"]))


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "somebody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"refresh_token": "rev_refresh_unknown"}, 400, "invalid_grant"),
    ],
)
async def test_bad_refreshes_are_refused_and_burn_nothing(
    remote: Remote, changes: dict[str, str], status: int, code: str
) -> None:
    reply = await remote.refresh(remote.grant["refresh_token"], **changes)
    assert (reply.status_code, reply.json()["error"]) == (status, code)
    assert set(reply.json()) == {"error", "message", "request_id"}
    assert (await remote.refresh(remote.grant["refresh_token"])).status_code == 200


async def test_an_access_token_is_no_refresh_token(remote: Remote) -> None:
    await assert_invalid_grant(await remote.refresh(remote.grant["access_token"]))


async def test_credentials_belong_in_the_form_body(remote: Remote) -> None:
    url = f"{remote.sandbox.auth_url}/oauth/token"
    body = {"grant_type": "refresh_token", "refresh_token": remote.grant["refresh_token"]}
    assert (await remote.http.post(url, data=body, auth=("sandbox-client", "sandbox-secret"))).status_code == 401
    credentials = {"client_id": "sandbox-client", "client_secret": "sandbox-secret"}
    assert (await remote.http.post(url, json=body | credentials)).status_code == 401
    assert (await remote.http.get(url)).status_code == 405


async def test_revoking_an_access_token_spares_its_family(remote: Remote) -> None:
    reply = await revoke(remote, remote.grant["access_token"])
    assert (reply.status_code, reply.content) == (200, b"")
    assert await code_of(remote, remote.grant["access_token"]) == "token_revoked"
    pair = (await remote.refresh(remote.grant["refresh_token"])).json()
    assert await code_of(remote, pair["access_token"]) == 200


async def test_revoking_a_refresh_token_takes_the_family_along(remote: Remote) -> None:
    pair = (await remote.refresh(remote.grant["refresh_token"])).json()
    assert (await revoke(remote, pair["refresh_token"])).status_code == 200
    assert await code_of(remote, remote.grant["access_token"]) == "token_revoked"
    await assert_invalid_grant(await remote.refresh(pair["refresh_token"]))


async def test_revoke_says_200_to_an_unknown_token_and_401_to_an_unknown_client(remote: Remote) -> None:
    assert (await revoke(remote, "rev_refresh_unknown")).status_code == 200
    reply = await revoke(remote, remote.grant["refresh_token"], secret="wrong")
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_client")
    assert (await remote.http.post(f"{remote.sandbox.auth_url}/oauth/revoke", data={"token": "x"})).status_code == 401
    assert await code_of(remote, remote.grant["access_token"]) == 200


async def test_basic_credentials_are_form_encoded(open_remote: Open) -> None:
    remote = await open_remote(client_id="a:b", client_secret="100% żółć")
    encoded = ("a%3Ab", "100%25+%C5%BC%C3%B3%C5%82%C4%87")
    url = f"{remote.sandbox.auth_url}/oauth/revoke"
    assert (await remote.http.post(url, data={"token": "x"}, auth=encoded)).status_code == 200


async def test_the_oauth_host_is_outside_the_budgets_and_echoes_the_request_id(remote: Remote) -> None:
    reply = await remote.http.post(
        f"{remote.sandbox.auth_url}/oauth/token", headers={"X-Revento-Request-Id": "abc"}, data={"grant_type": "x"}
    )
    assert reply.headers["x-revento-request-id"] == reply.json()["request_id"] == "abc"
    assert not [name for name in reply.headers if name.startswith("x-ratelimit")]
    assert (await remote.http.get(f"{remote.sandbox.auth_url}/oauth/none")).status_code == 404


async def test_each_connect_is_a_grant_of_its_own(remote: Remote) -> None:
    second = remote.sandbox.connect(remote.event_id)
    await revoke(remote, second["refresh_token"])
    assert await code_of(remote, remote.grant["access_token"]) == 200
    assert await code_of(remote, second["access_token"]) == "token_revoked"
