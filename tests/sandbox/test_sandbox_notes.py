"""What the log tells of each request, and the notes that a badly behaved client earns."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest

from syncd.sandbox import NOTES, Limits
from syncd.sandbox.log import fingerprint
from tests.sandbox.conftest import Open, Remote
from tests.sandbox.wire import open_wire

ID = "X-Revento-Request-Id"
PARTICIPANTS = "/events/{event_id}/participants"


async def polite(remote: Remote, path: str = "/participants", **options: Any) -> httpx.Response:
    """A call as it should be, but for what the test changes."""
    options["headers"] = {ID: str(uuid4()), **options.get("headers", {})}
    return await remote.get(path, **options)


def notes(remote: Remote) -> list[str]:
    """The notes of all requests, in order."""
    return [code for entry in remote.sandbox.log() for code in entry["notes"]]


def last_notes(remote: Remote) -> list[str]:
    """The notes of the last request."""
    codes: list[str] = remote.sandbox.log()[-1]["notes"]
    return codes


async def walk(remote: Remote, **params: Any) -> list[dict[str, Any]]:
    """All pages of a walk."""
    got = [(await polite(remote, params={"limit": 20, **params})).json()]
    while got[-1]["has_more"]:
        got.append((await polite(remote, params={"limit": 20, "cursor": got[-1]["next_cursor"], **params})).json())
    return got


async def test_the_log_tells_what_the_budgets_held_on_arrival(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits(500, 30, 5))
    for _ in range(2):
        await polite(remote)
    await remote.refresh(remote.grant["refresh_token"])
    first, second, third = remote.sandbox.log()
    assert first["budget"] == {
        "hour": {"used": 0, "limit": 500},
        "minute": {"used": 0, "limit": 30},
        "in_flight": {"used": 0, "limit": 5},
    }
    assert {name: held["used"] for name, held in second["budget"].items()} == {"hour": 1, "minute": 1, "in_flight": 0}
    assert third["budget"] is None
    remote.sandbox.clock.advance(61)
    remote.sandbox.faults.add({"delay_s": 0.1})
    await asyncio.gather(polite(remote), polite(remote))
    fourth = remote.sandbox.log()[-1]["budget"]
    assert {name: held["used"] for name, held in fourth.items()} == {"hour": 3, "minute": 1, "in_flight": 1}


async def test_the_log_tells_whether_a_reply_went_out_whole(remote: Remote) -> None:
    await polite(remote)
    remote.sandbox.faults.add({"set": {}})
    await polite(remote)
    assert [entry["whole"] for entry in remote.sandbox.log()] == [True, False]


async def test_a_reply_to_a_client_that_has_gone_is_not_whole(open_remote: Open) -> None:
    remote = await open_remote(latency_s=0.1)
    async with open_wire(remote) as wire:
        wire.ask()
        await remote.arrival()
    while remote.sandbox.log()[0]["duration_ms"] is None:
        await asyncio.sleep(0.005)
    await remote.control("GET", "/log")
    assert [entry["whole"] for entry in remote.sandbox.log()] == [False]


async def test_the_summary_names_every_note_even_those_that_nobody_earned(remote: Remote) -> None:
    await polite(remote, headers={"Accept": "*/*"})
    await polite(remote)
    await polite(remote, headers={"Accept": "application/json"})
    summary = (await remote.control("GET", "/notes")).json()
    assert summary == remote.sandbox.notes()
    assert {note["code"]: note["means"] for note in summary} == NOTES
    assert [(note["code"], note["count"], note["requests"]) for note in summary if note["count"]] == [
        ("accept_not_pinned", 2, [1, 3])
    ]


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/json", "application/vnd.revento.v1+json, */*", "application/vnd.revento.v2+json"],
)
async def test_accept_not_pinned(remote: Remote, accept: str) -> None:
    await polite(remote, headers={"Accept": accept})
    assert notes(remote) == ["accept_not_pinned"]


async def test_a_call_without_accept_has_not_pinned_it(remote: Remote) -> None:
    async with open_wire(remote) as wire:
        wire.ask(Accept="", X_Revento_Request_Id=str(uuid4()))
        await wire.head()
    assert notes(remote) == ["accept_not_pinned"]


async def test_request_id_missing(remote: Remote) -> None:
    await remote.get("/participants")
    assert notes(remote) == ["request_id_missing"]


async def test_request_id_not_uuid(remote: Remote) -> None:
    await polite(remote, headers={ID: "request-1"})
    await polite(remote, headers={ID: str(uuid4()).upper()})
    await polite(remote, headers={ID: uuid4().hex})
    assert notes(remote) == ["request_id_not_uuid"]


async def test_request_id_repeated(remote: Remote) -> None:
    ours = str(uuid4())
    await polite(remote, headers={ID: ours})
    await polite(remote, "/roles", headers={ID: ours})
    assert [entry["notes"] for entry in remote.sandbox.log()] == [[], ["request_id_repeated"]]


@pytest.mark.fault(117)
@pytest.mark.parametrize("encoded", [False, True])
async def test_secret_in_url(remote: Remote, encoded: bool) -> None:
    token, secret = remote.grant["access_token"], remote.sandbox.settings.client_secret
    for hidden in (token, secret, remote.grant["refresh_token"]):
        sent = "".join(f"%{ord(letter):02x}" for letter in hidden) if encoded else hidden
        async with open_wire(remote) as wire:
            wire.ask(f"/participants?key={sent}", X_Revento_Request_Id=str(uuid4()))
            await wire.head()
    assert notes(remote) == ["secret_in_url"] * 3
    told = (await remote.control("GET", "/log")).text
    assert [hidden in told for hidden in (token, secret, remote.grant["refresh_token"])] == [False] * 3
    if not encoded:
        assert remote.sandbox.log()[0]["query"] == f"key={fingerprint(token)}"


@pytest.mark.fault(12)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_followed(remote: Remote, status: int) -> None:
    for _ in range(2):
        remote.sandbox.faults.add({"preset": f"redirect_{status}", "headers": {"Location": "/moved?x=1"}})
    await polite(remote)
    assert notes(remote) == []
    await polite(remote, follow_redirects=True)
    assert set(last_notes(remote)) == {"redirect_followed", "request_id_repeated"}


async def test_a_redirect_that_is_no_longer_followed_is_forgiven(remote: Remote) -> None:
    url = httpx.URL(remote.sandbox.api_url + f"/events/{remote.event_id}/roles")
    remote.sandbox.faults.add({"preset": "redirect_302", "headers": {"Location": str(url)}})
    await polite(remote)
    await polite(remote, "/roles")
    assert notes(remote) == []


async def test_retry_after_ignored(open_remote: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncd.sandbox.rules_tokens.IN_TRANSIT_S", 0.0)
    remote = await open_remote()
    remote.sandbox.faults.add({"error": "rate_limit_exceeded", "headers": {"Retry-After": "30"}})
    await polite(remote)
    await polite(remote)
    other = remote.sandbox.connect(remote.event_id)["access_token"]
    await polite(remote, token=other)
    renewed = (await remote.refresh(remote.grant["refresh_token"])).json()["access_token"]
    await polite(remote, token=renewed)
    remote.sandbox.clock.advance(30)
    await polite(remote)
    told = [entry["notes"] for entry in remote.sandbox.log()]
    assert told == [[], ["retry_after_ignored"], [], [], ["retry_after_ignored"], []]


async def test_a_call_that_may_have_left_before_the_wait_was_told_is_forgiven(
    remote: Remote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("syncd.sandbox.rules_tokens.IN_TRANSIT_S", 60.0)
    remote.sandbox.faults.add({"error": "rate_limit_exceeded", "headers": {"Retry-After": "30"}})
    await polite(remote)
    await polite(remote)
    assert notes(remote) == []


async def test_too_many_in_flight(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits(0, 0, 1), latency_s=0.1)
    await asyncio.gather(polite(remote), polite(remote))
    assert notes(remote) == ["too_many_in_flight"]
    assert remote.sandbox.log()[1]["budget"]["in_flight"] == {"used": 1, "limit": 1}


@pytest.mark.parametrize("limits", [Limits(2, 0, 0), Limits(0, 2, 0)])
async def test_over_budget(open_remote: Open, limits: Limits) -> None:
    remote = await open_remote(limits=limits)
    for _ in range(3):
        await polite(remote)
    assert [entry["notes"] for entry in remote.sandbox.log()] == [[], [], ["over_budget"]]


async def test_a_refusal_that_a_fault_ordered_is_not_the_clients_doing(remote: Remote) -> None:
    remote.sandbox.faults.add({"error": "rate_limit_exceeded", "headers": {"Retry-After": None}})
    remote.sandbox.faults.add({"error": "concurrent_limit_exceeded"})
    await polite(remote)
    await polite(remote)
    assert notes(remote) == []


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replies are read the moment they leave."""
    monkeypatch.setattr("syncd.sandbox.rules_tokens.IN_TRANSIT_S", 0.0)


