"""What the contract leaves open about cursors is tried once, remembered, and heeded from then on."""

from __future__ import annotations

import pytest

from syncd.store.installations import due_streams
from tests import truth
from tests.harness import PARTICIPANTS, TOKEN, Bench, OpenBench

PAGES = 4


async def start(open_bench: OpenBench, **gaps: str) -> Bench:
    bench = await open_bench({"REVENTO__PAGE_SIZE": "10"}, participants=10 * PAGES, gaps=gaps)
    await bench.add()
    return bench


def refresh_before(bench: Bench, call: int) -> None:
    """Let the access token be refused at this call of the listing, and be renewed by it."""
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": call, "error": "token_expired"})


async def seen(bench: Bench) -> tuple[bool | None, bool | None]:
    installation = await bench.installation()
    return installation.cursor_survives_refresh, installation.cursor_survives_limit


@pytest.mark.fault(19)
@pytest.mark.parametrize(("reading", "survives"), [("grant", True), ("token", False)])
async def test_whether_a_cursor_survives_a_refresh_is_remembered(
    open_bench: OpenBench, reading: str, survives: bool
) -> None:
    bench = await start(open_bench, G3=reading)
    assert await seen(bench) == (None, None)
    refresh_before(bench, 3)
    assert (await bench.sync()).exit_code == 0
    assert await seen(bench) == (survives, None)
    # two pages, the call that was refused, the one that tried the cursor, and the rest or all of it again
    assert len(bench.calls(PARTICIPANTS)) == (PAGES + 1 if survives else 2 + 2 + PAGES)
    await bench.add()
    assert await seen(bench) == (survives, None), "new credentials are no other server"


@pytest.mark.fault(20)
@pytest.mark.parametrize(("reading", "survives"), [("free", True), ("bound", False)])
async def test_whether_a_cursor_survives_a_smaller_page_is_remembered(
    open_bench: OpenBench, reading: str, survives: bool
) -> None:
    bench = await start(open_bench, G2=reading)
    for known in (None, survives):
        assert await seen(bench) == (None, known)
        mark = bench.mark()
        bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 3, "error": "payload_too_large"})
        assert (await bench.sync(streams=["participants"])).exit_code == 0
        tried = [call for call in bench.calls(PARTICIPANTS, since=mark) if call["error"] == "invalid_cursor"]
        assert len(tried) == (known is None and not survives), "what is known is not tried again"
        bench.execute("DELETE FROM syncd.positions")  # and with it the page size that fitted
    assert bench.value("SELECT count(*) FROM revento.participant_private") == 10 * PAGES


@pytest.mark.fault(19)
async def test_a_listing_that_outlives_each_token_is_reported(open_bench: OpenBench) -> None:
    """Each token lives for three pages of four, and a cursor no longer than its token."""
    bench = await start(open_bench, G3="token")
    for call in (4, 9):  # 3 pages, refused, tried in vain; 3 pages, refused, tried in vain
        refresh_before(bench, call)
    result = await bench.sync()
    (participants,) = (stream for stream in result.streams if stream.stream == "participants")
    assert (result.exit_code, participants.status) == (3, "incomplete")
    assert "takes longer than one access token lives" in str(participants.reason)
    assert len(bench.calls(PARTICIPANTS)) == 10
    due = await due_streams(bench.app.database, bench.names[0])
    assert due["participants"] > 0.9 * 15 * 60, "it is not walked in vain again and again"
    assert (await bench.sync()).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())


@pytest.mark.fault(19)
@pytest.mark.parametrize(("took", "renewals"), [("1 minute", 0), ("40 minutes", 1), ("2 hours", 0)])
async def test_a_token_is_renewed_before_a_walk_that_would_outlive_it(
    open_bench: OpenBench, took: str, renewals: int
) -> None:
    """Unless no token lives so long: then a new one is no help."""
    bench = await start(open_bench)
    await bench.sync()
    bench.execute("UPDATE syncd.installations SET cursor_survives_refresh = false")
    bench.execute("UPDATE syncd.walks SET ended_at = started_at + %s::interval WHERE stream = 'participants'", took)
    bench.execute("UPDATE syncd.credentials SET access_expires_at = now() + interval '30 minutes'")
    assert (await bench.sync(streams=["participants"])).exit_code == 0
    assert len(bench.calls(TOKEN)) == renewals


@pytest.mark.fault(94)
async def test_a_crash_does_not_make_the_restarts_begin_anew(open_bench: OpenBench) -> None:
    bench = await start(open_bench)
    await bench.sandbox.configure(cursor_s=0)
    result = await bench.sync(streams=["participants"])
    assert (result.streams[0].status, len(bench.calls(PARTICIPANTS))) == ("incomplete", 3 * 2)
    bench.execute("UPDATE syncd.runs SET state = 'interrupted'")
    result = await bench.sync(streams=["participants"])
    assert result.streams[0].status == "incomplete"
    assert len(bench.calls(PARTICIPANTS)) == 4 * 2, "that run has had its two restarts"
    assert bench.value("SELECT count(*) FROM syncd.runs") == 1
