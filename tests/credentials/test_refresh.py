"""A refresh token is spent once: whoever asks, whatever is lost, wherever the process dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest

from syncd.credentials.refresh import TokenManager
from syncd.errors import LeaseLost, NeedsAuthorization, RefreshFailed, TokenExpired, TokenRefused
from syncd.main.steering import check_installation
from syncd.model import Api, Lease
from syncd.store.leases import claim
from syncd.store.requests import PendingRequests
from syncd.store.tokens import StoredTokens
from syncd.sync.round import Watch
from syncd.sync.run import Run
from syncd.wire.tokens import Tokens
from tests import truth
from tests.harness import (
    ACTIVITIES,
    CLIENT_SECRET,
    EVENT,
    LOCATIONS,
    PARTICIPANTS,
    ROLES,
    THREADS,
    TOKEN,
    WAVES,
    Bench,
    HastyClock,
    OpenBench,
    ShiftedClock,
)


def refreshes(bench: Bench) -> list[dict[str, Any]]:
    return [entry for entry in bench.sandbox.log() if entry["endpoint"] == TOKEN]


def events(bench: Bench) -> list[str]:
    return [kind for (kind,) in bench.query("SELECT kind FROM syncd.token_events ORDER BY token_event_id")]


async def leased(bench: Bench) -> Lease:
    claimed = await claim(bench.app.database, f"revento/{bench.event_id}", "test")
    assert claimed is not None
    return claimed.lease


async def manager(bench: Bench, clock: HastyClock | None = None, lease: Lease | None = None) -> TokenManager:
    """The tokens of the installation, as a driver holds them."""
    tokens = await bench.app.tokens(await bench.installation(), lease or await leased(bench))
    return replace(tokens, clock=clock or HastyClock())


@asynccontextmanager
async def open_api(bench: Bench) -> AsyncIterator[Api]:
    """The installation's API, outside a round."""
    installation = await bench.installation()
    claimed = await claim(bench.app.database, installation.name, "test")
    assert claimed is not None
    run = Run(uuid4(), installation, claimed.lease, bench.app.database, PendingRequests(), 50, lambda _: None)
    async with bench.app.connect(run, claimed) as api:
        yield api


# --- when -----------------------------------------------------------------------------------------------------------


@pytest.mark.fault(52)
@pytest.mark.parametrize(("life_s", "refreshed"), [(3600, 0), (290, 1), (1, 1)])
async def test_a_token_that_is_about_to_die_is_renewed_first(
    open_bench: OpenBench, life_s: float, refreshed: int
) -> None:
    bench = await open_bench(access_token_s=life_s)
    await bench.add()
    tokens = await manager(bench)
    await bench.sandbox.configure(access_token_s=3600)
    token = await tokens.current()
    assert len(refreshes(bench)) == refreshed
    assert await tokens.current() == token
    assert len(refreshes(bench)) == refreshed, "once is enough"
    assert bench.sandbox.tokens.authenticate(token)


@pytest.mark.case("RV-09")
@pytest.mark.fault(50)
async def test_a_token_that_dies_in_mid_walk_is_renewed_and_the_page_asked_again(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=50)
    await bench.add()

    def expire(progress: Any) -> None:
        if (progress.stream, progress.page_number) == ("participants", 2):
            bench.sandbox.tokens.expire_event(bench.event_id)

    result = await bench.sync(watch=Watch(page=expire))
    assert result.exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert len(refreshes(bench)) == 1
    walked = bench.calls(PARTICIPANTS)
    (expired,) = (n for n, call in enumerate(walked) if call["error"] == "token_expired")
    assert walked[expired]["query"] == walked[expired + 1]["query"], "the same cursor"
    assert len(walked) == 5 + 1
    assert bench.query("SELECT DISTINCT generation FROM syncd.walks") == [(1,)]
    assert events(bench) == ["issued", "refreshing", "refreshed"]


