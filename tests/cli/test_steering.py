"""Checking, pausing, resuming and removing installations; cancelling and retrying runs; finding runs and calls."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from syncd.credentials.vault import new_key
from tests.cli.conftest import Remote, Syncd, add

Query = Callable[..., list[tuple[Any, ...]]]

HANGING = {"endpoint": "/events/{event_id}/locations", "delay_s": 60, "times": None}


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def hang(connected: Syncd, remote: Remote, query: Query) -> subprocess.Popen[str]:
    """A `sync` that waits for a reply, with some streams certified."""
    remote.control("POST", "/faults", HANGING)
    process = connected.start("sync", "--json")
    wait_for(lambda: query("SELECT 1 FROM syncd.run_streams WHERE stream = 'threads'"))
    return process


def run_of(query: Query) -> Any:
    return query("SELECT run_id::text, state FROM syncd.runs ORDER BY started_at DESC LIMIT 1")[0]


# --- check ------------------------------------------------------------------------------------------------------------


def test_credentials_that_work(connected: Syncd, remote: Remote, query: Query) -> None:
    ended = connected("installations", "check", "--json")
    (checked,) = ended.document["installations"]
    assert (ended.exit_code, checked["error"], checked["missing_scopes"]) == (0, None, {})
    assert query("SELECT endpoint, run_id FROM syncd.requests") == [("/events/{event_id}", None)]
    assert query("SELECT count(*) FROM syncd.runs") == [(0,)]
    assert query("SELECT owner FROM syncd.leases") == [(None,)]


def test_a_token_that_has_run_out_is_renewed(connected: Syncd, remote: Remote, query: Query) -> None:
    remote.control("POST", "/tokens/expire", {"event_id": remote.event_id})
    assert connected("installations", "check").exit_code == 0
    assert query("SELECT kind FROM syncd.token_events ORDER BY 1") == [("issued",), ("refreshed",), ("refreshing",)]


def test_a_missing_scope_is_told_with_what_it_costs(warehouse: Syncd, remote: Remote) -> None:
    add(warehouse, remote.token(["event.read", "participants.read"]))
    ended = warehouse("installations", "check")
    assert ended.exit_code == 4
    assert "program.read (costs threads, locations, activities, waves)" in ended.out


def test_a_refused_grant_and_a_silent_api(connected: Syncd, remote: Remote) -> None:
    remote.control("POST", "/faults", {"error": "event_not_authorized"})
    refused = connected("installations", "check")
    assert (refused.exit_code, "event_not_authorized" in refused.out) == (4, True)
    assert "hint: " in refused.err
    assert connected("installations", "check").exit_code == 0, "a check parks nothing"


# --- pause and resume -------------------------------------------------------------------------------------------------


def test_a_paused_installation_is_left_alone(connected: Syncd, remote: Remote) -> None:
    paused = connected("installations", "pause", remote.event_id, "--reason", "the organizer asked")
    assert (paused.exit_code, paused.out) == (0, f"revento/{remote.event_id}: paused\n")
    everyone = connected("sync")
    assert (everyone.exit_code, everyone.out) == (0, "")
    assert everyone.err == f"revento/{remote.event_id}: left out, it is paused\n"
    named = connected("sync", remote.event_id)
    assert named.exit_code == 2
    assert "is paused" in named.err
    assert f"hint: `syncd installations resume revento/{remote.event_id}` ends the pause" in named.err
    assert "paused: the organizer asked" in connected("installations", "show", remote.event_id).out
    assert "resumed" in connected("installations", "resume", remote.event_id).out
    assert connected("sync", remote.event_id, "--stream", "roles").exit_code == 0


def test_a_pause_ends_the_round_under_way(connected: Syncd, remote: Remote, query: Query) -> None:
    process = hang(connected, remote, query)
    assert connected("installations", "pause", remote.event_id).exit_code == 0
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    result = json.loads(out.splitlines()[-1])
    assert "was cancelled" in result["error"]
    assert (result["run_id"], "cancelled") == run_of(query)
    assert {each["stream"]: each["status"] for each in result["streams"]} == dict.fromkeys(
        ("event", "roles", "participants", "threads"), "certified"
    ), "what it had come to"
    assert query("SELECT owner, until FROM syncd.leases") == [(None, None)]
    assert query("SELECT count(*) FROM revento.participants WHERE NOT _syncd_is_stub")[0][0] > 0


def test_a_pause_is_no_way_around_a_consent(connected: Syncd, remote: Remote) -> None:
    remote.control("POST", "/tokens/revoke", {"event_id": remote.event_id})
    connected("sync")
    assert "waits for a new consent" in connected("installations", "pause", remote.event_id).out
    ended = connected("installations", "resume", remote.event_id)
    assert ended.exit_code == 4
    assert "waits for a new consent" in ended.err


# --- remove -----------------------------------------------------------------------------------------------------------


@pytest.mark.case("RV-39")
@pytest.mark.fault(55)
def test_removing_revokes_the_grant_and_keeps_the_rows(connected: Syncd, remote: Remote, query: Query) -> None:
    assert connected("sync", "--stream", "roles").exit_code == 0
    kept = query("SELECT count(*) FROM revento.roles")
    ended = connected("installations", "remove", remote.event_id, "--yes", "--json")
    assert (ended.exit_code, ended.document["was_revoked"], ended.document["revoked"]) == (0, True, "grant")
    assert ended.document["rows_kept"] >= kept[0][0] > 0
    assert query("SELECT count(*) FROM revento.roles") == kept
    for table in ("installations", "credentials", "runs", "requests", "walks", "positions"):
        assert query(f"SELECT count(*) FROM syncd.{table}") == [(0,)]
    assert query("SELECT owner FROM syncd.leases") == [(None,)], "its epochs must not begin anew"
    grants = [each for each in remote.control("GET", "/grants") if each["event_id"] == remote.event_id]
    assert grants[-1]["status"] == "revoked"


def test_an_access_token_revokes_nothing_but_itself(warehouse: Syncd, remote: Remote) -> None:
    token = {key: value for key, value in json.loads(remote.token()).items() if not key.startswith("refresh_")}
    add(warehouse, json.dumps(token))
    ended = warehouse("installations", "remove", remote.event_id, "--yes")
    assert (ended.exit_code, "only the organizer can end the consent" in ended.out) == (0, True)
    assert remote.control("GET", "/grants")[-1]["status"] == "active"


def test_a_grant_that_is_unknown_there_counts_as_revoked(connected: Syncd, remote: Remote, query: Query) -> None:
    """The answer is 200 whatever the token was, so it is done (contracts/revento.md §6)."""
    remote.control("POST", "/tokens/revoke", {"event_id": remote.event_id})
    assert connected("installations", "remove", remote.event_id, "--yes").exit_code == 0


def test_a_grant_that_cannot_be_revoked_is_not_forgotten(connected: Syncd, remote: Remote, query: Query) -> None:
    remote.control("POST", "/faults", {"endpoint": "/oauth/revoke", "status": 503, "times": None})
    ended = connected("installations", "remove", remote.event_id, "--yes")
    assert ended.exit_code == 75
    assert query("SELECT state FROM syncd.installations") == [("paused",)]
    assert connected("installations", "remove", remote.event_id, "--yes", "--keep-grant").exit_code == 0
    assert query("SELECT count(*) FROM syncd.installations") == [(0,)]


@pytest.mark.fault(56)
def test_a_grant_whose_tokens_do_not_open_is_removed_as_the_hint_says(
    connected: Syncd, remote: Remote, query: Query
) -> None:
    connected.variables["SYNCD_SECURITY__ENCRYPTION_KEYS"] = new_key()
    ended = connected("installations", "remove", remote.event_id, "--yes")
    assert (ended.exit_code, "--keep-grant removes it" in ended.err) == (2, True)
    assert query("SELECT state FROM syncd.installations") == [("paused",)]
    assert connected("installations", "remove", remote.event_id, "--yes", "--keep-grant").exit_code == 0


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_nobody_there_to_say_yes(connected: Syncd, remote: Remote, query: Query, options: list[str]) -> None:
    ended = connected("installations", "remove", remote.event_id, *options)
    assert ended.exit_code == 2
    assert "give --yes" in ended.err + ended.out
    assert query("SELECT state FROM syncd.installations") == [("active",)]


def test_removing_what_is_being_driven_ends_its_round(connected: Syncd, remote: Remote, query: Query) -> None:
    process = hang(connected, remote, query)
    ended = connected("installations", "remove", remote.event_id, "--yes")
    assert ended.exit_code == 0
    process.communicate(timeout=20)
    assert process.returncode == 1
    assert query("SELECT count(*) FROM syncd.installations") == [(0,)]


# --- runs and requests ------------------------------------------------------------------------------------------------


def test_a_run_is_cancelled_and_tried_again(connected: Syncd, remote: Remote, query: Query) -> None:
    process = hang(connected, remote, query)
    run_id, _ = run_of(query)
    asked = connected("runs", "cancel", run_id[:8], "--json").document
    assert asked == {"run_id": run_id, "outcome": "asked"}
    process.communicate(timeout=20)
    assert process.returncode == 1
    listed = connected("runs", "list", "--state", "cancelled", "--since", "1h", "--json").document["runs"]
    assert [each["run_id"] for each in listed] == [run_id]
    shown = connected("runs", "show", run_id[:8], "--json").document
    assert [each["stream"] for each in shown["streams"]] == ["event", "roles", "participants", "threads"]
    assert {each["outcome"] for each in shown["walks"]} == {"certified", "open"}
    assert connected("runs", "cancel", run_id, "--json").document["outcome"] == "ended"
    remote.control("DELETE", "/faults")
    result = connected("runs", "retry", run_id, "--json").result
    assert [each["stream"] for each in result["streams"]] == ["locations", "activities", "waves"]
    assert result["run_id"] != run_id
    again = connected("runs", "retry", result["run_id"])
    assert (again.exit_code, again.out) == (0, "")
    assert "nothing to retry" in again.err


def test_a_retry_begins_a_run_of_its_own_for_what_was_ordered(connected: Syncd, remote: Remote, query: Query) -> None:
    """A round that was cut off lately is there to be resumed; a retry is about one run, so it leaves that alone."""
    remote.control("POST", "/faults", {"endpoint": "/events/{event_id}/roles", "body": "{}"})
    result = connected("sync", "--stream", "roles", "--stream", "threads", "--json").result
    assert {each["stream"]: each["status"] for each in result["streams"]} == {"roles": "failed", "threads": "certified"}
    query("UPDATE syncd.runs SET state = 'interrupted', ended_at = NULL")
    remote.control("DELETE", "/faults")
    again = connected("runs", "retry", result["run_id"], "--json").result
    assert [each["stream"] for each in again["streams"]] == ["roles"], "nobody ordered the other five"
    assert query("SELECT trigger, streams FROM syncd.runs WHERE run_id = %s", again["run_id"]) == [("retry", ["roles"])]


def test_a_pause_outlasts_new_credentials(connected: Syncd, remote: Remote) -> None:
    connected("installations", "pause", remote.event_id, "--reason", "the organizer asked")
    again = connected("installations", "add", "revento", "--credentials", "-", stdin=remote.token())
    assert "added, and still paused: `syncd installations resume" in again.err
    assert "paused: the organizer asked" in connected("installations", "show", remote.event_id).out


def test_a_run_whose_driver_is_gone_is_closed(connected: Syncd, remote: Remote, query: Query) -> None:
    process = hang(connected, remote, query)
    process.kill()
    process.communicate()
    query("UPDATE syncd.leases SET until = clock_timestamp()")
    run_id, _ = run_of(query)
    assert "nobody drove it" in connected("runs", "cancel", run_id).out
    assert run_of(query)[1] == "cancelled"


def test_a_cancel_outlives_a_driver_that_died_before_it_heeded_it(
    connected: Syncd, remote: Remote, query: Query
) -> None:
    process = hang(connected, remote, query)
    process.kill()
    process.communicate()
    run_id, _ = run_of(query)
    query("UPDATE syncd.runs SET cancel_requested_at = clock_timestamp()")
    query("UPDATE syncd.leases SET until = clock_timestamp()")
    remote.control("DELETE", "/faults")
    assert connected("sync", "--stream", "roles", "--json").result["run_id"] != run_id
    assert query("SELECT state FROM syncd.runs WHERE run_id = %s", run_id) == [("cancelled",)]


def test_a_failed_stream_names_the_request_that_failed(connected: Syncd, remote: Remote, query: Query) -> None:
    remote.control("POST", "/faults", {"endpoint": "/events/{event_id}/roles", "body": "{}"})
    (stream,) = connected("sync", "--stream", "roles", "--json").result["streams"]
    assert query("SELECT request_id::text FROM syncd.requests") == [(stream["request_id"],)]


@pytest.mark.parametrize("typed", [b"n\n", b"\x04"])
def test_a_removal_that_nobody_confirms(connected: Syncd, remote: Remote, query: Query, typed: bytes) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, typed)
    ended = subprocess.run(
        [sys.executable, "-m", "syncd", "installations", "remove", remote.event_id],
        check=False, stdin=theirs, capture_output=True, text=True, env=connected.environment({}), cwd=connected.folder,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert (ended.returncode, "nothing was done" in ended.stderr, "error" in ended.stderr) == (1, True, False)
    assert query("SELECT state FROM syncd.installations") == [("active",)]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "abc"], "too short"),
        (["show", "abcdef"], "no run 'abcdef' is known"),
        (["list", "--since", "yesterday"], "a whole number with its unit"),
        (["list", "--state", "sad"], "'sad'"),
    ],
)
def test_what_is_no_run(warehouse: Syncd, arguments: list[str], says: str) -> None:
    ended = warehouse("runs", *arguments)
    assert ended.exit_code == 2
    assert says in ended.err


def test_calls_are_listed_by_their_outcome(connected: Syncd, remote: Remote) -> None:
    remote.control("POST", "/faults", {"endpoint": "/events/{event_id}/threads", "error": "internal_error"})
    remote.control("POST", "/faults", {"endpoint": "/events/{event_id}/roles", "drop": True})
    assert connected("sync").exit_code == 0

    def statuses(*options: str) -> list[Any]:
        return [each["status"] for each in connected("requests", "list", *options, "--json").document["requests"]]

    assert statuses("--status", "500") == statuses("--status", "5xx") == statuses("--error", "internal_error") == [500]
    assert statuses("--status", "none") == [None]
    assert statuses("--limit", "3", "--since", "1h") == [200, 200, 200]
    text = connected("requests", "list", "--status", "none").out
    assert "no reply" in text
    wrong = connected("requests", "list", "--status", "600")
    assert (wrong.exit_code, "not a status such as 429, 4xx or none" in wrong.err) == (2, True)
