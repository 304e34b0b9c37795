"""Walks that lead nowhere: they are given up, told of, and the next round begins at the first page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncd.sources.revento.faults import DIALECT
from syncd.wire.retry import MAX_ATTEMPTS
from tests import truth
from tests.harness import ACTIVITIES, PARTICIPANTS, Bench, OpenBench
from tests.sync.test_summaries import ACTIVITY, PROGRAM


@pytest.fixture
async def bench(open_bench: OpenBench) -> Bench:
    """Six pages of participants."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"})
    await bench.add()
    bench.hurry()
    return bench


def fault(bench: Bench, **order: Any) -> None:
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, **order})


def walks(bench: Bench) -> list[tuple[Any, ...]]:
    return bench.query("SELECT outcome, generation FROM syncd.walks WHERE stream = 'participants' ORDER BY started_at")


@pytest.mark.fault(25)
@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"loop_pages": 2, "times": None}, "a cursor loop"),
        ({"set": {"next_cursor": None}}, "$.next_cursor is empty"),
        ({"set": {"next_cursor": "x" * 70_000}}, "does not fit into an address"),
    ],
    ids=["a loop", "none", "too long"],
)
async def test_cursors_that_lead_nowhere_are_not_gone_on_from(bench: Bench, order: dict[str, Any], says: str) -> None:
    """A later round would only be led there again, and each page of it would renew the cursor's age."""
    fault(bench, nth=3, **order)
    result = await bench.sync()
    failed = {each.stream: each.reason for each in result.streams if each.status != "certified"}
    assert (result.exit_code, list(failed)) == (3, ["participants"]), "and no other stream"
    assert says in str(failed["participants"])
    assert walks(bench) == [("abandoned", 1)]
    bench.sandbox.faults.clear()
    before = bench.mark()
    assert (await bench.sync()).exit_code == 0
    assert "cursor" not in bench.calls(PARTICIPANTS, since=before)[0]["query"]
    assert walks(bench) == [("abandoned", 1), ("certified", 1)]
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(32)
@pytest.mark.parametrize(("status", "code"), [(403, "cursor_expired"), (409, "invalid_cursor"), (400, "not_again")])
async def test_a_cursor_that_is_refused_in_other_words_is_begun_anew_at_once(
    bench: Bench, status: int, code: str
) -> None:
    body = json.dumps({"error": code, "message": "no", "request_id": "r"})
    fault(bench, nth=3, status=status, body=body, content_type=DIALECT.media_type)
    assert (await bench.sync()).exit_code == 0
    assert walks(bench) == [("abandoned", 1), ("certified", 2)]
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(79)
async def test_a_listing_of_which_nothing_can_be_read_is_never_green(bench: Bench) -> None:
    await bench.sync()
    fault(bench, times=None, set={"data": [{"ident": "x"}], "has_more": False})
    for _ in range(3):
        result = await bench.sync(streams=["participants"])
        (stream,) = result.streams
        assert (result.exit_code, stream.status) == (3, "incomplete")
        assert "none could be read" in str(stream.reason)
    assert bench.value("SELECT count(*) FROM revento.participants WHERE NOT _syncd_is_stub") == 60
    bench.sandbox.faults.clear()
    assert (await bench.sync()).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())


def age(bench: Bench, by: str) -> None:
    """Let so much time have passed since the last round."""
    bench.execute(f"UPDATE syncd.positions SET saved_at = saved_at - interval '{by}'")
    bench.execute(f"UPDATE syncd.run_streams SET ended_at = ended_at - interval '{by}'")


NONSENSE = {"set": {"data": None}}


