"""A refused token is looked into: a suspension is waited out, a revocation stops the work."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from syncd.errors import NeedsAuthorization
from syncd.model import Installation
from syncd.store.installations import due_installations, set_state
from syncd.store.steering import pause
from syncd.sync.round import Watch
from syncd.sync.standing import UNLISTED, consult
from syncd.web.service import scheduler_of
from tests.daemon.test_schedule import certified, until
from tests.harness import TOKEN, UNLIMITED, Bench, OpenBench

LISTING = "/developer/integrations/{integration_id}/installations"
CONFIGURED = {"REVENTO__INTEGRATION_ID": "int_sandbox"}
# So many more calls like the one for the listing, all made by now.
SPEND = """
    INSERT INTO syncd.requests (request_id, installation, endpoint, sent_at, ended_at, duration_ms, waited_ms, status,
        bytes, token_fingerprint)
    SELECT gen_random_uuid(), installation, endpoint, clock_timestamp(), clock_timestamp(), 0, 0, 200, 0,
        token_fingerprint
    FROM syncd.requests, generate_series(1, %s) WHERE endpoint LIKE '/developer/%%'
"""


def state(bench: Bench) -> Any:
    ((found, reason),) = bench.query("SELECT state, state_reason FROM syncd.installations")
    return found, reason


def wait_over(bench: Bench) -> None:
    """The time until the next question has passed."""
    bench.execute("UPDATE syncd.installations SET updated_at = updated_at - interval '15 minutes'")
    a_minute_later(bench)


def a_minute_later(bench: Bench) -> None:
    """The last listing no longer answers, as it answers no other process."""
    bench.app.listings.newest.clear()


def noted(bench: Bench) -> bool:
    """The answer is written down, so that the next question is due in a quarter of an hour."""
    return bool(bench.value("SELECT updated_at > clock_timestamp() - interval '14 minutes' FROM syncd.installations"))


@pytest.fixture
async def asking(open_bench: OpenBench) -> Bench:
    """A bench whose application knows its integration, and one installation."""
    bench = await open_bench(CONFIGURED, developer_limits=UNLIMITED)
    await bench.add()
    return bench


@pytest.mark.case("RV-15")
async def test_a_revocation_is_looked_up_and_stops_the_work(asking: Bench) -> None:
    asking.sandbox.tokens.revoke_event(asking.event_id)
    result = await asking.sync()
    assert (result.exit_code, state(asking)[0]) == (4, "needs_consent")
    assert [call["endpoint"] for call in asking.sandbox.log()] == ["/events/{event_id}", LISTING]
    wait_over(asking)
    await asking.app.run_due(asking.names[0])
    assert (state(asking)[0], noted(asking)) == ("needs_consent", True)
    assert [call["endpoint"] for call in asking.sandbox.log()[2:]] == [LISTING], "only the source is asked again"
    with pytest.raises(NeedsAuthorization, match="waits for a new consent"):
        await asking.sync()
    assert len(asking.sandbox.log()) == 3
    assert asking.value("SELECT count(*) FROM syncd.requests WHERE endpoint = %s AND status = 200", LISTING) == 2


@pytest.mark.case("RV-16")
@pytest.mark.fault(44)
async def test_a_suspension_is_waited_out(asking: Bench) -> None:
    asking.sandbox.tokens.suspend_event(asking.event_id)
    result = await asking.sync()
    assert (result.exit_code, state(asking)[0]) == (4, "suspended")
    assert not asking.calls(TOKEN), "no refresh is spent on it"
    (due_in_s,) = (await due_installations(asking.app.database)).values()
    assert 890 < due_in_s < 900
    async with scheduler_of(asking.app).running():
        before = asking.mark()
        wait_over(asking)
        await until(lambda: asking.calls(LISTING, since=before) and noted(asking))
        asking.sandbox.tokens.resume_event(asking.event_id)
        wait_over(asking)
        await until(lambda: certified(asking))
    assert state(asking) == ("active", None)
    assert {call["endpoint"] for call in asking.calls(since=before)[:2]} == {LISTING}


@pytest.mark.case("RV-16")
async def test_a_suspension_is_not_told_as_a_revocation(asking: Bench) -> None:
    """By the round that meets it first: the reply itself does not tell the one from the other."""
    asking.sandbox.tokens.suspend_event(asking.event_id)
    result = await asking.sync()
    reasons = {stream.reason for stream in result.streams}
    assert all("or the connection is suspended" in str(reason) for reason in reasons)
    assert {reason for (reason,) in asking.query("SELECT reason FROM syncd.stream_status")} == reasons
    assert {reason for (reason,) in asking.query("SELECT reason FROM syncd.run_streams")} == reasons
    assert all("where `syncd installations list` says suspended" in str(stream.hint) for stream in result.streams)


@pytest.mark.case("RV-16")
async def test_by_hand_a_suspended_installation_is_asked_after_first(asking: Bench) -> None:
    asking.sandbox.tokens.suspend_event(asking.event_id)
    await asking.sync()
    before = asking.mark()
    a_minute_later(asking)
    with pytest.raises(NeedsAuthorization, match="is suspended at the source"):
        await asking.sync()
    assert [call["endpoint"] for call in asking.calls(since=before)] == [LISTING]
    asking.sandbox.tokens.resume_event(asking.event_id)
    a_minute_later(asking)
    assert (await asking.sync()).exit_code == 0


async def test_a_suspension_that_ends_in_a_revocation(asking: Bench) -> None:
    asking.sandbox.tokens.suspend_event(asking.event_id)
    await asking.sync()
    asking.sandbox.tokens.resume_event(asking.event_id)
    asking.sandbox.tokens.revoke_event(asking.event_id)
    a_minute_later(asking)
    with pytest.raises(NeedsAuthorization, match="waits for a new consent"):
        await asking.sync()
    assert state(asking) == ("needs_consent", "the source lists the connection as revoked")


@pytest.mark.parametrize("fault", [{"status": 500, "times": None}, {"error": "invalid_client"}, {"body": "{}"}])
async def test_a_listing_that_cannot_be_read_parks_and_resumes_nothing(asking: Bench, fault: dict[str, Any]) -> None:
    """The integration's own credentials say nothing of the organizer's consent."""
    asking.hurry()
    asking.sandbox.tokens.suspend_event(asking.event_id)
    await asking.sync()
    asking.sandbox.faults.add({"endpoint": LISTING, **fault})
    a_minute_later(asking)
    with pytest.raises(NeedsAuthorization, match="is suspended at the source"):
        await asking.sync()
    assert state(asking)[0] == "suspended"


@pytest.mark.case("RV-15")
@pytest.mark.fault(44)
async def test_a_suspension_that_could_not_be_told_from_a_lost_consent_is_asked_after_again(asking: Bench) -> None:
    asking.hurry()
    asking.sandbox.faults.add({"endpoint": LISTING, "status": 500, "times": None})
    asking.sandbox.tokens.suspend_event(asking.event_id)
    assert ((await asking.sync()).exit_code, state(asking)[0]) == (4, "needs_consent")
    (due_in_s,) = (await due_installations(asking.app.database)).values()
    assert 890 < due_in_s < 900
    wait_over(asking)
    await asking.app.run_due(asking.names[0])
    assert (state(asking)[0], noted(asking)) == ("needs_consent", True), "asked in vain, and not at once again"
    asking.sandbox.faults.clear()
    wait_over(asking)
    await asking.app.run_due(asking.names[0])
    assert state(asking)[0] == "suspended"
    assert not asking.calls(TOKEN)


@pytest.mark.fault(44)
@pytest.mark.fault(63)
async def test_a_suspension_of_all_asks_for_few_listings(open_bench: OpenBench) -> None:
    """The listing's own limit is small: at the sandbox 60 calls an hour, 10 a minute, 2 at once."""
    bench = await open_bench(CONFIGURED, events=14)
    for event_id in bench.sandbox.event_ids:
        await bench.add(event_id)
        bench.sandbox.tokens.suspend_event(event_id)

    async def suspended() -> int:
        orders = [bench.app.order(await bench.installation(name), "sync") for name in bench.names]
        async with asyncio.timeout(20):
            await bench.app.sync(orders, Watch())
        return int(bench.value("SELECT count(*) FROM syncd.installations WHERE state = 'suspended'"))

    assert await suspended() == 14
    assert 0 < len(bench.calls(LISTING)) <= 4
    before = bench.mark()
    assert await suspended() == 14
    assert len(bench.calls(LISTING, since=before)) == 0, "what was listed within the last minute is known"
    assert {call["status"] for call in bench.calls(LISTING)} == {200}


