"""Each exit code of docs/interface.md §3 is produced here once, by the command as a person or a script runs it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Remote, Syncd

INTERFACE = Path(__file__).parents[2] / "docs" / "interface.md"
EVERYWHERE = {"times": None}
Query = Callable[..., list[tuple[Any, ...]]]


def done(connected: Syncd, _remote: Remote, _query: Query) -> int:
    return connected("sync", "--stream", "roles").exit_code


def failed(connected: Syncd, remote: Remote, _query: Query) -> int:
    remote.control("POST", "/faults", EVERYWHERE | {"body": "{}"})
    return connected("sync").exit_code


def usage(connected: Syncd, _remote: Remote, _query: Query) -> int:
    return connected("sync", "--stream", "nothing").exit_code


def incomplete(connected: Syncd, remote: Remote, _query: Query) -> int:
    remote.control("POST", "/faults", EVERYWHERE | {"endpoint": "/events/{event_id}/threads", "body": "{}"})
    return connected("sync").exit_code


def authorization(connected: Syncd, remote: Remote, _query: Query) -> int:
    remote.control("POST", "/tokens/revoke", {"event_id": remote.event_id})
    return connected("sync").exit_code


def brake(connected: Syncd, remote: Remote, _query: Query) -> int:
    """The listing is empty twice, over a table that is not."""
    roles = ("sync", "--stream", "roles")
    assert connected(*roles).exit_code == 0
    empty = {"endpoint": "/events/{event_id}/roles", "set": {"data": []}}
    remote.control("POST", "/faults", EVERYWHERE | empty)
    connected(*roles)
    return connected(*roles).exit_code


def answer_is_no(connected: Syncd, _remote: Remote, _query: Query) -> int:
    return connected("status", "--fail-on-stale").exit_code


def drive(query: Query, owner: str) -> None:
    query(
        "INSERT INTO syncd.leases SELECT name, %s, 1, clock_timestamp() + interval '1 minute' FROM syncd.installations",
        owner,
    )


def driven_by_another_command(connected: Syncd, _remote: Remote, query: Query) -> int:
    drive(query, "sync on elsewhere")
    return connected("sync", "--no-wait").exit_code


def schema_outdated(connected: Syncd, _remote: Remote, query: Query) -> int:
    query("UPDATE syncd.alembic_version SET version_num = '0001'")
    return connected("status").exit_code


def later(connected: Syncd, _remote: Remote, query: Query) -> int:
    drive(query, "serve on elsewhere")
    return connected("sync", "--no-wait").exit_code


def stopped_by(signum: signal.Signals) -> Callable[[Syncd, Remote, Query], int]:
    def stop(connected: Syncd, remote: Remote, _query: Query) -> int:
        hanging = {"endpoint": "/events/{event_id}/locations", "delay_s": 60}
        remote.control("POST", "/faults", EVERYWHERE | hanging)
        process = connected.start("sync", "--json")
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signum)
        return process.wait(timeout=20)

    return stop


WAYS: dict[int, Callable[[Syncd, Remote, Query], int]] = {
    0: done,
    1: failed,
    2: usage,
    3: incomplete,
    4: authorization,
    5: brake,
    6: answer_is_no,
    7: driven_by_another_command,
    8: schema_outdated,
    75: later,
    130: stopped_by(signal.SIGINT),
    143: stopped_by(signal.SIGTERM),
}


def test_every_documented_code_has_its_way() -> None:
    section = INTERFACE.read_text().partition("## 3. Exit codes")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ([0-9, ]+) \|", section, re.MULTILINE)
    assert {int(code) for row in rows for code in row.split(",")} == set(WAYS)


@pytest.mark.parametrize("code", WAYS)
def test_the_code(code: int, connected: Syncd, remote: Remote, query: Query) -> None:
    assert WAYS[code](connected, remote, query) == code