@pytest.mark.usefixtures("instant")
@pytest.mark.fault(50)
async def test_call_after_token_revoked(remote: Remote) -> None:
    remote.sandbox.tokens.revoke_event(remote.event_id)
    await polite(remote)
    await polite(remote, "/roles")
    await remote.refresh(remote.grant["refresh_token"])
    told = [entry["notes"] for entry in remote.sandbox.log()]
    assert told == [[], ["call_after_token_revoked"], ["call_after_token_revoked"]]
    await polite(remote, token=remote.sandbox.connect(remote.event_id)["access_token"])
    assert last_notes(remote) == [], "a new consent was given"


@pytest.mark.usefixtures("instant")
@pytest.mark.fault(50)
async def test_a_fault_may_say_that_the_token_is_revoked(remote: Remote) -> None:
    remote.sandbox.faults.add({"error": "token_revoked"})
    await polite(remote)
    await remote.refresh(remote.grant["refresh_token"])
    assert notes(remote) == ["call_after_token_revoked"]


@pytest.mark.usefixtures("instant")
@pytest.mark.fault(44)
async def test_who_waits_for_the_end_of_a_suspension_is_forgiven(remote: Remote) -> None:
    remote.sandbox.tokens.suspend_event(remote.event_id)
    await polite(remote)
    remote.sandbox.tokens.resume_event(remote.event_id)
    await polite(remote)
    assert notes(remote) == []
    remote.sandbox.tokens.suspend_event(remote.event_id)
    await polite(remote)
    await polite(remote)
    assert notes(remote) == ["call_after_token_revoked"]