@pytest.mark.fault(19)
async def test_a_server_that_ties_cursors_to_the_token_costs_one_restart(open_bench: OpenBench) -> None:
    """The other reading of G3: the refreshed token does not open the old token's cursor."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=50, gaps={"G3": "token"})
    await bench.add()

    def expire(progress: Any) -> None:
        if (progress.stream, progress.page_number) == ("participants", 2) and not refreshes(bench):
            bench.sandbox.tokens.expire_event(bench.event_id)

    result = await bench.sync(watch=Watch(page=expire))
    assert result.exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    outcomes = bench.query("SELECT generation, outcome FROM syncd.walks WHERE stream = 'participants' ORDER BY 1")
    assert outcomes == [(1, "abandoned"), (2, "certified")]


# --- how often ------------------------------------------------------------------------------------------------------


@pytest.mark.case("RV-10")
@pytest.mark.fault(51)
@pytest.mark.parametrize("callers", [5, 50])
async def test_many_calls_that_meet_the_expiry_together_refresh_once(bench: Bench, callers: int) -> None:
    bench.sandbox.tokens.expire_event(bench.event_id)
    await bench.sandbox.configure(latency_s=0.02)
    async with open_api(bench) as api:
        await asyncio.gather(*(api.get(ROLES) for _ in range(callers)))
    assert len(refreshes(bench)) == 1
    statuses = [call["status"] for call in bench.calls(ROLES)]
    assert statuses.count(200) == callers
    assert statuses.count(401) <= 5, "no more than were under way"


@pytest.mark.fault(46)
@pytest.mark.fault(51)
async def test_many_who_need_a_token_refresh_once(open_bench: OpenBench) -> None:
    bench = await open_bench(access_token_s=100)
    await bench.add()
    await bench.sandbox.configure(access_token_s=3600, latency_s=0.02)
    tokens = await manager(bench)
    got = await asyncio.gather(*(tokens.current() for _ in range(50)))
    assert (len(set(got)), len(refreshes(bench))) == (1, 1)


@pytest.mark.case("RV-11")
async def test_a_second_expiry_of_the_same_call_ends_it(bench: Bench) -> None:
    bench.sandbox.faults.add({"endpoint": ROLES, "error": "token_expired", "times": None})
    async with open_api(bench) as api:
        with pytest.raises(TokenExpired):
            await api.get(ROLES)
    assert (len(bench.calls(ROLES)), len(refreshes(bench))) == (2, 1)


async def test_a_stream_whose_token_always_expires_fails_with_4(bench: Bench) -> None:
    bench.sandbox.faults.add({"endpoint": ROLES, "error": "token_expired", "times": None})
    result = await bench.sync()
    assert result.exit_code == 4
    assert len(bench.calls(ROLES)) == 2
    assert len(refreshes(bench)) == 1


@pytest.mark.case("RV-11")
@pytest.mark.fault(50)
async def test_a_server_that_calls_every_token_expired_costs_one_refresh(bench: Bench) -> None:
    for endpoint in (EVENT, ROLES, PARTICIPANTS, THREADS, LOCATIONS, ACTIVITIES, WAVES):
        bench.sandbox.faults.add({"endpoint": endpoint, "error": "token_expired", "times": None})
    result = await bench.sync()
    assert (result.exit_code, len(refreshes(bench)), len(bench.calls(EVENT))) == (4, 1, 2)
    assert (await bench.installation()).state == "active"


@pytest.mark.fault(49)
async def test_a_reply_that_no_pair_can_be_read_from_is_not_asked_for_by_every_stream(bench: Bench) -> None:
    bench.sandbox.faults.add({"endpoint": TOKEN, "set": {"token_type": "mac"}, "times": None})
    bench.sandbox.tokens.expire_event(bench.event_id)
    result = await bench.sync()
    assert (result.exit_code, len(refreshes(bench))) == (75, 1)


@pytest.mark.fault(50)
async def test_a_refused_token_is_shown_once_whoever_asks(bench: Bench) -> None:
    bench.sandbox.faults.add({"endpoint": TOKEN, "error": "invalid_grant", "times": None})
    bench.sandbox.tokens.expire_event(bench.event_id)
    installation = await bench.installation()
    for _ in range(3):
        checked = await check_installation(bench.app, installation, Watch(), wait=False)
        assert checked.exit_code == 4
    assert len(refreshes(bench)) == 1
    assert (await bench.installation()).state == "needs_consent"


async def stored_late(bench: Bench, lease: Lease) -> tuple[str, Callable[[], Awaitable[None]]]:
    """A driver that is overtaken with its reply in hand: the new access token, and what stores its pair."""
    late = await manager(bench, lease=lease)
    pair = await late.store.load()
    assert pair.refresh_token is not None
    spent = pair.refresh_token
    await late.store.intend(spent)
    fresh = replace(await late.endpoint.refresh(spent), generation=1)

    async def store_it() -> None:
        await late.store.save(fresh, spent=spent)
        late.generations.note(fresh.generation)

    return fresh.access_token, store_it


@pytest.mark.fault(46)
async def test_what_an_overtaken_driver_stores_is_used_and_not_renewed_once_more(bench: Bench) -> None:
    """The access token of before is good for a while yet, and known by heart."""
    lease, clock = await leased(bench), ShiftedClock(0.0)
    fresh, store_it = await stored_late(bench, lease)
    tokens = await manager(bench, clock, lease)
    assert await tokens.current() != fresh
    await store_it()
    clock.offset_s = 3601.0
    assert await tokens.current() == fresh
    assert len(refreshes(bench)) == 1


@dataclass
class LostRace:
    """A token endpoint that refuses what another driver has spent, and has stored by now."""

    store_it: Callable[[], Awaitable[None]]

    async def refresh(self, _refresh_token: str) -> Tokens:
        await self.store_it()
        raise TokenRefused("it was spent", code="invalid_grant")


@pytest.mark.fault(47)
async def test_who_loses_a_race_takes_what_the_winner_has_stored(bench: Bench) -> None:
    lease = await leased(bench)
    old = await (await manager(bench, lease=lease)).current()
    fresh, store_it = await stored_late(bench, lease)
    loser = replace(await manager(bench, lease=lease), endpoint=LostRace(store_it))
    assert await loser.renew(old) == fresh
    assert (await bench.installation()).state == "active"
    assert "refused" not in events(bench)


@pytest.mark.fault(47)
async def test_a_token_that_somebody_else_has_renewed_is_used_as_it_is(bench: Bench) -> None:
    """Another process won the race before it handed the lease over: what is stored is newer than what was refused."""
    lease = await leased(bench)
    first, second = await manager(bench, lease=lease), await manager(bench, lease=lease)
    refused = await first.current()
    assert await second.current() == refused
    renewed = await second.renew(refused)
    assert await first.renew(refused) == renewed
    assert len(refreshes(bench)) == 1


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.case("RV-12")
async def test_a_refresh_token_that_is_dead_parks_the_installation(bench: Bench) -> None:
    bench.sandbox.tokens.expire_event(bench.event_id)
    bench.sandbox.faults.add({"endpoint": TOKEN, "error": "invalid_grant", "times": None})
    result = await bench.sync()
    assert (result.exit_code, {one.status for one in result.streams}) == (4, {"failed"})
    assert (len(bench.calls()), len(refreshes(bench))) == (1, 1), "no further call"
    assert bench.query("SELECT state FROM syncd.installations") == [("needs_consent",)]
    assert events(bench) == ["issued", "refreshing", "refused"]
    assert bench.value("SELECT intent_at FROM syncd.credentials") is None


async def test_a_client_secret_that_is_refused_is_a_matter_of_configuration(bench: Bench) -> None:
    bench.sandbox.tokens.expire_event(bench.event_id)
    await bench.sandbox.configure(client_secret="rotated")
    result = await bench.sync()
    assert (result.exit_code, {one.status for one in result.streams}) == (2, {"failed"})
    assert "client_secret" in str(result.streams[0].reason)
    assert len(refreshes(bench)) == 1, "the first word on it is enough"
    assert bench.query("SELECT state FROM syncd.installations") == [("active",)], "the grant is alive"
    await bench.sandbox.configure(client_secret=CLIENT_SECRET)
    assert (await bench.sync()).exit_code == 0


@pytest.mark.parametrize("taken", [CLIENT_SECRET, "the next one"])
async def test_in_a_rotation_either_client_secret_will_do(open_bench: OpenBench, taken: str) -> None:
    """A secret that is refused says nothing of the token that was shown with it: it is not spent."""
    bench = await open_bench({"REVENTO__NEXT_CLIENT_SECRET": "the next one"})
    await bench.add()
    await bench.sandbox.configure(client_secret=taken)
    for _ in range(2):
        bench.sandbox.tokens.expire_event(bench.event_id)
        assert (await bench.sync()).exit_code == 0
    assert [entry["status"] for entry in refreshes(bench)] == ([200] * 2 if taken == CLIENT_SECRET else [401, 200] * 2)


async def test_the_grant_is_given_up_under_either_client_secret(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__NEXT_CLIENT_SECRET": "the next one"})
    await bench.add()
    await bench.sandbox.configure(client_secret="the next one")
    installation = await bench.installation()
    lease = await leased(bench)
    tokens = await StoredTokens(bench.app.database, bench.app.vault, lease).load()
    assert tokens.refresh_token
    await bench.app.token_endpoint(installation).revoke(tokens.refresh_token)
    with pytest.raises(NeedsAuthorization):
        await (await manager(bench, lease=lease)).renew(tokens.access_token)


async def test_a_host_that_is_no_token_endpoint_says_nothing_of_the_grant(bench: Bench) -> None:
    """A wrong auth_url or a proxy's 403: the configuration is to blame, and mending it is enough."""
    bench.sandbox.tokens.expire_event(bench.event_id)
    bench.sandbox.faults.add({"endpoint": TOKEN, "status": 404, "body": "<html>", "content_type": "text/html"})
    assert (await bench.sync()).exit_code == 2
    assert bench.query("SELECT state FROM syncd.installations") == [("active",)], "the grant is alive"
    assert (await bench.sync()).exit_code == 0


