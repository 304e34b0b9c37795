"""What a failure of one call means for its stream, the others, the exit code, and what is stored."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from syncd.http.bounds import Bounds
from syncd.http.client import open_client
from syncd.http.outage import FAILURES_OF_AN_OUTAGE
from syncd.store.installations import due_installations
from syncd.sync.round import RoundResult
from syncd.wire.retry import MAX_ATTEMPTS
from tests import truth
from tests.harness import (
    ACTIVITIES,
    EVENT,
    LOCATIONS,
    PARTICIPANTS,
    ROLES,
    THREADS,
    TOKEN,
    WAVES,
    Bench,
    OpenBench,
)
from tests.sampling import sampled

ALL = ("event", "roles", "participants", "threads", "locations", "activities", "waves")
MIB = 1024 * 1024


@pytest.fixture
async def bench(open_bench: OpenBench) -> Bench:
    """A small world on pages of ten; pauses take no time."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=40)
    await bench.add()
    bench.hurry()
    return bench


def outcome(result: RoundResult) -> dict[str, str]:
    """Streams by what became of them, those that were certified left out."""
    return {one.stream: one.status for one in result.streams if one.status != "certified"}


def reason(result: RoundResult, stream: str = "participants") -> tuple[str, str | None]:
    (found,) = (one for one in result.streams if one.stream == stream)
    return found.status, found.error_code


def fault(bench: Bench, endpoint: str = PARTICIPANTS, **order: Any) -> None:
    bench.sandbox.faults.add({"endpoint": endpoint, **order})


async def assert_heals(bench: Bench) -> None:
    """Once the faults are gone one round ends equal."""
    bench.sandbox.faults.clear()
    assert (await bench.sync()).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())


# A page of another listing that was too large just now.
ANOTHER_LISTING = """
    INSERT INTO syncd.requests (request_id, installation, endpoint, sent_at, duration_ms, waited_ms, status, bytes,
        token_fingerprint)
    SELECT gen_random_uuid(), name, '/activities', now(), 1, 0, 413, 0, 'none' FROM syncd.installations
"""


def limits(bench: Bench, endpoint: str = PARTICIPANTS, since: int = 0) -> list[int]:
    return [int(call["query"].partition("limit=")[2].partition("&")[0]) for call in bench.calls(endpoint, since)]


# --- failures that pass ---------------------------------------------------------------------------------------------


@pytest.mark.case("RV-24")
@pytest.mark.parametrize(
    "passing",
    [
        {"status": 503, "times": 3},
        {"status": 500},
        {"status": 502, "body": "<html>Bad gateway</html>", "content_type": "text/html"},
        {"drop": True},
        {"cut_after_bytes": 100},
        {"cut_after_bytes": 0},
        pytest.param({"truncate_bytes": 400}, marks=pytest.mark.fault(6)),
        pytest.param({"headers": {"X-Revento-Request-Id": "another"}}, marks=pytest.mark.fault(13)),
    ],
    ids=str,
)
async def test_a_failure_that_passes_costs_only_its_calls(bench: Bench, passing: dict[str, Any]) -> None:
    fault(bench, nth=2, **passing)
    assert (await bench.sync()).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert len(bench.calls(PARTICIPANTS)) == 4 + passing.get("times", 1)
    failed = bench.value("SELECT count(*) FROM syncd.requests WHERE error_code IS NOT NULL")
    assert failed == passing.get("times", 1)


async def test_a_missing_echo_is_no_failure(bench: Bench) -> None:
    fault(bench, headers={"X-Revento-Request-Id": None}, times=None)
    assert (await bench.sync()).exit_code == 0
    missing = "SELECT count(*) FROM syncd.requests WHERE server_request_id IS NULL AND status = 200"
    assert bench.value(missing) == 4


@pytest.mark.fault(8)
async def test_a_reply_that_trickles_is_given_up_at_the_deadline(bench: Bench) -> None:
    fault(bench, trickle_s=0.01)  # some kilobytes: a minute, though no single read is slow
    started = asyncio.get_running_loop().time()
    async with open_client(bounds=Bounds(deadline_s=0.4)) as client:
        bench.app = replace(bench.app, client=client)
        assert (await bench.sync()).exit_code == 0
    assert asyncio.get_running_loop().time() - started < 5
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert bench.query("SELECT error_code FROM syncd.requests WHERE error_code IS NOT NULL") == [("timeout",)]


