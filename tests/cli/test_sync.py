"""`syncd sync` and `syncd backfill`: results, exit codes, signals; stdout holds nothing but data."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Remote, Syncd, add

Query = Callable[..., list[tuple[Any, ...]]]

STREAM_KEYS = {
    "installation", "stream", "status", "reason", "pages", "requests", "seen", "inserted", "updated", "reverted",
    "unchanged", "superseded", "removed", "rejected", "quarantined_values", "request_id", "error_code",
}  # fmt: skip


def test_a_round_as_json_lines(connected: Syncd, remote: Remote) -> None:
    ended = connected("sync", "--json")
    *progress, result = ended.documents
    assert ended.exit_code == result["exit"] == 0
    assert {line["type"] for line in progress} == {"progress"}
    assert (result["type"], result["status"]) == ("result", "succeeded")
    assert [stream["stream"] for stream in result["streams"]][2] == "participants"
    for stream in result["streams"]:
        assert set(stream) == STREAM_KEYS
        books = ("inserted", "updated", "unchanged", "superseded", "rejected")
        assert stream["seen"] == sum(stream[name] for name in books)
    assert result["run_id"]
    assert ended.err == ""


def test_a_round_as_text(connected: Syncd, remote: Remote) -> None:
    ended = connected("sync", remote.event_id, "--stream", "participants", "-s", "roles")
    header, *rows, sentence = ended.out.splitlines()
    assert (ended.exit_code, header.split()[:2]) == (0, ["STREAM", "STATUS"])
    assert [row.split()[:2] for row in rows] == [["roles", "certified"], ["participants", "certified"]]
    assert sentence.startswith(f"revento/{remote.event_id}: 2 certified; ")
    assert "\x1b" not in ended.out + ended.err
    quiet = connected("-q", "sync", "--stream", "roles")
    assert quiet.err == ""


def test_the_rows_of_a_round_add_up_where_some_were_not_stored(connected: Syncd, remote: Remote) -> None:
    role = {"id": "role_twice", "name": "listed twice"}
    page = {"data": [role, role, {"name": "no id"}]}
    remote.control("POST", "/faults", {"endpoint": "/events/{event_id}/roles", "set": page})
    header, row, *_ = connected("sync", "--stream", "roles").out.splitlines()
    numbers = dict(zip(header.split(), row.split(), strict=False))
    assert [numbers[name] for name in ("ROWS", "NEW", "SUPERSEDED", "REJECTED")] == ["3", "1", "1", "1"]


def test_backfill_begins_anew_when_told_to(connected: Syncd, remote: Remote, query: Query) -> None:
    ended = connected("backfill", remote.event_id, "--from-scratch", "--stream", "roles", "--json")
    assert (ended.exit_code, ended.result["status"]) == (0, "succeeded")
    assert query("SELECT trigger, state FROM syncd.runs") == [("backfill", "succeeded")]


def test_nothing_to_sync_is_no_failure(warehouse: Syncd) -> None:
    ended = warehouse("sync")
    assert (ended.exit_code, ended.out) == (0, "")
    assert "no installations yet" in ended.err


@pytest.mark.parametrize("arguments", [["sync", "evt_nobody"], ["sync", "--stream", "nothing"]])
def test_an_unknown_installation_or_stream_is_a_usage_error(connected: Syncd, arguments: list[str]) -> None:
    ended = connected(*arguments, "--json")
    assert ended.exit_code == ended.document["exit"] == 2
    assert ended.document["hint"]


def test_a_stream_of_another_source_is_one_too(connected: Syncd) -> None:
    ended = connected("sync", "--stream", "profile")
    assert (ended.exit_code, "has no stream 'profile'" in ended.err) == (2, True)
    assert "its streams: event, roles, participants" in ended.err


def test_one_failed_stream_makes_the_round_incomplete(connected: Syncd, remote: Remote) -> None:
    broken = {"endpoint": "/events/{event_id}/threads", "status": 400, "times": None}
    remote.control("POST", "/faults", broken)
    ended = connected("sync", "--json")
    assert (ended.exit_code, ended.result["status"], ended.result["exit"]) == (3, "partial", 3)
    assert [stream["stream"] for stream in ended.result["streams"] if stream["status"] == "failed"] == ["threads"]
    assert connected("sync", "--stream", "threads").exit_code == 1


def test_a_revoked_grant_needs_a_person(connected: Syncd, remote: Remote) -> None:
    remote.control("POST", "/tokens/revoke", {"event_id": remote.event_id})
    assert connected("sync", "--json").result["exit"] == 4
    ended = connected("status", "--json")
    assert ended.document["installations"][0]["state"] == "needs_consent"


def test_a_declined_scope_is_a_steady_state(warehouse: Syncd, remote: Remote) -> None:
    add(warehouse, remote.token(["event.read", "participants.read"]))
    result = warehouse("sync", "--json").result
    assert result["exit"] == 0
    assert {each["stream"]: each["status"] for each in result["streams"]}["activities"] == "skipped"
    ended = warehouse("status", "--fail-on-stale")
    assert ended.exit_code == 0
    assert ended.out.splitlines()[-1] == "3 of 7 streams fresh, 4 skipped"


@pytest.mark.parametrize(("owner", "exit_code"), [("sync on elsewhere", 7), ("serve on elsewhere", 75)])
def test_an_installation_that_somebody_drives_is_left_to_them(
    connected: Syncd, query: Query, owner: str, exit_code: int
) -> None:
    query(
        "INSERT INTO syncd.leases SELECT name, %s, 1, clock_timestamp() + interval '1 minute' FROM syncd.installations",
        owner,
    )
    ended = connected("sync", "--no-wait", "--json")
    assert ended.exit_code == ended.document["exit"] == ended.document["errors"][0]["exit"] == exit_code
    assert owner in ended.document["error"]


def test_who_drives_an_installation_is_told_while_waiting(connected: Syncd, query: Query) -> None:
    query(
        "INSERT INTO syncd.leases SELECT name, 'sync on elsewhere', 1, clock_timestamp() + interval '2.5 s' "
        "FROM syncd.installations"
    )
    ended = connected("sync", "--stream", "roles")
    assert ended.exit_code == 0
    assert ": held by sync on elsewhere until " in ended.err


@pytest.mark.parametrize(("signum", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_cleanly_and_the_next_round_goes_on(
    connected: Syncd, remote: Remote, query: Query, signum: signal.Signals, exit_code: int
) -> None:
    remote.control("PATCH", "/settings", {"latency_s": 0.3})
    process = connected.start("sync", "--json")
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signum)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, '"type": "progress"' in first) == (exit_code, True)
    assert f'"exit": {exit_code}' in out.splitlines()[-1]
    assert "Traceback" not in err
    assert query("SELECT owner, until FROM syncd.leases") == [(None, None)]
    assert query("SELECT state FROM syncd.runs") == [("interrupted",)]
    remote.control("PATCH", "/settings", {"latency_s": 0})
    result = connected("sync", "--json").result
    assert [(str(run), state) for run, state in query("SELECT run_id, state FROM syncd.runs")] == [
        (result["run_id"], "succeeded")
    ]


def test_a_closed_terminal_stops_cleanly_though_it_is_told_of_twice(
    connected: Syncd, remote: Remote, query: Query
) -> None:
    remote.control("POST", "/faults", {"endpoint": "/events/{event_id}/locations", "delay_s": 60, "times": None})
    ignored = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup the command would heed none, as it should
    try:
        process = connected.start("sync", "--json")
    finally:
        signal.signal(signal.SIGHUP, ignored)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=20) == 128 + signal.SIGHUP
    assert query("SELECT owner, until FROM syncd.leases") == [(None, None)]


def test_a_second_signal_ends_at_once(connected: Syncd, remote: Remote, query: Query) -> None:
    remote.control("POST", "/faults", {"endpoint": "/oauth/token", "delay_s": 30, "times": None})
    remote.control("POST", "/tokens/expire", {"event_id": remote.event_id})
    process = connected.start("sync", "--json")
    wait_for(lambda: query("SELECT 1 FROM syncd.credentials WHERE intent_at IS NOT NULL"))
    process.send_signal(signal.SIGINT)  # waits for the reply: the pair that it brings is the only one
    assert process.stderr is not None
    assert "once more" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=5) == -signal.SIGINT


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
