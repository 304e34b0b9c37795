"""What participants show of themselves under tokens of their own, from the socket to the tables."""

from __future__ import annotations

from typing import Any

import pytest

from syncd.main.steering import remove
from syncd.model import Counts
from syncd.sources import SOURCES
from syncd.store.comparison import Difference
from syncd.store.installations import due_installations
from syncd.sync.round import RoundResult, Watch
from syncd.web.service import scheduler_of
from tests.daemon.test_schedule import certified, until
from tests.harness import TOKEN, UNLIMITED, Bench, OpenBench
from tests.sync.test_standing import a_minute_later
from tests.sync.test_verify import verify

PROFILE = "/me/profile"
APPLICATION = "/me/application"
KEPT = "application_id, status, submitted_at, last_reviewed_at, last_review_action"


@pytest.fixture
async def bench(open_bench: OpenBench) -> Bench:
    """A world whose first participant has signed in; the event itself is not connected here."""
    bench = await open_bench(user_limits=UNLIMITED)
    await bench.add_user(person(bench)["id"])
    bench.hurry()
    return bench


def person(bench: Bench, n: int = 0) -> dict[str, Any]:
    row: dict[str, Any] = bench.sandbox.truth()["events"][0]["participants"][n]
    return row


def change(bench: Bench, **changes: Any) -> None:
    bench.sandbox.world.patch(bench.event_id, "participants", person(bench)["id"], changes)


def outcome(result: RoundResult) -> dict[str, tuple[str, str | None]]:
    return {one.stream: (one.status, one.error_code) for one in result.streams}


def counts(result: RoundResult, stream: str = "application") -> Counts:
    (found,) = (one.counts for one in result.streams if one.stream == stream)
    return found


def application(bench: Bench) -> tuple[Any, ...]:
    """The application but for its key, and whether it is withdrawn."""
    ((row),) = bench.query(f"SELECT {KEPT}, withdrawn_at IS NOT NULL FROM revento.user_applications")
    return row


CERTIFIED = {"application": ("certified", None), "profile": ("certified", None)}


async def test_a_person_is_copied_as_the_api_shows_them(bench: Bench) -> None:
    assert bench.names == [f"revento-user/{bench.event_id}/{person(bench)['user_id']}"]
    result = await bench.sync()
    assert (result.exit_code, outcome(result)) == (0, CERTIFIED)
    row = person(bench)
    who = (f"{bench.event_id}/{row['user_id']}", bench.event_id, row["user_id"])
    assert bench.query("SELECT user_key, event_id, user_id, display_name, email FROM revento.user_profiles") == [
        (*who, row["display_name"], row["email"])
    ]
    assert bench.value("SELECT locale FROM revento.user_profiles") in {"pl", "en", "de"}
    query = """SELECT user_key, event_id, user_id, status, submitted_at = %s, last_reviewed_at IS NOT DISTINCT FROM %s,
                      last_review_action, left(application_id, 4), withdrawn_at FROM revento.user_applications"""
    review = (row["application_status"], True, True, row["last_review_action"], "app_", None)
    assert bench.query(query, row["created_at"], row["last_reviewed_at"]) == [(*who, *review)]
    assert bench.query("SELECT event_id, _syncd_is_stub FROM revento.events") == [(bench.event_id, True)]
    assert bench.query("SELECT * FROM revento.unmapped_fields") == []
    again = await bench.sync()
    assert [one.counts for one in again.streams] == [Counts(unchanged=1)] * 2


async def test_the_event_and_its_people_share_a_warehouse(bench: Bench) -> None:
    assert (await bench.sync()).exit_code == 0
    event = await bench.add()
    assert (await bench.sync(event)).exit_code == 0
    assert (await bench.sync()).exit_code == 0
    assert bench.query("SELECT event_id, _syncd_is_stub FROM revento.events") == [(bench.event_id, False)]
    joined = "SELECT count(*) FROM revento.user_applications JOIN revento.participants USING (event_id, user_id, {})"
    assert bench.value(joined.format("last_review_action")) == 1


