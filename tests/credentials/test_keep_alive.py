"""A grant that nobody uses does not die of it; one that ends after its year is told weeks ahead."""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from syncd.store.installations import due_installations
from tests.credentials.test_refresh import events, leased, refreshes
from tests.harness import TOKEN, Bench

IDLE = "UPDATE syncd.credentials SET refresh_expires_at = clock_timestamp() + interval '59 days'"
LONG_AGO = "UPDATE syncd.token_events SET happened_at = happened_at - interval '31 days'"


async def due(bench: Bench) -> bool:
    return any(due_in_s <= 0 for due_in_s in (await due_installations(bench.app.database)).values())


async def pause(bench: Bench) -> str:
    bench.execute("UPDATE syncd.installations SET state = 'paused'")
    bench.execute(LONG_AGO)
    return bench.names[0]


async def test_a_paused_installation_is_kept_alive(bench: Bench) -> None:
    name = await pause(bench)
    assert not await due(bench), "its token is good for 90 days"
    bench.execute(IDLE)
    assert await due(bench)
    await bench.app.run_due(name)
    assert [entry["endpoint"] for entry in bench.sandbox.log()] == [TOKEN], "nothing but its token is renewed"
    assert (await due(bench), bench.query("SELECT state FROM syncd.installations")) == (False, [("paused",)])


async def test_what_cannot_be_kept_alive_is_told_and_tried_again_the_next_day(bench: Bench) -> None:
    name = await pause(bench)
    bench.execute(IDLE)
    bench.sandbox.faults.add({"endpoint": TOKEN, "status": 500, "times": 2})
    with capture_logs() as logs:
        await bench.app.run_due(name)
    assert [entry["event"] for entry in logs if entry["log_level"] == "error"] == ["not_kept_alive"]
    assert events(bench)[-1] == "put_off"
    assert not await due(bench)
    bench.execute("UPDATE syncd.token_events SET happened_at = happened_at - interval '1 day'")
    assert await due(bench)
    await bench.app.run_due(name)
    assert [entry["status"] for entry in refreshes(bench)] == [500, 500, 200]


@pytest.mark.fault(50)
async def test_a_refusal_is_final_though_nobody_syncs(bench: Bench) -> None:
    name = await pause(bench)
    bench.execute(IDLE)
    bench.sandbox.faults.add({"endpoint": TOKEN, "error": "invalid_grant", "times": None})
    await bench.app.run_due(name)
    assert (await bench.installation()).state == "needs_consent"
    bench.execute("UPDATE syncd.token_events SET happened_at = happened_at - interval '1 day'")
    assert not await due(bench)
    assert len(refreshes(bench)) == 1


@pytest.mark.parametrize(
    ("granted", "stored", "dies", "says"),
    [
        ("10 days", "0 days", "90 days", "355"),
        ("320 days", "0 days", "90 days", "45"),
        ("320 days", "0 days", "30 days", "30"),  # a new refresh token that lives less: the year is nearly over
        ("10 days", "0 days", "30 days", "355"),  # a server whose tokens live that long from the start
        ("320 days", "80 days", "30 days", "45"),  # it has been idle
    ],
)
async def test_when_a_consent_ends(bench: Bench, granted: str, stored: str, dies: str, says: str) -> None:
    bench.execute(
        "UPDATE syncd.credentials SET granted_at = now() - %s::interval, updated_at = now() - %s::interval, "
        "refresh_expires_at = now() + %s::interval",
        granted, stored, dies,
    )  # fmt: skip
    store = (await bench.app.tokens(await bench.installation(), await leased(bench))).store
    ends_at = (await store.load()).consent_ends_at
    assert ends_at is not None
    assert (ends_at - bench.value("SELECT now()")).days in (int(says) - 1, int(says))


async def test_a_consent_that_ends_soon_is_told_with_each_renewal(bench: Bench) -> None:
    bench.execute("UPDATE syncd.credentials SET granted_at = now() - interval '340 days'")
    bench.sandbox.tokens.expire_event(bench.event_id)
    with capture_logs() as logs:
        assert (await bench.sync(streams=["event"])).exit_code == 0
    (told,) = [entry for entry in logs if entry["event"] == "consent_ends_soon"]
    assert "installations add" in told["hint"]
