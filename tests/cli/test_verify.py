"""`syncd verify` and `syncd sync --dry-run`: what a person and a program are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Remote, Syncd
from tests.cli.test_exit_codes import drive

Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def copied(connected: Syncd) -> Syncd:
    """The command with one installation, whose participants and roles were copied."""
    assert connected("sync", "--stream", "roles", "--stream", "participants").exit_code == 0
    return connected


def test_equality_is_shown_page_by_page(copied: Syncd, remote: Remote) -> None:
    name = f"revento/{remote.event_id}"
    ended = copied("verify", remote.event_id, "--stream", "participants", "--json")
    *progress, result = ended.documents
    assert ended.exit_code == 0
    assert [(each["type"], each["page"], each["seen"], each["unchanged"]) for each in progress] == [
        ("progress", 1, 50, 50), ("progress", 2, 10, 10),
    ]  # fmt: skip
    (stream,) = result.pop("streams")
    assert result == {"type": "result", "status": "equal", "exit": 0, "installation": name, "hints": []}
    assert stream == {
        "stream": "participants", "status": "equal", "reason": None, "pages": 2, "requests": 2, "rows": 60, "here": 60,
        "missing": 0, "extra": 0, "different": 0, "newer": 0, "rejected": 0, "quarantined_values": 0,
        "differences": [], "request_id": None, "error_code": None,
    }  # fmt: skip
    told = copied("verify", name, "--stream", "participants")
    assert (told.exit_code, told.out.splitlines()[-1]) == (0, f"{name}: 60 rows compared with 2 calls: none differs")


def test_a_difference_ends_with_6_and_is_named_without_its_value(copied: Syncd, remote: Remote, query: Query) -> None:
    ((key, email),) = query("SELECT participant_key, email FROM revento.participant_private WHERE email > '' LIMIT 1")
    query("UPDATE revento.participant_private SET email = 'secret@example.com' WHERE participant_key = %s", key)
    query("UPDATE revento.roles SET _syncd_deleted_at = now() WHERE role_id = 'role_attendee'")
    asked = ("verify", remote.event_id, "-s", "participants", "-s", "roles")
    told = copied(*asked)
    assert told.exit_code == 6
    for word in (key, "participant_private.email", "edited here", "role_attendee", "hidden here"):
        assert word in told.out
    assert "_syncd_hash" in told.err
    document = copied(*asked, "--json")
    assert (document.exit_code, document.result["status"]) == (6, "differs")
    assert document.result["streams"][1]["differences"] == [
        {"table": "participants", "key": key, "kind": "different", "cause": "edited",
         "columns": ["participant_private.email"]}
    ]  # fmt: skip
    assert len(document.result["hints"]) == 2
    said = told.out + told.err + document.out + document.err
    assert email not in said
    assert "secret@example.com" not in said


def test_before_a_sync_only_the_first_few_are_named(connected: Syncd, remote: Remote) -> None:
    told = connected("verify", remote.event_id, "--stream", "participants")
    assert told.exit_code == 6
    assert sum("missing" in line for line in told.out.splitlines()) == 3
    assert f"`syncd sync revento/{remote.event_id}`" in told.err


def test_a_sample_says_so(copied: Syncd, remote: Remote) -> None:
    told = copied("verify", remote.event_id, "--stream", "participants", "--sample", "5")
    assert told.exit_code == 0
    assert "a sample: rows that are here and no longer at the API cannot be told" in told.out
    assert copied("verify", remote.event_id, "--sample", "0").exit_code == 2


@pytest.mark.parametrize("command", [["verify", "NAME"], ["sync", "NAME", "--dry-run"]])
@pytest.mark.parametrize(
    ("exit_code", "prepare"),
    [
        (1, lambda remote, _: remote.control("POST", "/faults", {"times": None, "body": "{}"})),
        (4, lambda remote, _: remote.control("POST", "/tokens/revoke", {"event_id": remote.event_id})),
        (7, lambda _, query: drive(query, "sync on elsewhere")),
        (75, lambda _, query: drive(query, "serve on elsewhere")),
        (2, lambda _, query: query("UPDATE syncd.installations SET state = 'paused'")),
        (8, lambda _, query: query("UPDATE syncd.alembic_version SET version_num = '0001'")),
    ],
)
def test_exit_codes(
    connected: Syncd, remote: Remote, query: Query, exit_code: int, prepare: Callable[..., None], command: list[str]
) -> None:
    prepare(remote, query)
    arguments = [remote.event_id if word == "NAME" else word for word in command]
    told = connected(*arguments, "--no-wait")
    assert told.exit_code == exit_code
    assert "error: " in told.err
    document = connected(*arguments, "--no-wait", "--json")
    assert (document.exit_code, document.result["exit"], document.result["type"]) == (exit_code, exit_code, "result")


def test_a_stopped_verify_gives_the_lease_back(connected: Syncd, remote: Remote, query: Query) -> None:
    remote.control("POST", "/faults", {"endpoint": "/events/{event_id}/locations", "delay_s": 60, "times": None})
    process = connected.start("verify", remote.event_id, "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    assert process.wait(timeout=20) == 143
    assert query("SELECT owner FROM syncd.leases") == [(None,)]
    assert query("SELECT count(*) > 0 FROM syncd.requests") == [(True,)]


# --- a dry run --------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_a_sync_would_do(connected: Syncd, remote: Remote, query: Query) -> None:
    asked = ("sync", "--stream", "participants")
    told = connected(*asked, "--dry-run")
    assert told.exit_code == 0
    assert "dry run: nothing was written" in told.err
    assert "error" not in told.err
    dry, real = connected(*asked, "--dry-run", "--json"), connected(*asked, "--json")
    assert query("SELECT count(*) FROM syncd.runs") == [(1,)]
    ((expected,), (stream,)) = dry.result["streams"], real.result["streams"]
    assert (dry.result["status"], dry.result["exit"], dry.result["run_id"]) == ("succeeded", 0, None)
    assert dry.result["dry_run"] is True
    assert (expected["status"], stream["status"]) == ("incomplete", "certified")
    assert expected["reason"] == "dry run: nothing was written"
    same = {"status", "reason", "request_id"}
    assert expected.keys() == stream.keys()
    assert {key: expected[key] for key in expected.keys() - same} == {key: stream[key] for key in stream.keys() - same}
    assert stream["inserted"] == 60
    assert dry.documents[:-1] == real.documents[:-1], "the same pages are shown"
    assert "error" not in dry.result


def test_a_dry_run_says_that_a_removal_would_be_held(copied: Syncd, remote: Remote) -> None:
    empty: dict[str, Any] = {"endpoint": "/events/{event_id}/roles", "set": {"data": []}, "times": None}
    remote.control("POST", "/faults", empty)
    dry = copied("sync", "--stream", "roles", "--dry-run", "--json")
    assert (dry.exit_code, dry.result["streams"][0]["status"]) == (5, "held")
    assert dry.result["streams"][0]["reason"] == "6 of 6 rows are gone at the source and would be held"
    assert copied("deletes", "list", "--json").document == {"deletes": []}