@pytest.mark.case("RV-02")
@pytest.mark.fault(27)
async def test_an_empty_page_in_the_middle_ends_nothing(bench: Bench) -> None:
    fault(bench, nth=2, set={"data": []})
    result = await bench.sync()
    assert result.exit_code == 0
    assert (len(bench.calls(PARTICIPANTS)), bench.value("SELECT count(*) FROM revento.participant_private")) == (4, 30)
    await assert_heals(bench)


# --- failures that stay ---------------------------------------------------------------------------------------------


@pytest.mark.case("RV-24")
@pytest.mark.case("RV-27")
async def test_one_stream_that_fails_to_the_end_stops_no_other(bench: Bench) -> None:
    fault(bench, nth=3, status=500, times=None)
    result = await bench.sync()
    assert (result.exit_code, result.state) == (3, "partial")
    assert outcome(result) == {"participants": "failed"}
    assert reason(result)[1] == "internal_error"
    assert len(bench.calls(PARTICIPANTS)) == 2 + MAX_ATTEMPTS
    assert bench.value("SELECT count(*) FROM revento.participant_private") == 20, "what came before is kept"
    never = bench.query("SELECT stream FROM bi.data_freshness WHERE last_certified_at IS NULL")
    assert never == [("participants",)]
    mark = bench.mark()
    await assert_heals(bench)
    assert len(bench.calls(PARTICIPANTS, mark)) == 2, "the walk goes on at its third page"


async def test_a_brown_out_of_everything_ends_with_75(bench: Bench) -> None:
    bench.sandbox.faults.add({"status": 503, "times": None})
    result = await bench.sync()
    assert (result.exit_code, result.state) == (75, "failed")
    assert outcome(result) == dict.fromkeys(ALL, "failed")
    assert (await bench.installation()).state == "active"
    await assert_heals(bench)


@pytest.mark.fault(17)
async def test_in_an_outage_each_stream_asks_once_and_nothing_is_repeated(bench: Bench) -> None:
    """What has failed often in a row, and for a while, is no hiccup; the first answer ends it, and calls are repeated
    again."""
    bench.sandbox.faults.add({"status": 503, "times": None})
    await bench.sync()
    assert Counter(call["endpoint"] for call in bench.calls())[EVENT] == MAX_ATTEMPTS, "the first call"
    while not bench.app.outages[bench.sandbox.api_url].is_on:
        await bench.sync()
    for _ in range(3):
        mark = bench.mark()
        result = await bench.sync()
        assert (result.exit_code, outcome(result)) == (75, dict.fromkeys(ALL, "failed"))
        assert sorted(Counter(call["endpoint"] for call in bench.calls(since=mark)).values()) == [1] * 7
    bench.sandbox.faults.clear()
    fault(bench, nth=1, status=503, times=MAX_ATTEMPTS - 1)
    mark = bench.mark()
    assert (await bench.sync()).exit_code == 0
    assert len(bench.calls(PARTICIPANTS, mark)) == MAX_ATTEMPTS - 1 + 4
    await assert_heals(bench)


@pytest.mark.fault(17)
async def test_an_event_that_is_broken_for_good_takes_no_other_with_it(open_bench: OpenBench) -> None:
    bench = await open_bench(events=2)
    broken, whole = [await bench.add(event_id) for event_id in bench.sandbox.event_ids]
    bench.sandbox.faults.add({"event_id": broken.account, "status": 503, "times": None})
    bench.hurry()
    assert (await bench.sync(broken)).exit_code == 75
    fault(bench, event_id=whole.account, nth=1, status=503)
    assert (await bench.sync(whole)).exit_code == 0, "what fails there by chance is repeated"


@pytest.mark.fault(1)
async def test_a_server_that_nobody_runs_ends_with_75(bench: Bench) -> None:
    url = bench.sandbox.api_url
    bench.execute("UPDATE syncd.installations SET api_url = 'http://127.0.0.1:9'")
    result = await bench.sync()
    assert (result.exit_code, {one.error_code for one in result.streams}) == (75, {"connection"})
    asked = bench.value("SELECT count(*) FROM syncd.requests WHERE status IS NULL")
    assert FAILURES_OF_AN_OUTAGE < asked <= 7 * MAX_ATTEMPTS
    bench.execute("UPDATE syncd.installations SET api_url = %s", url)
    await assert_heals(bench)


