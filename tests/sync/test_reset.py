"""A position that was reset: the walk is given up, its rows stay, and the next walk begins at the first page."""

from __future__ import annotations

import pytest

from syncd import main
from syncd.errors import LeaseHeld
from syncd.main.by_hand import reset_positions
from syncd.store.cursors import report_positions
from syncd.store.leases import claim
from syncd.sync.reset import GivenUp
from syncd.sync.round import Watch
from tests.harness import PARTICIPANTS, Bench, OpenBench

WALKS = "SELECT outcome, reason FROM syncd.walks WHERE stream = 'participants' ORDER BY started_at"


async def cut_off(open_bench: OpenBench) -> Bench:
    """Two of three pages of the participants are stored, and then the API failed."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "20"})
    await bench.add()
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 3, "times": None, "body": "{}"})
    await bench.sync(streams=["participants"])
    bench.sandbox.faults.clear()
    assert bench.query(WALKS) == [("open", None)]
    return bench


async def reset(bench: Bench, *streams: str) -> list[GivenUp]:
    installation = await bench.installation()
    chosen = main.chosen_streams(installation, streams)
    return await reset_positions(bench.app, installation, chosen, Watch(), wait=False)


async def test_the_next_walk_begins_at_the_first_page(open_bench: OpenBench) -> None:
    bench = await cut_off(open_bench)
    walk_id = bench.value("SELECT walk_id FROM syncd.walks WHERE stream = 'participants'")
    (given_up,) = await reset(bench)
    assert given_up.walk_id == walk_id
    assert (given_up.stream, given_up.pages, given_up.had_cursor, given_up.limit) == ("participants", 2, True, 20)
    assert bench.query(WALKS) == [("abandoned", "its position was reset by hand")]
    assert bench.value("SELECT count(*) FROM revento.participants WHERE NOT _syncd_is_stub") == 40
    assert await reset(bench) == [], "it is done"
    before = bench.mark()
    assert (await bench.sync(streams=["participants"])).exit_code == 0
    assert ["cursor" in call["query"] for call in bench.calls(PARTICIPANTS, before)] == [False, True, True]
    assert bench.query(WALKS)[1:] == [("certified", None)]


async def test_other_streams_and_what_begins_at_the_first_page_are_left_alone(open_bench: OpenBench) -> None:
    bench = await cut_off(open_bench)
    saved = bench.query("SELECT stream, saved_at FROM syncd.positions")
    assert await reset(bench, "roles", "activities") == []
    assert bench.query("SELECT stream, saved_at FROM syncd.positions") == saved
    bench.execute("""UPDATE syncd.positions SET position = '{"type":"start","limit":10}'""")
    bench.execute("UPDATE syncd.walks SET outcome = 'abandoned'")
    assert await reset(bench) == [GivenUp("participants", None, 0, had_cursor=False, limit=10)]


async def test_a_position_is_not_reset_under_a_driver(open_bench: OpenBench) -> None:
    bench = await cut_off(open_bench)
    assert await claim(bench.app.database, bench.names[0], "another") is not None
    with pytest.raises(LeaseHeld):
        await reset(bench)
    assert bench.query(WALKS) == [("open", None)]


async def test_a_position_is_told_with_what_limits_it(open_bench: OpenBench) -> None:
    bench = await cut_off(open_bench)
    (at,) = await report_positions(bench.app.database, bench.names, ["participants"])
    assert at.cursor is not None
    assert at.walk is not None
    assert (at.goes_on, at.walk.pages, at.walk.generation, at.cursor.limit) == ("cursor", 2, 1, 20)
    assert (at.cursor.query, at.cursor.unusable, at.last_certified_at) == (PARTICIPANTS, None, None)
    assert at.cursor.grant_id == str((await bench.installation()).grant_id)
    assert 0 <= at.cursor.age_s < 60
    assert bench.value("SELECT position FROM syncd.positions").find(at.cursor.fingerprint) == -1
    await bench.add()
    (at,) = await report_positions(bench.app.database, bench.names, ["participants"])
    assert at.cursor is not None
    assert (at.goes_on, at.cursor.unusable) == ("start", "the cursor was issued to another grant")
    aged = "position::jsonb || jsonb_build_object('issued_at', now() - interval '23 h', 'grant', grant_id)"
    bench.execute(f"UPDATE syncd.positions SET position = {aged} FROM syncd.installations")
    (at,) = await report_positions(bench.app.database, bench.names, ["participants"])
    assert at.cursor is not None
    assert (at.goes_on, at.cursor.unusable) == ("start", "the cursor is older than 23 h")
    assert len(await report_positions(bench.app.database)) == 7