async def test_a_withdrawn_application_is_a_state_and_ends_when_the_person_applies_again(bench: Bench) -> None:
    await bench.sync()
    before = application(bench)
    change(bench, application_status="withdrawn")
    result = await bench.sync()
    assert (result.exit_code, outcome(result), counts(result)) == (0, CERTIFIED, Counts(updated=1))
    assert application(bench) == (*before[:-1], True), "what was known of it stays"
    since = bench.value("SELECT withdrawn_at FROM revento.user_applications")
    assert bench.value("SELECT withdrawn_at = _syncd_synced_at FROM revento.user_applications")
    assert counts(await bench.sync()) == Counts(unchanged=1)
    assert bench.value("SELECT withdrawn_at FROM revento.user_applications") == since
    change(bench, application_status="pending")
    assert counts(await bench.sync()) == Counts(updated=1)
    assert application(bench) == (before[0], "pending", *before[2:-1], False)
    assert counts(await bench.sync()) == Counts(unchanged=1)


async def test_an_application_that_was_withdrawn_before_the_first_look(bench: Bench) -> None:
    change(bench, application_status="withdrawn")
    result = await bench.sync()
    assert (result.exit_code, counts(result)) == (0, Counts(inserted=1))
    assert application(bench) == (None, None, None, None, None, True)
    change(bench, application_status="pending")
    await bench.sync()
    assert application(bench)[1:2] + application(bench)[-1:] == ("pending", False)


async def test_a_404_that_is_not_the_apis_own_withdraws_nothing(bench: Bench) -> None:
    await bench.sync()
    bench.sandbox.faults.add(
        {"endpoint": APPLICATION, "status": 404, "body": "<html>no such page</html>", "content_type": "text/html"}
    )
    result = await bench.sync()
    assert outcome(result) == CERTIFIED | {"application": ("failed", None)}
    assert application(bench)[-1] is False


async def test_a_profile_that_is_no_more_is_deleted_with_all_that_was_kept_of_it(bench: Bench) -> None:
    bench.sandbox.faults.add({"endpoint": PROFILE, "set": {"pronouns": "they/them", "locale": 7}})
    assert (await bench.sync()).exit_code == 3, "a value is quarantined"
    kept = "SELECT (SELECT count(*) FROM revento.{}), (SELECT count(*) FROM {}), (SELECT count(*) FROM syncd.{})"
    of_profile = kept.format("user_profiles", "revento.unmapped_fields", "quarantined_rows")
    assert bench.query(of_profile) == [(1, 1, 1)]
    gone = {"endpoint": PROFILE, "error": "resource_not_found", "times": 2}
    bench.sandbox.faults.add(gone)
    assert counts(await bench.sync(), "profile") == Counts(updated=1)
    assert bench.query(of_profile) == [(0, 0, 0)]
    result = await bench.sync()
    assert (result.exit_code, counts(result, "profile")) == (0, Counts(unchanged=1))
    assert counts(await bench.sync(), "profile") == Counts(inserted=1)


async def test_a_declined_profile_is_skipped_without_a_call(open_bench: OpenBench) -> None:
    bench = await open_bench(user_limits=UNLIMITED)
    await bench.add_user(person(bench)["id"], ("event.attendance",))
    result = await bench.sync()
    assert (result.exit_code, outcome(result)) == (0, CERTIFIED | {"profile": ("skipped", None)})
    (reason,) = (one.reason for one in result.streams if one.stream == "profile")
    assert reason == "scope_missing: profile.read was not granted"
    assert bench.calls(PROFILE) == []


