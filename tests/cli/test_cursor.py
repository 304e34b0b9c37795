"""`syncd cursor`: where streams go on is told, and begun anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.conftest import Remote, Syncd

Query = Callable[..., list[tuple[Any, ...]]]

PARTICIPANTS = "/events/{event_id}/participants"


@pytest.fixture
def cut_off(connected: Syncd, remote: Remote) -> Syncd:
    """Two pages of the participants are stored, and the third failed."""
    connected.variables["SYNCD_REVENTO__PAGE_SIZE"] = "20"
    remote.control("POST", "/faults", {"endpoint": PARTICIPANTS, "nth": 3, "body": "{}", "times": None})
    assert connected("sync", "--stream", "roles", "--stream", "participants").exit_code == 3
    return connected


def test_where_streams_go_on(cut_off: Syncd, remote: Remote, query: Query) -> None:
    ended = cut_off("cursor", "show", "--json")
    at = {each["stream"]: each for each in ended.document["positions"]}
    assert (ended.exit_code, len(at)) == (0, 7)
    there = at["participants"]
    assert (there["goes_on"], there["walk"]["pages"], there["walk"]["generation"]) == ("cursor", 2, 1)
    assert (there["cursor"]["query"], there["cursor"]["limit"], there["cursor"]["unusable"]) == (PARTICIPANTS, 20, None)
    assert there["cursor"]["usable_until"].endswith("Z")
    assert (at["roles"]["goes_on"], at["roles"]["cursor"], at["roles"]["walk"]) == ("start", None, None)
    assert at["roles"]["last_certified_at"]
    ((position,),) = query("SELECT position FROM syncd.positions WHERE stream = 'participants'")
    told = cut_off("cursor", "show", remote.event_id, "--stream", "participants").out
    assert json.loads(position)["cursor"] not in ended.out + told
    assert told.splitlines()[0].split() == [
        "INSTALLATION", "STREAM", "GOES", "ON", "STORED", "WALK", "CURSOR", "AGE", "RUNS", "OUT", "LIMIT",
        "BOUND", "TO",
    ]  # fmt: skip
    assert "page 3" in told
    assert "2 pages" in told
    assert f"grant {there['cursor']['grant_id'][:8]}, {PARTICIPANTS}" in told


def test_a_walk_is_begun_anew(cut_off: Syncd, remote: Remote, query: Query) -> None:
    name = f"revento/{remote.event_id}"
    ended = cut_off("cursor", "reset", remote.event_id, "--stream", "participants")
    told = f"{name} participants: a walk was given up behind 2 pages; the next one begins at the first page\n"
    assert (ended.exit_code, ended.out) == (0, told)
    assert query("SELECT owner FROM syncd.leases") == [(None,)]
    again = cut_off("cursor", "reset", remote.event_id, "--json")
    assert (again.exit_code, again.document) == (0, {"installation": name, "reset": []})
    assert again.err == "nothing to reset: the next walks begin at the first page anyway\n"
    remote.control("DELETE", "/faults")
    (stream,) = cut_off("sync", "--stream", "participants", "--json").result["streams"]
    assert (stream["status"], stream["unchanged"]) == ("certified", 40)


def test_a_reset_does_not_drive_beside_another(cut_off: Syncd, remote: Remote, query: Query) -> None:
    query("UPDATE syncd.leases SET owner = 'serve on elsewhere', until = clock_timestamp() + interval '1 minute'")
    assert cut_off("cursor", "reset", remote.event_id, "--no-wait").exit_code == 75
    assert query("SELECT count(*) FROM syncd.walks WHERE outcome = 'open'") == [(1,)]


@pytest.mark.parametrize(
    "arguments",
    [["show", "evt_nobody"], ["show", "-s", "none"], ["reset", "evt_nobody"], ["reset", "evt", "-s", "none"]],
)
def test_an_unknown_installation_or_stream_is_a_usage_error(connected: Syncd, arguments: list[str]) -> None:
    ended = connected("cursor", *arguments, "--json")
    assert ended.exit_code == ended.document["exit"] == 2
