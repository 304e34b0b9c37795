"""Each attempt has its row, each row names its attempt: from a value in the warehouse to the support ticket."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.sync.round import Watch
from syncd.wire.tokens import fingerprint
from tests.harness import PARTICIPANTS, TOKEN, Bench, OpenBench


async def stored_and_served(bench: Bench) -> tuple[dict[str, Any], dict[str, Any]]:
    """What we wrote down and what the server logged, by request id."""
    rows = bench.query(
        """SELECT request_id::text, endpoint, status, error_code, rate_remaining, server_request_id, duration_ms,
                  run_id, token_fingerprint, ended_at IS NOT NULL, bytes FROM syncd.requests"""
    )
    return {row[0]: row for row in rows}, {call["request_id"]: call for call in bench.calls()}


@pytest.mark.case("RV-39")
async def test_every_line_of_the_servers_log_has_its_row(open_bench: OpenBench) -> None:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=60)
    await bench.add()
    bench.hurry()
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 2, "status": 503})
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 3, "error": "rate_limit_exceeded", "times": 2})
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 6, "error": "concurrent_limit_exceeded"})
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 8, "drop": True})
    result = await bench.sync()
    assert result.exit_code == 0
    stored, served = await stored_and_served(bench)
    assert stored.keys() == served.keys()
    assert len(stored) == len(bench.calls()), "a request id is used once"
    for request_id, call in served.items():
        _, endpoint, status, error, remaining, echo, duration_ms, run_id, _, has_ended, size = stored[request_id]
        assert (endpoint, status, run_id) == (call["endpoint"], call["status"], result.run_id)
        assert duration_ms >= 0
        if call["status"] is None:
            assert (error, remaining, echo, has_ended) == ("connection", None, None, False)
        else:
            assert (error, remaining, echo, has_ended) == (call["error"], call["remaining"], request_id, True)
            assert size > 0
    refused = bench.value("SELECT refused_calls FROM bi.api_headroom")
    assert refused == 3
    assert {one.stream: one.requests for one in result.streams}["participants"] == 6 + 5
    assert sum(one.requests for one in result.streams) == len(stored)


@pytest.mark.fault(13)
async def test_the_echo_of_another_request_is_written_down_as_such(bench: Bench) -> None:
    bench.hurry()
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "headers": {"X-Revento-Request-Id": "someone-elses"}})
    assert (await bench.sync()).exit_code == 0
    found = bench.query("SELECT status, error_code FROM syncd.requests WHERE server_request_id = 'someone-elses'")
    assert found == [(200, "wrong_echo")]


async def test_from_a_row_to_its_request(bench: Bench) -> None:
    first = await bench.sync()
    row = bench.sandbox.truth()["events"][0]["participants"][55]["id"]
    bench.sandbox.world.patch(bench.event_id, "participants", row, {"application_status": "rejected"})
    second = await bench.sync()
    brought = bench.query(
        """SELECT participant_id = %s, _syncd_run_id, endpoint, server_request_id = request_id::text, count(*)
           FROM revento.participants JOIN syncd.requests ON request_id = _syncd_request_id AND run_id = _syncd_run_id
           GROUP BY 1, 2, 3, 4 ORDER BY 5""",
        row,
    )
    assert brought == [
        (True, second.run_id, PARTICIPANTS, True, 1),
        (False, first.run_id, PARTICIPANTS, True, 59),
    ]
    pages = bench.query(
        """SELECT first_request_id, last_request_id, pages, (SELECT array_agg(request_id ORDER BY page_number)
           FROM syncd.walk_pages AS page WHERE page.walk_id = walk.walk_id)
           FROM syncd.walks AS walk WHERE stream = 'participants'"""
    )
    assert all((first_id, last_id, count) == (ids[0], ids[-1], 2) for first_id, last_id, count, ids in pages)


async def test_the_token_goes_by_its_fingerprint(bench: Bench) -> None:
    token = bench.app.vault.open(
        bench.value("SELECT access_token FROM syncd.credentials"),
        f"credentials:revento/{bench.event_id}:access_token",
    )
    await bench.sync()
    assert bench.query("SELECT DISTINCT token_fingerprint FROM syncd.requests") == [(fingerprint(token),)]
    assert bench.value("SELECT access_fingerprint FROM syncd.credentials") == fingerprint(token)
    bench.sandbox.tokens.expire_event(bench.event_id)
    await bench.sync(streams=["event"])
    spent = bench.query(
        """SELECT token_fingerprint = %s, status, error_code, endpoint FROM syncd.requests
           WHERE sent_at >= (SELECT max(started_at) FROM syncd.runs) ORDER BY sent_at""",
        fingerprint(token),
    )
    assert [row[:3] for row in spent] == [(True, 401, "token_expired"), (False, 200, None)]
    assert TOKEN not in {row[3] for row in spent}, "the token endpoint is outside the budgets of the API"
    kinds = bench.query("SELECT kind FROM syncd.token_events ORDER BY token_event_id")
    assert kinds == [("issued",), ("refreshing",), ("refreshed",)]


async def test_what_was_asked_before_a_crash_is_written_down(bench: Bench) -> None:
    """An error of ours in mid-walk: the attempts that brought no page yet are stored all the same."""

    def note(progress: Any) -> None:
        if progress.stream == "participants":
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await bench.sync(watch=Watch(page=note))
    stored, served = await stored_and_served(bench)
    assert stored.keys() == served.keys()
    assert bench.query("SELECT state, exit_code FROM syncd.runs") == [("interrupted", 1)]