@pytest.mark.usefixtures("instant")
async def test_an_access_token_that_a_refresh_replaced_dies_alone(open_remote: Open) -> None:
    remote = await open_remote(gaps={"G8": "dies"})
    renewed = (await remote.refresh(remote.grant["refresh_token"])).json()
    await polite(remote)
    await polite(remote, token=renewed["access_token"])
    assert notes(remote) == []
    await polite(remote)
    assert notes(remote) == ["call_after_token_revoked"]


@pytest.mark.usefixtures("instant")
@pytest.mark.fault(50)
async def test_call_after_invalid_grant(remote: Remote) -> None:
    remote.sandbox.clock.advance(100 * 86_400)
    await remote.refresh(remote.grant["refresh_token"])
    await remote.refresh(remote.grant["refresh_token"])
    assert notes(remote) == ["call_after_invalid_grant"]
    auth = (remote.sandbox.settings.client_id, remote.sandbox.settings.client_secret)
    await remote.http.post(
        f"{remote.sandbox.auth_url}/oauth/revoke", data={"token": remote.grant["refresh_token"]}, auth=auth
    )
    assert last_notes(remote) == [], "to hand a token back is no call"


@pytest.mark.fault(46)
async def test_refresh_token_reused(remote: Remote) -> None:
    await remote.refresh(remote.grant["refresh_token"])
    await remote.refresh(remote.grant["refresh_token"])
    assert notes(remote) == ["refresh_token_reused"]


