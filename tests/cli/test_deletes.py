"""`syncd deletes`: what is held is told everywhere, and a person decides."""

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

HIDDEN = "SELECT count(*) FROM revento.roles WHERE _syncd_deleted_at IS NOT NULL"


@pytest.fixture
def held(connected: Syncd, remote: Remote) -> Syncd:
    """The roles were copied, and then their listing was empty."""
    assert connected("sync", "--stream", "roles").exit_code == 0
    remote.control("POST", "/faults", {"endpoint": "/events/{event_id}/roles", "set": {"data": []}, "times": None})
    ended = connected("sync", "--stream", "roles", "--json")
    (stream,) = ended.result["streams"]
    assert (ended.exit_code, ended.result["exit"], ended.result["status"]) == (5, 5, "refused")
    assert (stream["status"], stream["removed"]) == ("held", 0)
    assert f"`syncd deletes accept revento/{remote.event_id} --stream roles`" in stream["reason"]
    return connected


def test_what_is_held_is_told_and_accepted(held: Syncd, remote: Remote, query: Query) -> None:
    name = f"revento/{remote.event_id}"
    told = held("sync", "--stream", "roles")
    assert (told.exit_code, "syncd deletes accept" in told.out) == (5, True)
    status = held("status")
    assert status.exit_code == 0
    assert f"{name}  roles         held" in status.out
    assert status.out.splitlines()[-1] == "0 of 7 streams fresh, 1 held, 6 never certified"

    (pending,) = held("deletes", "list", "--json").document["deletes"]
    found = {key: pending[key] for key in ("installation", "stream", "table", "held", "rejected", "live")}
    assert found == {
        "installation": name, "stream": "roles", "table": "revento.roles", "held": 6, "rejected": 0, "live": 6,
    }  # fmt: skip
    assert len(pending["keys"]) == 6
    assert (pending["since"][-1], len(pending["walk_ids"])) == ("Z", 1)
    text = held("deletes", "list", remote.event_id).out
    assert text.splitlines()[0].split() == ["INSTALLATION", "STREAM", "TABLE", "HELD", "OF", "SINCE", "KEYS"]
    assert "and 3 more" in text

    unsure = held("deletes", "accept", name, "--json")
    assert (unsure.exit_code, unsure.document["hint"]) == (2, "give --yes to do it without asking")
    assert query(HIDDEN) == [(0,)]
    accepted = held("deletes", "accept", name, "--stream", "roles", "--yes")
    assert (accepted.exit_code, accepted.out) == (0, f"{name} roles: 6 rows accepted\n")
    assert query(HIDDEN) == [(6,)]
    nothing = held("deletes", "list")
    assert (nothing.exit_code, nothing.out, nothing.err) == (0, "", "nothing is held\n")
    assert "1 of 7 streams fresh" in held("status").out
    again = held("deletes", "accept", name, "--json")
    assert (again.exit_code, again.document) == (0, {"accepted": []})

    remote.control("DELETE", "/faults")
    (stream,) = held("sync", "--stream", "roles", "--json").result["streams"]
    assert (stream["status"], stream["updated"]) == ("certified", 6)
    assert query(HIDDEN) == [(0,)]


def test_what_is_rejected_stays_until_it_is_accepted_after_all(held: Syncd, remote: Remote, query: Query) -> None:
    name = f"revento/{remote.event_id}"
    rejected = held("deletes", "reject", remote.event_id, "--json")
    assert rejected.document == {"rejected": [{"stream": "roles", "installation": name, "rows": 6}]}
    assert held("sync", "--stream", "roles").exit_code == 0
    (pending,) = held("deletes", "list", "--json").document["deletes"]
    assert (pending["held"], pending["rejected"]) == (0, 6)
    assert "REJECTED" in held("deletes", "list").out
    assert held("deletes", "accept", name, "--yes").out == ""
    assert query(HIDDEN) == [(0,)]
    assert held("deletes", "accept", name, "--rejected", "--yes").exit_code == 0
    assert query(HIDDEN) == [(6,)]


def test_removals_are_counted_in_result_and_progress(connected: Syncd, remote: Remote) -> None:
    assert connected("sync", "--stream", "roles").exit_code == 0
    rows = remote.control("GET", f"/truth/{remote.event_id}")["roles"]
    fewer = {"endpoint": "/events/{event_id}/roles", "set": {"data": rows[1:]}, "times": None}
    remote.control("POST", "/faults", fewer)
    assert "REMOVED" not in connected("sync", "--stream", "roles").out
    *_, progress, result = connected("sync", "--stream", "roles", "--json").documents
    assert (progress["removed"], result["streams"][0]["removed"]) == (1, 1)


@pytest.mark.parametrize(("answer", "exit_code", "hidden"), [(b"n\n", 1, 0), (b"\x04", 1, 0), (b"y\n", 0, 6)])
def test_a_terminal_is_asked(
    held: Syncd, remote: Remote, query: Query, answer: bytes, exit_code: int, hidden: int
) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    ended = subprocess.run(
        [sys.executable, "-m", "syncd", "deletes", "accept", f"revento/{remote.event_id}"],
        check=False, stdin=theirs, capture_output=True, text=True, env=held.environment({}), cwd=held.folder,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert (ended.returncode, query(HIDDEN)) == (exit_code, [(hidden,)])
    assert f"hide 6 rows of revento/{remote.event_id}, and delete their personal data?" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "arguments", [["list", "evt_nobody"], ["accept", "evt_nobody", "--yes"], ["reject", "evt", "--stream", "nothing"]]
)
def test_an_unknown_installation_or_stream_is_a_usage_error(connected: Syncd, arguments: list[str]) -> None:
    ended = connected("deletes", *arguments, "--json")
    assert ended.exit_code == ended.document["exit"] == 2
    assert ended.document["hint"]