@pytest.mark.parametrize(("reading", "code"), [("refused", "insufficient_scope"), ("served", "email_missing")])
async def test_a_declined_profile_that_is_asked_for_is_skipped(open_bench: OpenBench, reading: str, code: str) -> None:
    """The token reply may name the scope all the same (G28)."""
    bench = await open_bench(user_limits=UNLIMITED, gaps={"G28": reading})
    await bench.add_user(person(bench)["id"], ("event.attendance",))
    bench.execute("UPDATE syncd.installations SET scopes = scopes || 'profile.read'::text")
    result = await bench.sync()
    assert (result.exit_code, outcome(result)) == (0, CERTIFIED | {"profile": ("skipped", code)})
    assert len(bench.calls(PROFILE)) == 1
    assert bench.value("SELECT count(*) FROM revento.user_profiles") == 0
    assert bench.value("SELECT state FROM syncd.installations") == "active"


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ("endpoint", "other"),
    [
        (PROFILE, {"user_id": "usr_other"}),
        (PROFILE, {"event_id": "evt_other"}),
        (APPLICATION, {"event_id": "evt_other"}),
        (APPLICATION, {"user_id": "usr_other"}),
    ],
)
async def test_nobody_elses_data_are_taken(bench: Bench, endpoint: str, other: dict[str, str]) -> None:
    await bench.sync()
    stored = (
        bench.query(f"SELECT {KEPT} FROM revento.user_applications"),
        bench.query("SELECT user_id, email FROM revento.user_profiles"),
    )
    bench.sandbox.faults.add({"endpoint": endpoint, "set": other})
    result = await bench.sync()
    stream = endpoint.rpartition("/")[2]
    assert outcome(result) == CERTIFIED | {stream: ("failed", "contract_breach")}
    assert stored == (
        bench.query(f"SELECT {KEPT} FROM revento.user_applications"),
        bench.query("SELECT user_id, email FROM revento.user_profiles"),
    )


async def test_a_renewed_token_of_somebody_else_ends_the_work(bench: Bench) -> None:
    await bench.sync()
    bench.sandbox.tokens.expire_event(bench.event_id)
    bench.sandbox.faults.add({"endpoint": TOKEN, "set": {"user_id": "usr_other"}})
    result = await bench.sync()
    assert result.exit_code == 4
    (state, reason) = bench.query("SELECT state, state_reason FROM syncd.installations")[0]
    assert state == "needs_consent"
    assert f"opens 'usr_other', not '{person(bench)['user_id']}'" in reason


async def test_an_expired_token_is_renewed_once(bench: Bench) -> None:
    bench.sandbox.tokens.expire_event(bench.event_id)
    assert (await bench.sync()).exit_code == 0
    assert len(bench.calls(TOKEN)) == 1


async def test_a_participant_who_revokes_needs_to_consent_again(bench: Bench) -> None:
    (grant,) = bench.sandbox.tokens.grants("user")
    bench.sandbox.tokens.revoke_token(grant.refresh_token)
    result = await bench.sync()
    assert result.exit_code == 4
    assert bench.value("SELECT state FROM syncd.installations") == "needs_consent"
    (due_in_s,) = (await due_installations(bench.app.database)).values()
    assert due_in_s > 890


async def test_while_the_event_is_suspended_its_people_wait(open_bench: OpenBench) -> None:
    """The listing knows events alone, and a suspension stops the tokens of the people too (C7)."""
    bench = await open_bench({"REVENTO__INTEGRATION_ID": "int_sandbox"}, developer_limits=UNLIMITED)
    await bench.add_user(person(bench)["id"])
    bench.sandbox.connect(bench.event_id)
    bench.sandbox.tokens.suspend_event(bench.event_id)
    assert (await bench.sync()).exit_code == 4
    assert bench.value("SELECT state FROM syncd.installations") == "suspended"
    bench.sandbox.tokens.resume_event(bench.event_id)
    a_minute_later(bench)
    assert (await bench.sync()).exit_code == 0
    assert bench.value("SELECT state FROM syncd.installations") == "active"