async def test_without_a_refresh_token_the_end_is_the_end(bench: Bench) -> None:
    bench.execute("UPDATE syncd.credentials SET refresh_token = NULL")
    tokens = await manager(bench)
    token = await tokens.current()
    bench.sandbox.tokens.expire_event(bench.event_id)
    with pytest.raises(NeedsAuthorization):
        await tokens.renew(token)
    assert refreshes(bench) == []


@pytest.mark.fault(53)
async def test_scopes_that_a_refresh_took_away_are_noticed(bench: Bench) -> None:
    bench.sandbox.faults.add({"endpoint": TOKEN, "set": {"scope": "event.read participants.read"}})
    tokens = await manager(bench)
    await tokens.renew(await tokens.current())
    assert (await bench.installation()).scopes == ("event.read", "participants.read")


# --- what is lost ---------------------------------------------------------------------------------------------------


@pytest.mark.case("RV-14")
@pytest.mark.fault(48)
@pytest.mark.parametrize("how", [{"drop": True}, {"cut_after_bytes": 20}, {"truncate_bytes": 30}, {"status": 500}])
async def test_a_reply_that_was_lost_is_asked_for_once_more(open_bench: OpenBench, how: dict[str, Any]) -> None:
    """The server had rotated already; within its grace it gives the same pair again."""
    bench = await open_bench(gaps={"G7": "grace"})
    await bench.add()
    bench.sandbox.faults.add({"endpoint": TOKEN, "after_handling": True, **how})
    clock = HastyClock()
    tokens = await manager(bench, clock)
    fresh = await tokens.renew(await tokens.current())
    assert bench.sandbox.tokens.authenticate(fresh)
    assert (len(refreshes(bench)), clock.slept) == (2, [1.0])


