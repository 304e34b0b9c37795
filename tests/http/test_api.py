"""One call as a source makes it: paced, named, judged, written down, and repeated by rule; the sandbox judges it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest

from syncd.clock import Clock, SystemClock
from syncd.credentials.refresh import GivenToken
from syncd.errors import UNUSABLE_ID, ContractBreach, NeedsAuthorization, NotFound, TokenRefused, Transient
from syncd.http.api import HttpApi
from syncd.http.budget import TokenBudget
from syncd.http.client import open_client
from syncd.http.outage import FAILURES_OF_AN_OUTAGE, FORGOTTEN_AFTER_S, Outage
from syncd.model import Installation
from syncd.sandbox import Limits as SandboxLimits
from syncd.sandbox import Sandbox, SandboxSettings
from syncd.sources import SOURCES
from syncd.store.requests import PendingRequests
from syncd.wire.rate_limit import Limits
from syncd.wire.reply import read_listing
from syncd.wire.retry import MAX_ATTEMPTS
from tests.harness import EVENT, PARTICIPANTS, ROLES, UNLIMITED, HastyClock

ACTIVITY = "/events/{event_id}/activities/{activity_id}"


@dataclass
class Remote:
    """A sandbox and clients of it."""

    sandbox: Sandbox
    open_api: Callable[..., Awaitable[tuple[HttpApi, PendingRequests]]]

    async def api(self, **options: Any) -> tuple[HttpApi, PendingRequests]:
        """A client for the first event and its records; `limits`, `clock`, `account`, `event_id` may be given."""
        return await self.open_api(self.sandbox, **options)


OpenRemote = Callable[..., Awaitable[Remote]]


@pytest.fixture
async def open_remote() -> AsyncIterator[OpenRemote]:
    async with AsyncExitStack() as stack:

        async def api(sandbox: Sandbox, **options: Any) -> tuple[HttpApi, PendingRequests]:
            event_id = options.get("event_id", sandbox.event_ids[0])
            clock: Clock = options.get("clock", SystemClock())
            records = PendingRequests()
            return HttpApi(
                api_url=sandbox.api_url,
                places={"event_id": options.get("account", event_id)},
                dialect=SOURCES["revento"].dialect,
                client=await stack.enter_async_context(open_client()),
                tokens=GivenToken(options.get("token") or sandbox.connect(event_id)["access_token"]),
                budget=TokenBudget(options.get("limits", Limits(0, 0, 5)), clock),
                records=records,
                clock=clock,
                random=Random(7),
                outage=Outage(clock),
            ), records

        async def start(**settings: Any) -> Remote:
            given: dict[str, Any] = {"events": 1, "participants": 60, "activities": 5, "limits": UNLIMITED} | settings
            return Remote(await stack.enter_async_context(Sandbox(SandboxSettings(**given))), api)

        yield start


def installation(sandbox: Sandbox, account: str) -> Installation:
    return Installation(
        name=f"revento/{account}",
        source="revento",
        account=account,
        organization=None,
        timezone="UTC",
        environment="sandbox",
        api_url=sandbox.api_url,
        auth_url=None,
        scopes=(),
        state="active",
        grant_id=uuid4(),
    )


async def test_a_call_is_what_the_contract_asks_for(open_remote: OpenRemote) -> None:
    remote = await open_remote()
    api, records = await remote.api()
    reply = await api.get(PARTICIPANTS, {"limit": 50})
    assert len(read_listing(reply, paged=True).data) == 50
    (entry,) = remote.sandbox.log()
    (record,) = records.pending()
    assert (entry["method"], entry["query"], entry["endpoint"]) == ("GET", "limit=50", PARTICIPANTS)
    assert UUID(entry["request_id"]) == record.request_id
    assert (record.status, record.error_code, record.server_request_id) == (200, None, entry["request_id"])
    assert record.bytes == len(reply.body)
    assert record.headroom.remaining == entry["remaining"]


@pytest.mark.fault(17)
async def test_a_moment_in_which_many_calls_fail_at_once_is_no_outage(open_remote: OpenRemote) -> None:
    remote = await open_remote()
    api, _ = await remote.api(clock=HastyClock(), limits=Limits(0, 0, 0))
    remote.sandbox.faults.add({"endpoint": ROLES, "status": 503, "times": 3 * FAILURES_OF_AN_OUTAGE})
    replies = await asyncio.gather(*(api.get(ROLES) for _ in range(2 * FAILURES_OF_AN_OUTAGE)))
    assert {reply.status for reply in replies} == {200}


@pytest.mark.fault(17)
async def test_an_outage_that_nobody_has_looked_at_for_long_is_forgotten(open_remote: OpenRemote) -> None:
    remote, clock = await open_remote(), HastyClock()
    api, _ = await remote.api(clock=clock)
    remote.sandbox.faults.add({"endpoint": ROLES, "status": 503, "times": None})
    while not api.outage.is_on:
        with pytest.raises(Transient):
            await api.get(ROLES)
    before = len(remote.sandbox.log())
    with pytest.raises(Transient):
        await api.get(ROLES)
    assert len(remote.sandbox.log()) == before + 1
    await clock.sleep(FORGOTTEN_AFTER_S + 1)
    with pytest.raises(Transient):
        await api.get(ROLES)
    assert len(remote.sandbox.log()) == before + 1 + MAX_ATTEMPTS


@pytest.mark.case("RV-17")
@pytest.mark.case("RV-18")
async def test_no_call_of_the_token_leaves_before_the_server_allows_it(open_remote: OpenRemote) -> None:
    """In real time: `Reset` is hours away and `Remaining` says there is room; `Retry-After` alone is obeyed."""
    remote = await open_remote()
    api, _ = await remote.api()
    headers = {"Retry-After": "1", "X-RateLimit-Remaining": "400", "X-RateLimit-Reset": "9999999999"}
    remote.sandbox.faults.add({"endpoint": ROLES, "error": "rate_limit_exceeded", "headers": headers})
    await asyncio.gather(api.get(ROLES), later(0.1, api.get(EVENT)), later(0.2, api.get(PARTICIPANTS)))
    refused, *others = remote.sandbox.log()
    assert (refused["status"], [entry["status"] for entry in others]) == (429, [200, 200, 200])
    waits_s = [entry["at"] - refused["at"] for entry in others]
    assert min(waits_s) >= 1.0
    assert max(waits_s) < 3.0


async def later(delay_s: float, call: Awaitable[Any]) -> Any:
    await asyncio.sleep(delay_s)
    return await call


@pytest.mark.fault(62)
async def test_a_limit_without_any_header_waits_a_minute(open_remote: OpenRemote) -> None:
    remote = await open_remote()
    clock = HastyClock()
    api, _ = await remote.api(clock=clock)
    bare = dict.fromkeys(("Retry-After", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"))
    remote.sandbox.faults.add({"error": "rate_limit_exceeded", "headers": bare})
    await api.get(ROLES)
    assert 59 <= sum(clock.slept) <= 62


@pytest.mark.fault(60)
@pytest.mark.fault(62)
async def test_a_503_that_names_a_time_holds_every_call_of_the_token(open_remote: OpenRemote) -> None:
    remote = await open_remote()
    api, _ = await remote.api()
    remote.sandbox.faults.add({"endpoint": ROLES, "status": 503, "headers": {"Retry-After": "0, 1"}})
    await asyncio.gather(api.get(ROLES), later(0.1, api.get(EVENT)))
    refused, *others = remote.sandbox.log()
    assert (refused["status"], [entry["status"] for entry in others]) == (503, [200, 200])
    assert min(entry["at"] - refused["at"] for entry in others) >= 1.0


@pytest.mark.case("RV-19")
async def test_a_server_that_bears_fewer_calls_at_once_gets_its_way(open_remote: OpenRemote) -> None:
    remote = await open_remote(limits=SandboxLimits(0, 0, 2), latency_s=0.03)
    api, records = await remote.api(limits=Limits(0, 0, 5))
    await asyncio.gather(*(api.get(ROLES) for _ in range(10)))
    log = remote.sandbox.log()
    assert {entry["error"] for entry in log} == {None, "concurrent_limit_exceeded"}
    assert [entry["status"] for entry in log].count(200) == 10
    assert len({entry["request_id"] for entry in log}) == len(log) == len(records.pending())


async def test_no_more_calls_are_under_way_than_the_token_may_have(open_remote: OpenRemote) -> None:
    remote = await open_remote(limits=SandboxLimits(0, 0, 5), latency_s=0.02)
    api, _ = await remote.api(limits=Limits(0, 0, 5))
    await asyncio.gather(*(api.get(ROLES) for _ in range(30)))
    assert {entry["status"] for entry in remote.sandbox.log()} == {200}
    assert max(entry["in_flight"] for entry in remote.sandbox.log()) == 5


@pytest.mark.case("RV-21")
async def test_one_installation_that_is_told_to_wait_holds_no_other_up(open_remote: OpenRemote) -> None:
    remote = await open_remote(events=2)
    first, second = remote.sandbox.event_ids
    slow, _ = await remote.api(event_id=first)
    quick, _ = await remote.api(event_id=second)
    remote.sandbox.faults.add(
        {"event_id": first, "error": "rate_limit_exceeded", "headers": {"Retry-After": "60"}, "times": None}
    )
    waiting = asyncio.create_task(slow.get(ROLES))
    async with asyncio.timeout(5):
        for _ in range(20):
            await quick.get(ROLES)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert [entry["event_id"] for entry in remote.sandbox.log()].count(first) == 1


async def test_patience_ends_and_every_attempt_is_on_record(open_remote: OpenRemote) -> None:
    remote = await open_remote()
    api, records = await remote.api(clock=HastyClock())
    remote.sandbox.faults.add({"status": 500, "times": None})
    with pytest.raises(Transient) as error:
        await api.get(ROLES)
    attempts = records.pending()
    assert [record.status for record in attempts] == [500] * 6
    assert error.value.request_id == str(attempts[-1].request_id)
    assert [entry["request_id"] for entry in remote.sandbox.log()] == [str(record.request_id) for record in attempts]


@pytest.mark.fault(13)
async def test_two_replies_that_changed_places_are_both_asked_again(open_remote: OpenRemote) -> None:
    remote = await open_remote()
    api, records = await remote.api(clock=HastyClock())
    remote.sandbox.faults.add({"headers": {"X-Revento-Request-Id": str(uuid4())}, "times": 2})
    first, second = await asyncio.gather(api.get(ROLES), api.get(EVENT))
    assert b'"title"' in second.body
    assert b"role_attendee" in first.body
    assert [record.error_code for record in records.pending()].count("wrong_echo") == 2


@pytest.mark.fault(10)
async def test_another_media_type_is_no_reply(open_remote: OpenRemote) -> None:
    remote = await open_remote()
    api, _ = await remote.api()
    remote.sandbox.faults.add({"headers": {"Content-Type": "text/html"}})
    with pytest.raises(ContractBreach, match="text/html"):
        await api.get(ROLES)


async def test_a_given_token_that_has_expired_cannot_be_renewed(open_remote: OpenRemote) -> None:
    remote = await open_remote()
    api, _ = await remote.api()
    remote.sandbox.tokens.expire_event(remote.sandbox.event_ids[0])
    with pytest.raises(NeedsAuthorization):
        await api.get(ROLES)
    assert len(remote.sandbox.log()) == 1


@pytest.mark.fault(116)
@pytest.mark.parametrize(
    "account", ["../../developer/integrations", "evt/../x", "evt?limit=1", "evt#x", "%2e%2e", "é x"]
)
async def test_an_account_cannot_leave_its_place_in_the_path(open_remote: OpenRemote, account: str) -> None:
    remote = await open_remote()
    api, _ = await remote.api(event_id=remote.sandbox.event_ids[0], account=account)
    with pytest.raises((TokenRefused, NotFound)):
        await api.get(ROLES)
    (entry,) = remote.sandbox.log()
    assert entry["query"] == ""
    path = entry["path"].partition("/events/")[2]
    assert path.endswith("/roles")
    assert "/" not in path.removesuffix("/roles")


@pytest.mark.fault(116)
@pytest.mark.parametrize("activity_id", ["../../developer", "a/b", "a?limit=1", "a#b", "%2e%2e", "{event_id}", "é x"])
async def test_an_id_cannot_leave_its_place_in_the_path(open_remote: OpenRemote, activity_id: str) -> None:
    remote = await open_remote()
    api, records = await remote.api()
    with pytest.raises(NotFound):
        await api.get(ACTIVITY, path={"activity_id": activity_id})
    (entry,) = remote.sandbox.log()
    assert (entry["endpoint"], entry["query"], entry["error"]) == (ACTIVITY, "", "resource_not_found")
    assert records.pending()[0].endpoint == ACTIVITY, "the record names the template"


@pytest.mark.fault(116)
@pytest.mark.parametrize(
    "activity_id", [".", "..", "", "x" * 70_000, "\ud800"], ids=["dot", "dots", "empty", "long", "half a pair"]
)
async def test_an_id_that_fits_into_no_path_is_not_asked_for(open_remote: OpenRemote, activity_id: str) -> None:
    """No quoting holds dots in their place: whoever reads a URL takes `%2e%2e` for a step too."""
    remote = await open_remote()
    api, _ = await remote.api()
    with pytest.raises(NotFound) as caught:
        await api.get(ACTIVITY, path={"activity_id": activity_id})
    assert caught.value.code == UNUSABLE_ID
    other, _ = await remote.api(event_id=remote.sandbox.event_ids[0], account=activity_id)
    with pytest.raises(NotFound):
        await other.get(ROLES)
    assert remote.sandbox.log() == []


async def test_a_cursor_is_data_too(open_remote: OpenRemote) -> None:
    remote = await open_remote()
    api, _ = await remote.api()
    cursor = "a&limit=1#?/../%20+é="
    with pytest.raises(Exception, match="cursor"):
        await api.get(PARTICIPANTS, {"limit": 5, "cursor": cursor})
    (entry,) = remote.sandbox.log()
    assert entry["error"] == "invalid_cursor"
    assert entry["endpoint"] == PARTICIPANTS
