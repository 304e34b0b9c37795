"""Three budgets of one installation (contracts/revento.md §8), over real sockets."""

from __future__ import annotations

import asyncio
import math

from syncd.sandbox import Limits
from syncd.sandbox.budgets import Budget
from syncd.sandbox.refusals import Refusal
from tests.sandbox.conftest import Open


async def test_the_thirty_first_call_of_a_minute_is_refused(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits())
    assert {(await remote.get()).status_code for _ in range(30)} == {200}
    reply = await remote.get()
    assert (reply.status_code, reply.json()["error"]) == (429, "rate_limit_exceeded")
    assert reply.headers["content-type"] == "application/json"
    assert 55 <= int(reply.headers["retry-after"]) <= 60
    assert reply.headers["x-ratelimit-remaining"] == "470"
    remote.sandbox.clock.advance(int(reply.headers["retry-after"]))
    assert (await remote.get()).status_code == 200


async def test_the_hourly_budget_counts_down_and_rolls(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits(per_hour=3, per_minute=0, in_flight=0))
    left = [(await remote.get()).headers["x-ratelimit-remaining"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    reply = await remote.get()
    assert reply.status_code == 429
    assert 3590 <= int(reply.headers["retry-after"]) <= 3600
    reset_in_s = int(reply.headers["x-ratelimit-reset"]) - remote.sandbox.clock.now()
    assert math.isclose(reset_in_s, 3600, abs_tol=10)
    token = (await remote.refresh(remote.grant["refresh_token"])).json()["access_token"]
    assert (await remote.get(token=token)).status_code == 429, "a refresh does not renew the budget (G12)"
    remote.sandbox.clock.advance(3590)
    assert (await remote.get(token=token)).status_code == 429
    remote.sandbox.clock.advance(10)
    grant = remote.sandbox.tokens.grant_of(token)
    assert grant is not None
    fresh = (await remote.refresh(grant.refresh_token)).json()["access_token"]
    assert (await remote.get(token=fresh)).is_success


async def test_refused_and_bad_calls_cost_nothing(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits(per_hour=5, per_minute=2, in_flight=0))
    for query in ({"limit": "0"}, {"cursor": "x"}):
        assert (await remote.get("/participants", params=query)).headers["x-ratelimit-remaining"] == "5"
    assert (await remote.get_api("/me/profile")).headers["x-ratelimit-remaining"] == "5"
    assert [(await remote.get()).status_code for _ in range(6)] == [200, 200, 429, 429, 429, 429]
    remote.sandbox.clock.advance(61)
    assert (await remote.get()).headers["x-ratelimit-remaining"] == "2"


async def test_the_sixth_call_in_flight_is_refused_without_retry_after(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits(per_hour=0, per_minute=0, in_flight=5), latency_s=0.15)
    replies = await asyncio.gather(*(remote.get() for _ in range(6)))
    refused = [reply for reply in replies if reply.status_code == 429]
    assert len(refused) == 1
    assert refused[0].json()["error"] == "concurrent_limit_exceeded"
    assert "retry-after" not in refused[0].headers
    assert {entry["in_flight"] for entry in remote.sandbox.log() if entry["status"] == 200} == {1, 2, 3, 4, 5}
    assert (await remote.get()).status_code == 200


async def test_a_caller_that_has_its_reply_may_call_again_at_once(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits(per_hour=0, per_minute=0, in_flight=1))
    assert {(await remote.get("/participants")).status_code for _ in range(50)} == {200}


async def test_installations_have_separate_budgets(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits(per_hour=1, per_minute=0, in_flight=0))
    other = remote.sandbox.event_ids[1]
    token = remote.sandbox.connect(other)["access_token"]
    assert [(await remote.get()).status_code for _ in range(2)] == [200, 429]
    assert (await remote.get_api(f"/events/{other}", token=token)).status_code == 200


def test_no_window_ever_holds_more_than_its_limit() -> None:
    limits, budget, admitted = Limits(per_hour=50, per_minute=7, in_flight=0), Budget(), []
    for tick in range(0, 8000, 3):
        try:
            budget.admit(limits, float(tick))
        except Refusal as refusal:
            wait_s = int(refusal.headers["Retry-After"])
            assert wait_s >= 1
        else:
            admitted.append(tick)
    assert max(sum(0 <= at - first < 60 for at in admitted) for first in admitted) == 7
    assert max(sum(0 <= at - first < 3600 for at in admitted) for first in admitted) == 50


def test_a_call_made_exactly_retry_after_later_is_admitted() -> None:
    limits, budget = Limits(per_hour=10, per_minute=2, in_flight=0), Budget()
    for at in (0.4, 10.0):
        budget.admit(limits, at)
    for at in (10.5, 59.9):
        try:
            budget.admit(limits, at)
        except Refusal as refusal:
            again = at + int(refusal.headers["Retry-After"])
            assert 60.4 <= again < 61.5
        else:
            raise AssertionError(f"admitted at {at}")
    budget.admit(limits, 60.4)