@pytest.mark.case("RV-14")
@pytest.mark.fault(45)
async def test_a_reply_that_was_lost_may_cost_the_grant_and_is_not_asked_for_again(bench: Bench) -> None:
    """The strict server takes the repeat for a theft. Nothing better is possible: say so, and stop."""
    bench.sandbox.faults.add({"endpoint": TOKEN, "after_handling": True, "drop": True})
    tokens = await manager(bench)
    token = await tokens.current()
    with pytest.raises(NeedsAuthorization):
        await tokens.renew(token)
    assert len(refreshes(bench)) == 2
    assert events(bench)[-1] == "refused"


@pytest.mark.fault(48)
@pytest.mark.fault(62)
@pytest.mark.parametrize("status", [503, 429])
async def test_a_token_endpoint_that_is_silent_parks_nothing(bench: Bench, status: int) -> None:
    bench.sandbox.tokens.expire_event(bench.event_id)
    bench.sandbox.faults.add({"endpoint": TOKEN, "status": status, "times": None})
    bench.hurry()
    result = await bench.sync()
    assert {one.status for one in result.streams} == {"failed"}
    assert (result.exit_code, result.state) == (75, "failed")
    assert bench.query("SELECT state FROM syncd.installations") == [("active",)]
    assert bench.value("SELECT intent_at IS NOT NULL FROM syncd.credentials"), "nobody knows whether it was spent"
    bench.sandbox.faults.clear()
    assert (await bench.sync()).exit_code == 0
    assert bench.value("SELECT intent_at FROM syncd.credentials") is None