@pytest.mark.fault(46)
async def test_a_refresh_token_is_not_presented_twice_at_a_time(open_remote: Open) -> None:
    remote = await open_remote(latency_s=0.1)
    await asyncio.gather(*(remote.refresh(remote.grant["refresh_token"]) for _ in range(2)))
    assert notes(remote) == ["refresh_token_reused"]


@pytest.mark.fault(48)
async def test_a_refresh_whose_reply_was_lost_may_be_repeated_once(open_remote: Open) -> None:
    remote = await open_remote(gaps={"G7": "grace"})
    lost = {"endpoint": "/oauth/token", "cut_after_bytes": 10}
    for order in ({"endpoint": "/oauth/token", "status": 503}, lost):
        remote.sandbox.faults.add(order)
    assert (await remote.refresh(remote.grant["refresh_token"])).status_code == 503
    with pytest.raises(httpx.RemoteProtocolError):
        await remote.refresh(remote.grant["refresh_token"])
    assert (await remote.refresh(remote.grant["refresh_token"])).status_code == 200
    assert notes(remote) == []
    await remote.refresh(remote.grant["refresh_token"])
    assert notes(remote) == ["refresh_token_reused"]


@pytest.mark.fault(26)
async def test_page_asked_again(remote: Remote) -> None:
    first, *_ = await walk(remote)
    assert notes(remote) == []
    params = {"limit": 20, "cursor": first["next_cursor"]}
    await polite(remote, params=params)
    assert last_notes(remote) == ["page_asked_again"]
    await polite(remote, params=params | {"limit": 10})
    assert last_notes(remote) == [], "another limit is another question"
    await walk(remote)
    assert notes(remote) == ["page_asked_again"], "another walk is another walk"


@pytest.mark.parametrize("fault", [{"status": 503}, {"cut_after_bytes": 99}, {"preset": "foreign_id"}])
async def test_a_page_that_was_spoilt_may_be_asked_for_again(remote: Remote, fault: dict[str, Any]) -> None:
    cursor = (await polite(remote)).json()["next_cursor"]
    remote.sandbox.faults.add(fault)
    for _ in range(2):
        try:
            await polite(remote, params={"cursor": cursor})
        except httpx.RemoteProtocolError:
            assert "cut_after_bytes" in fault
    assert notes(remote) == []


@pytest.mark.fault(33)
async def test_cursor_of_another_listing(remote: Remote) -> None:
    cursor = (await polite(remote)).json()["next_cursor"]
    await polite(remote, "/activities", params={"cursor": cursor})
    other = remote.sandbox.connect(remote.sandbox.event_ids[1])
    await remote.get_api(
        f"/events/{other['event_id']}/participants",
        token=other["access_token"],
        params={"cursor": cursor},
        headers={ID: str(uuid4())},
    )
    told = [entry["notes"] for entry in remote.sandbox.log()]
    assert told == [[], ["cursor_of_another_listing"], ["cursor_of_another_listing"]]


@pytest.mark.fault(23)
async def test_walked_past_the_end(remote: Remote) -> None:
    *_, last = await walk(remote)
    assert last["has_more"] is False
    await polite(remote, params={"limit": 20, "cursor": last["next_cursor"]})
    assert notes(remote) == ["walked_past_the_end"]


@pytest.mark.fault(23)
async def test_a_fault_may_end_a_walk_early_under_gzip_too(remote: Remote) -> None:
    remote.sandbox.faults.add({"endpoint": PARTICIPANTS, "set": {"has_more": False}, "gzip": True})
    page = (await polite(remote)).json()
    await polite(remote, params={"cursor": page["next_cursor"]})
    assert notes(remote) == ["walked_past_the_end"]