@pytest.mark.fault(44)
async def test_a_token_that_is_refused_after_a_listing_is_looked_up_in_a_newer_one(open_bench: OpenBench) -> None:
    bench = await open_bench(CONFIGURED, developer_limits=UNLIMITED, events=2)
    first, second = [await bench.add(event_id) for event_id in bench.sandbox.event_ids]
    bench.sandbox.tokens.suspend_event(first.account)
    await bench.sync(first)
    bench.sandbox.tokens.suspend_event(second.account)
    await bench.sync(second)
    assert len(bench.calls(LISTING)) == 2
    assert (await bench.installation(second.name)).state == "suspended"


@pytest.mark.fault(44)
@pytest.mark.fault(63)
async def test_a_spent_budget_of_the_client_credentials_holds_up_nobody(asking: Bench) -> None:
    """Whoever spent it, and for whichever installation: the standing is left as it is, and asked after later."""
    asking.sandbox.tokens.suspend_event(asking.event_id)
    await asking.sync()
    asking.execute(SPEND, 60)
    clock, before = asking.hurry(), asking.mark()
    a_minute_later(asking)
    await asking.app.run_due(asking.names[0])
    assert not asking.calls(since=before)
    assert sum(clock.slept) < 5
    assert state(asking)[0] == "suspended"
    (due_in_s,) = (await due_installations(asking.app.database)).values()
    assert 890 < due_in_s < 900
    asking.execute("UPDATE syncd.requests SET sent_at = sent_at - interval '1 hour', ended_at = NULL")
    a_minute_later(asking)
    await asking.app.run_due(asking.names[0])
    assert len(asking.calls(LISTING, since=before)) == 1