async def test_a_token_that_still_lives_is_used_while_the_endpoint_is_silent(open_bench: OpenBench) -> None:
    bench = await open_bench(access_token_s=120)
    await bench.add()
    bench.sandbox.faults.add({"endpoint": TOKEN, "status": 503, "times": None})
    bench.hurry()
    assert (await bench.sync()).exit_code == 0
    with pytest.raises(RefreshFailed):
        await (await manager(bench, ShiftedClock(3600))).current()


# --- crashes --------------------------------------------------------------------------------------------------------


@pytest.mark.case("RV-13")
@pytest.mark.fault(45)
@pytest.mark.parametrize("reuse", ["grace", "revoke"])
async def test_a_crash_between_the_reply_and_its_storage(open_bench: OpenBench, reuse: str) -> None:
    """The window that no client can close: while the old access token lives nothing is lost, and then one repeat."""
    bench = await open_bench(gaps={"G7": reuse})
    await bench.add()
    lease = await leased(bench)
    tokens = await manager(bench, lease=lease)
    old = await tokens.current()
    pair = await tokens.store.load()
    await tokens.store.intend(pair.refresh_token or "")
    await tokens.endpoint.refresh(pair.refresh_token or "")  # and here it dies
    assert bench.value("SELECT intent_at IS NOT NULL FROM syncd.credentials")
    after = await manager(bench, lease=lease)
    assert await after.current() == old, "the access token of before is still good"
    if reuse == "grace":
        assert bench.sandbox.tokens.authenticate(await after.renew(old))
        assert bench.value("SELECT intent_at FROM syncd.credentials") is None
    else:
        with pytest.raises(NeedsAuthorization):
            await after.renew(old)
        assert events(bench)[-1] == "refused"
    assert len(refreshes(bench)) == 2


@pytest.mark.case("RV-13")
async def test_a_crash_after_the_pair_was_stored_loses_nothing(bench: Bench) -> None:
    lease = await leased(bench)
    tokens = await manager(bench, lease=lease)
    fresh = await tokens.renew(await tokens.current())
    del tokens
    assert await (await manager(bench, lease=lease)).current() == fresh
    assert len(refreshes(bench)) == 1