@pytest.mark.fault(7)
async def test_a_reply_that_is_larger_than_any_reply_is_refused_at_once(bench: Bench) -> None:
    """Sent as a small gzip body; of what it inflates to no more is taken than any reply may hold, and it is not asked
    for again. (tests/http has the bomb that measures it.)"""
    fault(bench, body=" " * (5 * MIB), times=None)
    result = await bench.sync()
    assert (result.exit_code, reason(result)) == (3, ("failed", "reply_too_large"))
    assert len(bench.calls(PARTICIPANTS)) == 1
    await assert_heals(bench)


MEDIA = "application/vnd.revento.v1+json; charset=utf-8"


@pytest.mark.parametrize(
    "wrong",
    sampled(
        [
            {"headers": {"Content-Type": "text/html"}},
            {"headers": {"Content-Type": "application/vnd.revento.v2+json"}},
            {"headers": {"Content-Type": "application/json"}},
            {"headers": {"Content-Type": None}},
            *(
                {"body": body, "content_type": MEDIA, "status": 200}
                for body in ("", "null", "[]", "{}", '{"data":null}')
            ),
            *(
                {"body": body, "content_type": MEDIA, "status": 200}
                for body in ('{"data":{}}', '{"data":[]}', "\ufeff{}")
            ),
            {"set": {"has_more": True, "next_cursor": None}},
            {"set": {"has_more": True, "next_cursor": ""}},
            {"set": {"has_more": "true"}},
            {"set": {"next_cursor": 7}},
            {"status": 204, "body": ""},
            {"status": 302, "body": "", "headers": {"Location": "http://127.0.0.1:9/"}},
            {"status": 304, "body": ""},
            {"status": 418, "body": ""},
            {"status": 200, "body": "[" * 100_000, "content_type": MEDIA},
        ]
    ),
    ids=lambda wrong: json.dumps(wrong).replace("\\", "")[:60],
)
@pytest.mark.fault(10)
@pytest.mark.fault(11)
@pytest.mark.fault(12)
@pytest.mark.fault(22)
@pytest.mark.case("RV-03")
async def test_a_reply_that_breaks_the_contract_fails_its_stream_and_certifies_nothing(
    bench: Bench, wrong: dict[str, Any]
) -> None:
    fault(bench, nth=2, times=None, **wrong)
    result = await bench.sync()
    assert (result.exit_code, outcome(result)) == (3, {"participants": "failed"})
    is_refusal = 400 <= wrong.get("status", 200) < 500
    assert len(bench.calls(PARTICIPANTS)) == 2 + is_refusal, "no repeat would help; the first page is tried once"
    assert bench.value("SELECT count(*) FROM revento.participant_private") == 10
    await assert_heals(bench)


@pytest.mark.fault(25)
async def test_a_cursor_that_leads_in_a_circle_is_noticed(bench: Bench) -> None:
    rows = bench.sandbox.truth()["events"][0]["participants"]
    for n, (here, there) in enumerate([(0, "b"), (10, "c"), (20, "b")], start=1):
        page = {"data": rows[here : here + 10], "has_more": True, "next_cursor": there}
        fault(bench, nth=n, body=json.dumps(page), content_type=MEDIA)
    result = await bench.sync()
    assert reason(result) == ("failed", "contract_breach")
    assert len(bench.calls(PARTICIPANTS)) == 3
    await assert_heals(bench)


@pytest.mark.fault(43)
async def test_an_event_that_is_gone_keeps_its_rows(bench: Bench) -> None:
    await bench.sync()
    served = bench.sandbox.truth()
    bench.sandbox.world.delete_event(bench.event_id)
    result = await bench.sync()
    assert (result.exit_code, set(outcome(result).values())) == (1, {"failed"})
    truth.assert_equal(bench.url, served)


# --- pages that are too large ---------------------------------------------------------------------------------------


@pytest.mark.case("RV-06")
@pytest.mark.fault(20)
async def test_a_page_that_is_too_large_is_asked_for_in_halves(bench: Bench) -> None:
    """The lenient reading: the same cursor serves the smaller page, and the size is remembered."""
    fault(bench, nth=3, error="payload_too_large", times=2)
    assert (await bench.sync()).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert limits(bench) == [10, 10, 10, 5, *[2] * 10]
    mark = bench.mark()
    assert (await bench.sync()).exit_code == 0
    assert limits(bench, since=mark) == [2] * 20, "the next walk begins where this one had to go"