@pytest.mark.fault(63)
async def test_the_minute_of_the_client_credentials_is_waited_for(asking: Bench) -> None:
    asking.sandbox.tokens.suspend_event(asking.event_id)
    await asking.sync()
    asking.execute(SPEND, 10)
    clock, before = asking.hurry(), asking.mark()
    a_minute_later(asking)
    await asking.app.run_due(asking.names[0])
    assert 50 < sum(clock.slept) < 62
    assert len(asking.calls(LISTING, since=before)) == 1


async def test_without_client_credentials_nobody_is_asked(bench: Bench) -> None:
    bench.sandbox.tokens.suspend_event(bench.event_id)
    assert (await bench.sync()).exit_code == 4
    assert state(bench)[0] == "needs_consent"
    assert not bench.calls(LISTING)


@pytest.mark.fault(44)
async def test_where_nobody_can_be_asked_a_suspension_stays(asking: Bench) -> None:
    """By hand nothing is noted, so that who can ask does so in time; the schedule waits a quarter of an hour."""
    asking.sandbox.tokens.suspend_event(asking.event_id)
    await asking.sync()
    wait_over(asking)
    noted_before = asking.query("SELECT state, state_reason, updated_at FROM syncd.installations")
    async with asking.second_app() as app:
        with pytest.raises(NeedsAuthorization, match="is suspended at the source"):
            await app.run_round(app.order(await asking.installation(), "manual"), Watch())
        assert asking.query("SELECT state, state_reason, updated_at FROM syncd.installations") == noted_before
        await app.run_due(asking.names[0])
    assert (*state(asking), noted(asking)) == (*noted_before[0][:2], True)
    assert len(asking.calls(LISTING)) == 1


async def test_a_suspended_installation_that_is_no_longer_listed_waits_for_a_consent(asking: Bench) -> None:
    asking.sandbox.tokens.suspend_event(asking.event_id)
    await asking.sync()
    a_minute_later(asking)
    asking.sandbox.faults.add({"endpoint": LISTING, "body": json.dumps({"data": [], "has_more": False})})
    with pytest.raises(NeedsAuthorization, match="waits for a new consent"):
        await asking.sync()
    assert state(asking) == ("needs_consent", "the source does not list the connection")


@pytest.mark.fault(44)
@pytest.mark.parametrize("standing", ["active", "suspended", "revoked", UNLISTED])
async def test_who_pauses_while_the_source_is_asked_is_not_overruled(asking: Bench, standing: str) -> None:
    asking.sandbox.tokens.suspend_event(asking.event_id)
    await asking.sync()
    database, name = asking.app.database, asking.names[0]

    async def ask(_installation: Installation) -> str:
        assert await pause(database, name, "by hand")
        return standing

    await consult(database, name, ask)
    assert state(asking) == ("paused", "by hand")


async def test_who_pauses_during_a_round_is_not_overruled_by_its_refusal(bench: Bench) -> None:
    as_read = await bench.installation()
    await pause(bench.app.database, as_read.name, "by hand")
    assert not await set_state(bench.app.database, as_read, "needs_consent", "token_revoked")
    assert state(bench) == ("paused", "by hand")


async def test_a_long_listing_is_read_to_its_end(asking: Bench) -> None:
    asking.sandbox.tokens.suspend_event(asking.event_id)
    row = {"event_id": asking.event_id, "status": "suspended"}
    pages = [{"data": [], "has_more": True, "next_cursor": "2"}, {"data": [row], "has_more": False}]
    for page in pages:
        asking.sandbox.faults.add({"endpoint": LISTING, "body": json.dumps(page)})
    await asking.sync()
    assert [call["query"] for call in asking.calls(LISTING)] == ["limit=100", "limit=100&cursor=2"]
    assert state(asking)[0] == "suspended"


async def test_a_listing_without_end_is_given_up(asking: Bench) -> None:
    asking.hurry()
    asking.sandbox.tokens.suspend_event(asking.event_id)
    page = {"data": [], "has_more": True, "next_cursor": "more"}
    asking.sandbox.faults.add({"endpoint": LISTING, "body": json.dumps(page), "times": None})
    assert (await asking.sync()).exit_code == 4
    assert state(asking)[0] == "needs_consent"
    assert len(asking.calls(LISTING)) == 100