@pytest.mark.fault(17, 32)
@pytest.mark.parametrize(("order", "code"), [({"status": 500}, 75), (NONSENSE, 1)], ids=["500", "nonsense"])
async def test_a_cursor_that_fails_for_an_hour_is_given_up(bench: Bench, order: dict[str, Any], code: int) -> None:
    """Until then it is tried again by every round: a server that is out for a while costs no walk."""
    fault(bench, nth=3, times=None, **order)
    await bench.sync(streams=["participants"])
    for waited, outcome in (("59 min", "open"), ("1 min", "abandoned")):
        age(bench, waited)
        bench.sandbox.faults.clear()
        fault(bench, times=None, **order)
        before = bench.mark()
        assert (await bench.sync(streams=["participants"])).exit_code == code
        assert "cursor" in bench.calls(PARTICIPANTS, since=before)[0]["query"]
        assert walks(bench) == [(outcome, 1)]
    bench.sandbox.faults.clear()
    before = bench.mark()
    assert (await bench.sync()).exit_code == 0
    assert "cursor" not in bench.calls(PARTICIPANTS, since=before)[0]["query"]
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(17)
async def test_one_failure_after_a_long_pause_gives_no_walk_up(bench: Bench) -> None:
    """Nor does a server that nobody reaches, or that refuses the token or the pace."""
    fault(bench, nth=3, times=None, cut_after_bytes=0)
    await bench.sync(streams=["participants"])
    for order in ({"error": "rate_limit_exceeded"}, {"error": "insufficient_scope"}, {"status": 503}):
        age(bench, "5 hours")
        bench.sandbox.faults.clear()
        fault(bench, times=None, **order)
        (stream,) = (await bench.sync(streams=["participants"])).streams
        assert (stream.status != "certified", walks(bench)) == (True, [("open", 1)]), order
    age(bench, "5 hours")
    bench.sandbox.faults.clear()
    fault(bench, times=None, cut_after_bytes=0)
    await bench.sync(streams=["participants"])
    assert walks(bench) == [("open", 1)]


@pytest.mark.fault(17)
async def test_a_walk_that_has_come_further_since_is_not_given_up(bench: Bench) -> None:
    """What failed two hours ago was the page before."""
    for nth in (3, 2):
        fault(bench, nth=nth, times=None, status=503)
        await bench.sync(streams=["participants"])
        bench.sandbox.faults.clear()
        bench.execute("UPDATE syncd.run_streams SET ended_at = ended_at - interval '2 hours'")
    assert bench.value("SELECT count(*) FROM syncd.walk_pages") == 3
    bench.execute("UPDATE syncd.positions SET saved_at = saved_at - interval '110 min'")
    fault(bench, times=None, status=503)
    await bench.sync(streams=["participants"])
    assert walks(bench) == [("open", 1)]


@pytest.mark.fault(17)
@pytest.mark.parametrize("failures", [0, MAX_ATTEMPTS], ids=["", "though it has failed itself once"])
async def test_a_cursor_is_not_given_up_for_what_is_asked_beside_it(open_bench: OpenBench, failures: int) -> None:
    """The listing goes on; what it names cannot be read."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "5"}, gaps={"G26": "summary"})
    await bench.add()
    bench.hurry()
    bench.sandbox.faults.add({"endpoint": PROGRAM, "error": "payload_too_large", "times": None})
    bench.sandbox.faults.add({"endpoint": ACTIVITY, "nth": 12, "status": 500, "times": None})
    bench.sandbox.faults.add({"endpoint": ACTIVITIES, "nth": 4, "status": 500, "times": failures})
    for _ in range(3):
        (activities,) = (await bench.sync(streams=["activities"])).streams
        assert activities.status == "failed"
        age(bench, "2 hours")
    assert bench.query("SELECT outcome FROM syncd.walks WHERE stream = 'activities'") == [("open",)]


@pytest.mark.fault(32)
@pytest.mark.parametrize("status", [400, 404, 410])
async def test_a_server_that_refuses_everything_for_a_while_costs_no_walk(bench: Bench, status: int) -> None:
    fault(bench, nth=3, status=status, times=None)
    await bench.sync(streams=["participants"])
    assert walks(bench) == [("open", 1)]
    bench.sandbox.faults.clear()
    before = bench.mark()
    assert (await bench.sync()).exit_code == 0
    assert "cursor" in bench.calls(PARTICIPANTS, since=before)[0]["query"]
    assert walks(bench) == [("certified", 1)]


@pytest.mark.fault(20, 25)
async def test_a_walk_that_is_given_up_leaves_its_page_size(bench: Bench) -> None:
    fault(bench, nth=2, error="payload_too_large")
    fault(bench, nth=5, loop_pages=2, times=None)
    assert (await bench.sync(streams=["participants"])).exit_code == 1
    bench.sandbox.faults.clear()
    before = bench.mark()
    await bench.sync(streams=["participants"])
    assert "limit=5" in bench.calls(PARTICIPANTS, since=before)[0]["query"]