@pytest.mark.fault(20)
async def test_a_larger_page_is_tried_again_once_a_day(bench: Bench) -> None:
    """Not in every walk: those that have to shrink on their way are no witnesses to absence."""
    fault(bench, nth=3, error="payload_too_large", times=2)
    for _ in range(3):
        mark = bench.mark()
        await bench.sync(streams=["participants"])
    assert limits(bench, since=mark) == [2] * 20
    bench.execute("UPDATE syncd.requests SET sent_at = sent_at - interval '23 hours' WHERE status = 413")
    await bench.sync(streams=["participants"])
    bench.execute("UPDATE syncd.requests SET sent_at = sent_at - interval '1 hour' WHERE status = 413")
    bench.execute(ANOTHER_LISTING)
    mark = bench.mark()
    await bench.sync(streams=["participants"])
    assert limits(bench, since=mark) == [2] * 20, "a walk begins and ends with one size"
    mark = bench.mark()
    await bench.sync(streams=["participants"])
    assert limits(bench, since=mark) == [10] * 4
    witnesses = "SELECT is_witness FROM syncd.walks WHERE stream = 'participants' ORDER BY started_at"
    assert bench.query(witnesses) == [(False,), *[(True,)] * 5]


@pytest.mark.case("RV-07")
@pytest.mark.fault(20)
@pytest.mark.parametrize("page", [1, 2, 4])
async def test_a_page_that_is_too_large_and_whose_cursor_is_void(open_bench: OpenBench, page: int) -> None:
    """The strict reading: the smaller page is another query, so the walk begins anew at that size."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=40, gaps={"G2": "bound"})
    await bench.add()
    bench.hurry()
    fault(bench, nth=page, error="payload_too_large")
    assert (await bench.sync()).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    asked = limits(bench)
    assert asked == ([10] * page + [5] + [5] * 8)[: len(asked)]
    assert len(asked) == page + 8 + (page > 1)
    generations = bench.query("SELECT generation, outcome FROM syncd.walks WHERE stream = 'participants' ORDER BY 1")
    assert generations == ([(1, "abandoned"), (2, "certified")] if page > 1 else [(1, "certified")])


async def test_the_servers_own_cap_is_met_for_real(open_bench: OpenBench) -> None:
    """Both paged listings are larger than the cap at 50 rows a page, and the tree of venues is not."""
    bench = await open_bench(participants=60, activities=60)
    await bench.add()
    await bench.sandbox.configure(response_cap_bytes=len(bench.sandbox.world.events[bench.event_id].locations.body) + 1)
    assert (await bench.sync()).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
    assert min(limits(bench)) < 50
    assert min(limits(bench, ACTIVITIES)) < 50


@pytest.mark.case("RV-08")
@pytest.mark.fault(21)
async def test_a_row_that_is_too_large_by_itself_fails_its_stream(bench: Bench) -> None:
    await bench.sync()
    mark = bench.mark()
    fault(bench, error="payload_too_large", times=None)
    result = await bench.sync()
    assert (result.exit_code, reason(result)) == (3, ("failed", "payload_too_large"))
    assert limits(bench, since=mark) == [10, 5, 2, 1]
    truth.assert_equal(bench.url, bench.sandbox.truth())
    await assert_heals(bench)


# --- cursors that are refused ---------------------------------------------------------------------------------------


@pytest.mark.case("RV-05")
@pytest.mark.fault(32)
@pytest.mark.parametrize(
    "refusal",
    [
        {"error": "invalid_cursor"},
        {"error": "invalid_request"},
        {"error": "resource_not_found"},
        {"status": 410, "body": "gone"},
        {"status": 422, "body": '{"error":"cursor_unprocessable"}'},
    ],
    ids=str,
)
async def test_a_cursor_that_is_refused_in_mid_walk_restarts_it_once(bench: Bench, refusal: dict[str, Any]) -> None:
    fault(bench, nth=3, **refusal)
    result = await bench.sync()
    assert (result.exit_code, outcome(result)) == (0, {})
    truth.assert_equal(bench.url, bench.sandbox.truth())
    is_named = "cursor" in str(refusal)
    assert len(bench.calls(PARTICIPANTS)) == 3 + 4 + (not is_named), "the first page tells whose refusal it is"
    how = "CASE outcome WHEN 'abandoned' THEN reason LIKE '%(%)' ELSE reason IS NULL END"
    walks = f"SELECT generation, outcome, {how} FROM syncd.walks WHERE stream = 'participants' ORDER BY 1"
    assert bench.query(walks) == [(1, "abandoned", True), (2, "certified", True)]


@pytest.mark.fault(19)
async def test_a_server_that_refuses_its_own_cursors_is_not_asked_for_ever(bench: Bench) -> None:
    await bench.sandbox.configure(cursor_s=0)
    result = await bench.sync()
    # Three pages or more need a cursor: participants and activities both.
    assert outcome(result) == {"participants": "incomplete", "activities": "incomplete"}
    assert result.exit_code == 3
    assert len(bench.calls(PARTICIPANTS)) == 3 * 2, "the walk and two restarts, two calls each"
    assert bench.value("SELECT count(*) FROM revento.participant_private") == 10
    assert bench.value("SELECT count(*) FROM syncd.walks WHERE outcome = 'certified'") == 5
    await bench.sandbox.configure(cursor_s=86_400)
    await assert_heals(bench)


async def test_a_refused_first_page_is_no_matter_of_cursors(bench: Bench) -> None:
    fault(bench, error="invalid_request", times=None)
    result = await bench.sync()
    assert reason(result) == ("failed", "invalid_request")
    assert len(bench.calls(PARTICIPANTS)) == 1


# --- scopes ---------------------------------------------------------------------------------------------------------


@pytest.mark.case("RV-23")
async def test_streams_without_their_scope_are_skipped(open_bench: OpenBench) -> None:
    bench = await open_bench()
    await bench.add(scopes=("event.read", "participants.read"))
    result = await bench.sync()
    assert (result.exit_code, outcome(result)) == (0, dict.fromkeys(ALL[3:], "skipped"))
    assert {call["endpoint"] for call in bench.calls()} == {EVENT, ROLES, PARTICIPANTS}


@pytest.mark.fault(53)
async def test_a_scope_that_the_token_lost_skips_its_streams(open_bench: OpenBench) -> None:
    """The server knows better than our books."""
    bench = await open_bench()
    await bench.add(scopes=("event.read", "program.read"))
    bench.execute("UPDATE syncd.installations SET scopes = scopes || 'participants.read'::text")
    result = await bench.sync()
    assert (result.exit_code, outcome(result)) == (0, {"roles": "skipped", "participants": "skipped"})
    assert reason(result) == ("skipped", "insufficient_scope")
    assert len(bench.calls(PARTICIPANTS)) == 1
    assert (await bench.installation()).state == "active"


# --- dead tokens ----------------------------------------------------------------------------------------------------


@pytest.mark.case("RV-15")
@pytest.mark.fault(50)
@pytest.mark.parametrize("code", ["token_revoked", "invalid_token"])
async def test_a_dead_token_stops_the_installation(bench: Bench, code: str) -> None:
    """No call after the refusal, no refresh token burnt, what is stored stays."""
    fault(bench, nth=2, error=code, times=None)
    result = await bench.sync()
    assert (result.exit_code, result.state) == (4, "refused")
    assert outcome(result) == dict.fromkeys(ALL[2:], "failed")
    assert [call["error"] for call in bench.sandbox.log()][-1] == code
    assert not {call["endpoint"] for call in bench.calls()} & {THREADS, LOCATIONS, ACTIVITIES, WAVES, TOKEN}
    assert bench.value("SELECT count(*) FROM revento.participant_private") == 10
    parked = bench.query("SELECT state, state_reason FROM syncd.installations")[0]
    assert parked[0] == "needs_consent"
    assert code in parked[1]
    (due_in_s,) = (await due_installations(bench.app.database)).values()
    assert due_in_s > 890, "the scheduler leaves it alone, and asks the source now and then"


async def test_a_revocation_in_mid_walk(bench: Bench) -> None:
    bench.sandbox.tokens.revoke_event(bench.event_id)
    result = await bench.sync()
    assert (result.exit_code, len(bench.sandbox.log())) == (4, 1)


@pytest.mark.case("RV-22")
async def test_a_token_of_another_event_stops_the_installation(open_bench: OpenBench) -> None:
    bench = await open_bench(events=2)
    first, second = bench.sandbox.event_ids
    await bench.add(first)
    bench.execute("UPDATE syncd.installations SET account = %s", second)
    result = await bench.sync()
    assert (result.exit_code, result.streams[0].error_code) == (4, "event_not_authorized")
    assert len(bench.sandbox.log()) == 1


async def test_a_new_consent_starts_it_again_from_the_first_page(bench: Bench) -> None:
    """A new grant: the cursor of the old one is not sent."""
    fault(bench, nth=3, error="token_revoked")
    assert (await bench.sync()).exit_code == 4
    await bench.add()
    mark = bench.mark()
    assert (await bench.sync()).exit_code == 0
    assert "cursor" not in bench.calls(PARTICIPANTS, mark)[0]["query"]
    truth.assert_equal(bench.url, bench.sandbox.truth())
