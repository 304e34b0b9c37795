"""What must not cost a consent, a round or a row: outages and oddities at the worst instant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

import pytest

from syncd.credentials.own_keys import own_keys
from syncd.errors import DatabaseError, NeedsAuthorization
from syncd.http.budget import TokenBudget
from syncd.store.installations import due_streams, set_state
from syncd.store.leases import claim
from syncd.store.requests import PendingRequests
from syncd.store.tokens import StoredTokens
from syncd.sync.run import Run
from syncd.sync.stream import one_ahead
from tests.harness import PARTICIPANTS, ROLES, TOKEN, Bench


@pytest.mark.fault(85)
async def test_a_new_pair_outlives_a_database_that_refuses_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two failing stores in a row, and the pair is stored all the same."""
    really, refusals = StoredTokens.save, iter(range(2))

    async def save(self: StoredTokens, tokens: object, *, spent: str) -> None:
        if next(refusals, None) is not None:
            raise DatabaseError("no connection to the database")
        await really(self, tokens, spent=spent)  # type: ignore[arg-type]

    monkeypatch.setattr(StoredTokens, "save", save)
    bench.hurry()
    bench.sandbox.tokens.expire_event(bench.event_id)
    assert (await bench.sync()).exit_code == 0
    assert len(bench.calls(TOKEN)) == 1
    assert next(refusals, None) is None, "both failures happened"


async def test_a_newer_consent_is_not_parked_by_a_round_of_the_old_one(bench: Bench) -> None:
    old = await bench.installation()
    await bench.add()
    await set_state(bench.app.database, old, "needs_consent", "of the old grant")
    assert (await bench.installation()).state == "active"


@pytest.mark.case("RV-12")
async def test_a_parked_installation_makes_no_call(bench: Bench) -> None:
    await set_state(bench.app.database, await bench.installation(), "needs_consent", "invalid_grant")
    before = bench.mark()
    with pytest.raises(NeedsAuthorization):
        await bench.sync()
    assert bench.sandbox.log(before) == []


@pytest.mark.parametrize(
    "fault",
    [
        {"headers": {"X-RateLimit-Remaining": "4294967295", "X-RateLimit-Limit": "9999999999"}, "set": {}},
        {"status": 400, "body": '{"error":"weird\\u0000code"}', "content_type": "application/json"},
    ],
)
async def test_an_odd_reply_stops_no_other_stream(bench: Bench, fault: dict[str, object]) -> None:
    bench.sandbox.faults.add({"endpoint": ROLES, "times": None, **fault})
    result = await bench.sync()
    assert [stream.status for stream in result.streams if stream.stream != "roles"] == ["certified"] * 6
    assert bench.value("SELECT count(*) FROM syncd.requests WHERE endpoint = %s", ROLES) == 1


async def test_a_round_that_breaks_off_is_not_due_again_at_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("syncd.sync.stream.record_page", broken)
    with pytest.raises(ZeroDivisionError):
        await bench.sync()
    assert bench.query("SELECT DISTINCT status, reason FROM syncd.stream_status") == [("failed", "ZeroDivisionError")]
    assert min((await due_streams(bench.app.database, (await bench.installation()).name)).values()) > 60


async def test_a_round_under_a_new_consent_takes_up_nothing_of_the_old(bench: Bench) -> None:
    bench.sandbox.faults.add({"endpoint": PARTICIPANTS, "times": None, "delay_s": 30})
    cut_off = asyncio.create_task(bench.sync())
    while bench.value("SELECT count(*) FROM syncd.run_streams WHERE status = 'certified'") < 2:
        await asyncio.sleep(0.02)
    cut_off.cancel()
    await asyncio.gather(cut_off, return_exceptions=True)
    bench.sandbox.faults.clear()
    await bench.add()
    before = bench.mark()
    assert (await bench.sync()).exit_code == 0
    assert len(bench.calls(ROLES, since=before)) == 1


@pytest.mark.fault(79)
async def test_each_rejected_row_is_kept(bench: Bench) -> None:
    """Two rows without an id at the same place of two walks are two rows."""
    page = bench.sandbox.truth()["events"][0]["roles"]
    for name in ("first", "second", "first"):
        bench.sandbox.faults.clear()
        bench.sandbox.faults.add({"endpoint": ROLES, "set": {"data": [{"name": name}, *page]}, "times": 1})
        await bench.sync(streams=["roles"])
    assert bench.query("SELECT json_path, raw FROM syncd.quarantined_values ORDER BY 2") == [
        ("$.data[].id", '{"name":"first"}'),
        ("$.data[].id", '{"name":"second"}'),
    ]


@pytest.mark.case("RV-17")
async def test_a_429_is_obeyed_by_the_next_driver_too(bench: Bench) -> None:
    bench.sandbox.faults.add(
        {"endpoint": ROLES, "times": 1, "error": "rate_limit_exceeded", "headers": {"Retry-After": "600"}}
    )
    bench.hurry()
    await bench.sync(streams=["roles"])
    installation = await bench.installation()
    claimed = await claim(bench.app.database, installation.name, "next")
    assert claimed is not None
    run = Run(uuid4(), installation, claimed.lease, bench.app.database, PendingRequests(), 50, lambda _: None)
    async with bench.app.connect(run, claimed) as api:
        budget = api.budget  # type: ignore[attr-defined]
        assert isinstance(budget, TokenBudget)
        wait = budget._wait()
        assert wait is not None
        assert (wait.waits_for, 590 < wait.wait_s <= 600) == ("server", True)


async def test_pages_are_fetched_one_ahead_and_closed() -> None:
    """The page after the one being stored is under way, and not one more."""
    asked: list[int] = []

    async def numbers() -> AsyncGenerator[int]:
        for number in range(9):
            asked.append(number)
            yield number

    async with aclosing(one_ahead(numbers())) as ahead:
        async for number in ahead:
            await asyncio.sleep(0)
            assert asked == list(range(number + 2))
            if number == 3:
                break


def test_keys_made_on_first_use_are_one_for_all(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = set(threads.map(own_keys, [tmp_path / f"keys{n % 10}" for n in range(80)]))
    assert len(made) == 10
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