async def test_the_daemon_keeps_a_person_fresh_as_promised(open_bench: OpenBench) -> None:
    bench = await open_bench({"FRESHNESS__REVENTO_USER__APPLICATION": "2s"}, user_limits=UNLIMITED)
    await bench.add_user(person(bench)["id"])
    async with scheduler_of(bench.app).running():
        await until(lambda: certified(bench))
        before = bench.mark()
        change(bench, application_status="withdrawn")
        await until(lambda: application(bench)[-1])
        change(bench, application_status="pending")
        await until(lambda: not application(bench)[-1])
    assert {call["endpoint"] for call in bench.calls(since=before)} == {APPLICATION}
    assert bench.value("SELECT promised_seconds FROM syncd.stream_status WHERE stream = 'profile'") == 6 * 3600


async def test_it_is_paced_by_the_limits_of_user_tokens(open_bench: OpenBench) -> None:
    limits = {"REVENTO__USER_LIMITS__PER_MINUTE": "3", "REVENTO__USER_LIMITS__PER_HOUR": "0"}
    bench = await open_bench(limits, user_limits=UNLIMITED)
    await bench.add_user(person(bench)["id"])
    clock = bench.hurry()
    await bench.sync()
    assert not clock.slept
    await bench.sync()
    assert sum(clock.slept) > 50


async def test_without_settings_it_stays_below_what_a_user_token_may(bench: Bench) -> None:
    limits = bench.app._limits(SOURCES["revento-user"])
    assert (limits.per_hour, limits.per_minute, limits.in_flight, limits.reserved) == (200, 20, 5, 0)


async def test_each_persons_rows_are_counted_apart(bench: Bench) -> None:
    await bench.sync()
    await bench.sync(await bench.add_user(person(bench, 1)["id"]))
    await bench.sync(await bench.add())
    first = await bench.installation()
    removed = await remove(bench.app, first, Watch(), keep_grant=False)
    assert (removed.revoked, removed.rows_kept) == ("grant", 2)
    assert bench.sandbox.tokens.grants("user")[0].revoked
    assert bench.query("SELECT count(*) FROM revento.user_profiles") == [(2,)]


# --- proof and preview ------------------------------------------------------------------------------------------------


def differences(proofs: dict[str, Any]) -> list[Difference]:
    return [each for proof in proofs.values() for each in proof.differences]


async def test_verify_proves_each_state_and_sees_each_change(bench: Bench) -> None:
    key = f"{bench.event_id}/{person(bench)['user_id']}"
    assert [proof.status for proof in (await verify(bench)).values()] == ["differs", "differs"]
    await bench.sync()
    assert [proof.status for proof in (await verify(bench)).values()] == ["equal", "equal"]
    change(bench, application_status="withdrawn")
    assert differences(await verify(bench)) == [
        Difference("user_applications", key, "different", None, ("withdrawn_at",))
    ]
    await bench.sync()
    assert differences(await verify(bench)) == []
    bench.execute("UPDATE revento.user_applications SET withdrawn_at = NULL")
    assert differences(await verify(bench)) == [
        Difference("user_applications", key, "different", "edited", ("withdrawn_at",))
    ]
    change(bench, application_status="pending")
    (found,) = differences(await verify(bench))
    assert "status" in found.columns


async def test_verify_tells_a_profile_that_should_not_be_here(bench: Bench) -> None:
    await bench.sync()
    bench.sandbox.faults.add({"endpoint": PROFILE, "error": "resource_not_found", "times": None})
    assert [each.kind for each in differences(await verify(bench, "profile"))] == ["different"]
    await bench.sync(streams=["profile"])
    assert differences(await verify(bench, "profile")) == []


async def test_a_dry_run_foresees_what_a_round_then_does(bench: Bench) -> None:
    for status in ("approved", "withdrawn", "withdrawn", "rejected"):
        change(bench, application_status=status)
        order = bench.app.order(await bench.installation(), "sync")
        (foreseen,) = await bench.app.preview([order], Watch())
        assert isinstance(foreseen, RoundResult)
        done = await bench.sync()
        assert [one.counts for one in foreseen.streams] == [one.counts for one in done.streams]
