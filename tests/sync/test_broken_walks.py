"""Walks that lead nowhere: they are given up, told of, and the next round begins at the first page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from syncd.sources.revento.faults import DIALECT
from tests import truth
from tests.harness import PARTICIPANTS, Bench, OpenBench


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


@pytest.mark.fault(17, 32)
async def test_a_cursor_that_only_breaks_the_server_is_given_up_after_an_hour(bench: Bench) -> None:
    """Until then it is tried again by every round: a server that is out for a while costs no walk."""
    fault(bench, nth=3, status=500, times=None)
    assert (await bench.sync(streams=["participants"])).exit_code == 75
    for waited, outcome in (("59 min", "open"), ("1 min", "abandoned")):
        bench.execute(f"UPDATE syncd.positions SET saved_at = saved_at - interval '{waited}'")
        bench.sandbox.faults.clear()
        fault(bench, status=500, times=None)
        before = bench.mark()
        assert (await bench.sync(streams=["participants"])).exit_code == 75
        assert "cursor" in bench.calls(PARTICIPANTS, since=before)[0]["query"]
        assert walks(bench) == [(outcome, 1)]
    bench.sandbox.faults.clear()
    before = bench.mark()
    assert (await bench.sync()).exit_code == 0
    assert "cursor" not in bench.calls(PARTICIPANTS, since=before)[0]["query"]
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(17)
async def test_a_driver_that_reaches_no_server_gives_up_no_walk(bench: Bench) -> None:
    """Nobody has said anything of the cursor."""
    fault(bench, nth=3, status=500, times=None)
    await bench.sync(streams=["participants"])
    bench.execute("UPDATE syncd.positions SET saved_at = saved_at - interval '5 hours'")
    bench.sandbox.faults.clear()
    fault(bench, cut_after_bytes=0, times=None)
    assert (await bench.sync(streams=["participants"])).exit_code == 75
    assert walks(bench) == [("open", 1)]