async def test_the_pair_is_stored_before_it_is_used(bench: Bench) -> None:
    """At the first call with the new token, its refresh token is in the database already."""
    bench.sandbox.tokens.expire_event(bench.event_id)
    seen: list[str | None] = []

    def look(_: Any) -> None:
        sealed = bench.value("SELECT refresh_token FROM syncd.credentials")
        stored = bench.app.vault.open(sealed, f"credentials:revento/{bench.event_id}:refresh_token")
        grant = bench.sandbox.tokens.grant_of(stored)
        seen.append("newest" if grant and grant.refresh_token == stored else None)

    assert (await bench.sync(watch=Watch(page=look))).exit_code == 0
    assert set(seen) == {"newest"}


@pytest.mark.fault(95)
@pytest.mark.parametrize("after_s", [0.0, 0.01, 0.05, 0.1, 0.15])
async def test_who_asks_may_be_cancelled_the_refresh_is_not(bench: Bench, after_s: float) -> None:
    await bench.sandbox.configure(latency_s=0.1)
    tokens = await manager(bench)
    old = await tokens.current()
    asking = asyncio.create_task(tokens.renew(old))
    await asyncio.sleep(after_s)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await tokens.drain()
    pair = await tokens.store.load()
    assert bench.sandbox.tokens.authenticate(pair.access_token)
    grant = bench.sandbox.tokens.grant_of(pair.access_token)
    assert grant is not None
    assert (grant.refresh_token, grant.revoked) == (pair.refresh_token, False), "the pair that the server last gave"
    assert await tokens.renew(old) != old
    assert len(refreshes(bench)) == 1


@pytest.mark.fault(95)
async def test_a_round_that_is_cancelled_during_a_refresh_waits_for_the_pair(bench: Bench) -> None:
    bench.sandbox.tokens.expire_event(bench.event_id)
    bench.sandbox.faults.add({"endpoint": TOKEN, "delay_s": 0.3, "after_handling": True})
    task = asyncio.create_task(bench.sync())
    while not refreshes(bench):
        await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert events(bench) == ["issued", "refreshing", "refreshed"]
    assert (await bench.sync()).exit_code == 0
    assert len(refreshes(bench)) == 1


@pytest.mark.fault(46)
@pytest.mark.fault(96)
async def test_who_was_overtaken_spends_no_refresh_token(bench: Bench) -> None:
    tokens = await manager(bench)
    token = await tokens.current()
    bench.execute("UPDATE syncd.leases SET epoch = epoch + 1")
    with pytest.raises(LeaseLost):
        await tokens.renew(token)
    assert refreshes(bench) == []


async def test_two_processes_that_need_a_refresh_spend_one_token(open_bench: OpenBench) -> None:
    """The server revokes the family on reuse; the lease lets one refresh, and the other reads what it stored."""
    bench = await open_bench(access_token_s=60)
    await bench.add()
    await bench.sandbox.configure(access_token_s=3600)
    async with bench.second_app() as app:
        second = replace(bench, app=app)
        results = await asyncio.gather(bench.sync(), second.sync())
    assert [result.exit_code for result in results] == [0, 0]
    assert len(refreshes(bench)) == 1


async def test_a_new_key_ring_rewrites_the_pair_at_its_next_refresh(bench: Bench) -> None:
    keys = "k2:" + "b" * 43 + "="
    old = bench.app.settings.security.encryption_keys
    assert old is not None
    async with bench.second_app(SECURITY__ENCRYPTION_KEYS=f"{keys},{old.get_secret_value()}") as app:
        both = replace(bench, app=app)
        tokens = await manager(both)
        await tokens.renew(await tokens.current())
    assert bench.value("SELECT substring(refresh_token FROM 2 FOR 2) FROM syncd.credentials") == b"k2"
    async with bench.second_app(SECURITY__ENCRYPTION_KEYS=keys) as app:
        bench.execute("UPDATE syncd.leases SET until = NULL, owner = NULL")
        assert (await replace(bench, app=app).sync()).exit_code == 0
