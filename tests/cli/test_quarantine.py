"""`syncd quarantine`: what was left out is told, tried again and forgotten."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Remote, Syncd

Query = Callable[..., list[tuple[Any, ...]]]

ROLES = "/events/{event_id}/roles"
LEFT = "SELECT count(*) FROM syncd.quarantined_values"
# As if a version had come that reads the value: it is another value now.
READABLE = """UPDATE syncd.quarantined_rows
              SET raw_row = convert_to(replace(convert_from(raw_row, 'UTF8'), '\\u0000', ' '), 'UTF8')"""


@pytest.fixture
def left_out(connected: Syncd, remote: Remote) -> Syncd:
    """A role was copied without its name, and one that has no id was not copied."""
    rows = remote.control("GET", f"/truth/{remote.event_id}")["roles"]
    rows = [rows[0] | {"name": "Crew\0\x1b[31m"}, {"name": "nobody"}, *rows[1:]]
    remote.control("POST", "/faults", {"endpoint": ROLES, "set": {"data": rows}, "times": None})
    ended = connected("sync", "--stream", "roles")
    assert (ended.exit_code, "newly left out: 2 values, see `syncd quarantine list`" in ended.out) == (3, True)
    return connected


@pytest.mark.parametrize("command", [["list"], ["replay"], ["drop", "--all", "--yes"]])
def test_a_stream_that_no_source_has_is_a_mistake(connected: Syncd, command: list[str]) -> None:
    ended = connected("quarantine", *command, "--stream", "particpants")
    assert (ended.exit_code, "there is no stream 'particpants'" in ended.err) == (2, True)
    assert "there are: event, roles, participants" in ended.err


def test_what_was_left_out_is_told(left_out: Syncd, remote: Remote) -> None:
    name = f"revento/{remote.event_id}"
    ended = left_out("quarantine", "list", "--json")
    assert (ended.exit_code, ended.document["total"]) == (0, 2)
    named, nameless = sorted(ended.document["quarantined"], key=lambda each: each["json_path"])
    assert (named["installation"], named["stream"], named["raw"]) == (name, "roles", '"Crew\\u0000\\u001b[31m"')
    assert named["row_key"].startswith(f"{remote.event_id}/")
    assert (named["reason"], named["can_be_replayed"]) == ("holds a NUL character", True)
    assert named["json_path"] == f"$.data['{named['row_key'].partition('/')[2]}'].name"
    assert (nameless["row_key"], nameless["json_path"], nameless["raw"]) == (None, "$.data[].id", '{"name":"nobody"}')
    assert left_out("requests", "find", named["request_id"]).exit_code == 0

    text = left_out("quarantine", "list", remote.event_id).out
    headers = "ID INSTALLATION STREAM ROW PATH REASON FIRST SEEN REQUEST VALUE"
    assert " ".join(text.splitlines()[0].split()) == headers
    assert (len(text.splitlines()), "\x1b" in text) == (3, False)


def test_thousands_stay_readable(left_out: Syncd, query: Query) -> None:
    query("""INSERT INTO syncd.quarantined_values
                 (installation, stream, json_path, reason, raw, request_id, run_id, first_seen_at)
             SELECT installation, stream, '$.data[].x', 'not text', n || repeat('x', 100), request_id, run_id, now()
             FROM syncd.quarantined_values, generate_series(1, 3000) AS n WHERE reason = 'not an identifier'""")
    ended = left_out("quarantine", "list")
    assert len(ended.out.splitlines()) == 21
    assert ended.err == "these are the newest 20 of 3,002; --limit shows more\n"
    assert max(map(len, ended.out.splitlines())) < 330
    assert left_out("quarantine", "list", "--reason", "nul", "--json").document["total"] == 1
    assert left_out("quarantine", "list", "--since", "1h", "--limit", "1", "--json").document["total"] == 3002
    assert left_out("quarantine", "list", "--stream", "waves").err == "nothing of the kind is quarantined\n"
    assert left_out("quarantine", "list", "--reason", "zzz").err == "nothing of the kind is quarantined\n"


def test_it_is_tried_again(left_out: Syncd, remote: Remote, query: Query) -> None:
    name = f"revento/{remote.event_id}"
    role = query("SELECT role_id FROM revento.roles WHERE name IS NULL")[0][0]
    unchanged = left_out("quarantine", "replay")
    assert (unchanged.exit_code, query(LEFT)) == (0, [(2,)])
    assert "no longer left out: 0 of 2 values" in unchanged.out
    query(READABLE)
    calls = query("SELECT count(*) FROM syncd.requests")
    ended = left_out("quarantine", "replay", remote.event_id, "--json")
    assert (ended.exit_code, query("SELECT count(*) FROM syncd.requests")) == (0, calls)
    assert ended.document == {"replayed": [{
        "installation": name, "resolved": 1, "newly_kept": 0, "without_row": 0,
        "rows": {"inserted": 0, "updated": 1, "unchanged": 0, "superseded": 0, "rejected": 1},
        "left": [{"stream": "roles", "reason": "not an identifier", "values": 1}],
    }]}  # fmt: skip
    assert query("SELECT name FROM revento.roles WHERE role_id = %s", role) == [("Crew \x1b[31m",)]
    assert query("SELECT owner FROM syncd.leases") == [(None,)]
    again = left_out("quarantine", "replay", remote.event_id)
    assert again.out.splitlines() == [
        f"{name}: 1 row still without a usable id, no longer left out: 0 of 1 value", "",
        "INSTALLATION          STREAM  STILL LEFT OUT  REASON",
        f"{name}  roles                1  not an identifier",
    ]  # fmt: skip


def test_what_an_older_version_kept_is_told(left_out: Syncd, query: Query) -> None:
    query("UPDATE syncd.quarantined_values SET row_ref = NULL")
    ended = left_out("quarantine", "replay")
    assert (ended.exit_code, "kept by an older version, without its row" in ended.out) == (0, True)
    assert left_out("quarantine", "list", "--json").document["quarantined"][0]["can_be_replayed"] is False


def test_a_replay_that_leaves_out_something_new_says_so(left_out: Syncd, query: Query) -> None:
    query(READABLE.replace("' ')", "'\\u0000\\u0000')"))
    assert left_out("quarantine", "replay").exit_code == 3


def test_a_replay_does_not_drive_beside_another(left_out: Syncd, query: Query) -> None:
    query("UPDATE syncd.leases SET owner = 'sync on elsewhere', until = clock_timestamp() + interval '1 minute'")
    assert left_out("quarantine", "replay", "--no-wait").exit_code == 7
    assert query(LEFT) == [(2,)]


def test_what_is_dropped_is_kept_anew_when_it_is_served_again(left_out: Syncd, remote: Remote, query: Query) -> None:
    assert left_out("sync", "--stream", "roles").exit_code == 0, "it is not new"
    chosen = str(query("SELECT quarantine_id FROM syncd.quarantined_values WHERE reason LIKE '%NUL%'")[0][0])
    ended = left_out("quarantine", "drop", chosen, "--yes", "--json")
    assert ended.document == {"dropped": [{"installation": f"revento/{remote.event_id}", "values": 1}]}
    assert query("SELECT reason FROM syncd.quarantined_values") == [("not an identifier",)]
    assert query("SELECT row_key FROM syncd.quarantined_rows") == [(None,)]
    assert left_out("sync", "--stream", "roles").exit_code == 3
    assert left_out("quarantine", "drop", remote.event_id, "--all", "--yes").exit_code == 0
    assert query(LEFT + " UNION ALL SELECT count(*) FROM syncd.quarantined_rows") == [(0,), (0,)]
    assert query("SELECT count(*) FROM revento.roles WHERE NOT _syncd_is_stub")[0][0] > 1
    again = left_out("quarantine", "drop", "--all", "--json")
    assert (again.exit_code, again.document, again.err) == (0, {"dropped": []}, "nothing is quarantined\n")


@pytest.mark.parametrize(("answer", "exit_code", "left"), [(b"n\n", 1, 2), (b"\x04", 1, 2), (b"y\n", 0, 0)])
def test_a_terminal_is_asked(
    left_out: Syncd, remote: Remote, query: Query, answer: bytes, exit_code: int, left: int
) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    ended = subprocess.run(
        [sys.executable, "-m", "syncd", "quarantine", "drop", "--all"],
        check=False, stdin=theirs, capture_output=True, text=True, env=left_out.environment({}), cwd=left_out.folder,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert (ended.returncode, query(LEFT)) == (exit_code, [(left,)])
    assert f"forget 2 values of revento/{remote.event_id}?" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "evt_nobody"],
        ["list", "revento", "--stream", "nothing"],
        ["replay", "evt_nobody"],
        ["replay", "999"],
        ["drop", "999", "--yes"],
        ["drop", "--all"],
        ["drop", "--yes"],
        ["drop", "1", "--all", "--yes"],
    ],
)
def test_what_is_not_there_or_not_clear_is_a_usage_error(left_out: Syncd, query: Query, arguments: list[str]) -> None:
    ended = left_out("quarantine", *arguments, "--json")
    assert ended.exit_code == ended.document["exit"] == 2
    assert query(LEFT) == [(2,)]
