"""The commands that only look: status, limits, requests, installations."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Remote, Syncd

Query = Callable[..., list[tuple[Any, ...]]]


def test_what_was_never_certified_is_stale(connected: Syncd) -> None:
    ended = connected("status", "--fail-on-stale")
    assert ended.exit_code == 6
    assert ended.out.splitlines()[-1] == "0 of 7 streams fresh, 7 never certified"
    assert connected("status").exit_code == 0


def test_status_limits_and_a_request_after_a_round(connected: Syncd, remote: Remote, query: Query) -> None:
    result = connected("sync", "--json").result
    name = f"revento/{remote.event_id}"

    status = connected("status", "--fail-on-stale")
    assert status.exit_code == 0
    assert status.out.splitlines()[-1] == "All 7 streams fresh"
    assert status.out.splitlines()[1].split()[:3] == [name, "activities", "fresh"]
    (installation,) = connected("status", "--json").document["installations"]
    assert installation["last_run"]["run_id"] == result["run_id"]
    assert {stream["state"] for stream in installation["streams"]} == {"fresh"}
    assert installation["streams"][0]["due_at"].endswith("Z")

    calls = sum(stream["requests"] for stream in result["streams"])
    (token,) = connected("limits", "--json").document["tokens"]
    assert (token["installation"], token["calls_last_hour"], token["calls_last_minute"]) == (name, calls, calls)
    assert (token["refused_last_hour"], token["is_current"]) == (0, True)
    assert token["headroom"] == token["remaining"]
    assert token["used"] == token["limit"] - token["headroom"]
    assert {(each["kind"], each["trigger"]) for each in token["spent_by"]} == {("live", "sync")}
    assert sum(each["calls"] for each in token["spent_by"]) == sum(each["calls"] for each in token["last_day"]) == calls
    assert token["lowest_of_day"] == min(each["lowest_remaining"] for each in token["last_day"])
    shown = connected("limits").out
    assert "participants 2 live" in shown
    assert "waits" not in shown + status.out

    participants = result["streams"][2]
    ended = connected("requests", "find", participants["request_id"].upper())
    assert "participants page 2 of walk" in ended.out
    ((first,),) = query(
        "SELECT first_request_id FROM syncd.walks WHERE stream = 'participants' AND outcome = 'certified'"
    )
    found = connected("requests", "find", str(first), "--json").document
    assert (found["run"]["run_id"], found["page"]["stream"]) == (result["run_id"], "participants")
    rows = {table["table"]: table for table in found["tables"]}["revento.participants"]
    assert (rows["rows"], len(rows["keys"])) == (50, 20)


def test_a_budget_outlives_the_renewal_of_its_token(connected: Syncd, query: Query) -> None:
    connected("sync", "--stream", "roles")
    (before,) = connected("limits", "--json").document["tokens"]
    query("UPDATE syncd.credentials SET access_expires_at = now() RETURNING installation")
    connected("sync", "--stream", "roles")
    (after,) = connected("limits", "--json").document["tokens"]
    assert after["token_fingerprint"] != before["token_fingerprint"]
    assert (after["calls_last_hour"], after["used"]) == (2 * before["calls_last_hour"], 2 * before["used"])
    assert sum(each["calls"] for each in after["spent_by"]) == sum(each["calls"] for each in after["last_day"])
    assert len(after["last_day"]) <= 2, "hours, not tokens"


@pytest.mark.case("RV-18")
def test_a_driver_that_waits_is_seen_with_what_it_waits_for_and_until_when(
    connected: Syncd, remote: Remote, query: Query
) -> None:
    connected("sync", "--stream", "roles")
    query(
        "UPDATE syncd.leases SET owner = 'serve', until = now() + interval '1 minute', "
        "waits_for = 'hour', waits_until = '2099-05-09 14:22:31Z' RETURNING epoch"
    )
    said = f"revento/{remote.event_id} waits for room in its hourly budget until 2099-05-09 14:22:31Z"
    assert said in connected("status").out.splitlines()
    assert said in connected("limits").out.splitlines()
    (installation,) = connected("status", "--json").document["installations"]
    (token,) = connected("limits", "--json").document["tokens"]
    for each in (installation, token):
        assert (each["waits_for"], each["waits_until"]) == ("hour", "2099-05-09T14:22:31Z")
    query("UPDATE syncd.leases SET waits_until = now() - interval '1 second' RETURNING epoch")
    assert "waits" not in connected("status").out + connected("limits").out


def test_a_request_that_nobody_made(warehouse: Syncd) -> None:
    ended = warehouse("requests", "find", "nobody", "--json")
    assert (ended.exit_code, ended.document) == (6, {"request": None})


def test_an_installation_is_added_listed_and_shown_without_its_token(
    warehouse: Syncd, remote: Remote, tmp_path: Path
) -> None:
    token = remote.token()
    file = tmp_path / "token.json"
    file.write_text(token)
    file.chmod(0o644)
    added = warehouse("installations", "add", "revento", "--credentials", str(file), "--timezone", "Europe/Warsaw")
    assert (added.exit_code, added.out) == (0, f"revento/{remote.event_id}\n")
    assert "can be read by others" in added.err
    file.chmod(0o600)
    again = warehouse("installations", "add", "revento", "--credentials", str(file), "--json")
    assert again.document["installation"]["timezone"] == "Europe/Warsaw", "what no option names stays"
    assert "warning" not in again.err
    others = {"SYNCD_REVENTO__API_URL": "http://127.0.0.1:1/api", "SYNCD_REVENTO__AUTH_URL": "http://127.0.0.1:1"}
    elsewhere = warehouse("installations", "add", "revento", "--credentials", str(file), "--json", **others)
    assert elsewhere.document["installation"]["api_url"] == remote.api_url, "its token goes to its own host"
    sandbox = warehouse(
        "installations", "add", "revento", "--credentials", str(file), "--environment", "sandbox", "--json"
    )
    assert sandbox.document["installation"]["environment"] == "sandbox"

    assert warehouse("installations", "list").out.splitlines()[1].split()[:3] == [
        f"revento/{remote.event_id}", "revento", "active",
    ]  # fmt: skip
    shown = warehouse("installations", "show", remote.event_id)
    assert "access token   expires " in shown.out
    warehouse("-v", "sync", "--stream", "roles")
    for secret in (json.loads(token)["access_token"], json.loads(token)["refresh_token"]):
        assert secret not in "".join(warehouse.heard)


def test_credentials_that_do_not_work_are_not_stored(warehouse: Syncd, remote: Remote, query: Query) -> None:
    token = json.loads(remote.token()) | {"access_token": "rev_install_madeup"}
    ended = warehouse("installations", "add", "revento", "--credentials", "-", "--json", stdin=json.dumps(token))
    assert (ended.exit_code, ended.document["exit"]) == (4, 4)
    assert "madeup" not in ended.out + ended.err
    assert query("SELECT name FROM syncd.installations") == []


@pytest.mark.parametrize(("option", "is_colored"), [([], True), (["--no-color"], False)])
def test_a_terminal_gets_color_unless_it_is_not_wanted(connected: Syncd, option: list[str], is_colored: bool) -> None:
    ours, theirs = pty.openpty()
    environment = connected.environment({"TERM": "xterm-256color", "COLUMNS": "80"})
    environment.pop("NO_COLOR", None)
    subprocess.run(
        [sys.executable, "-m", "syncd", *option, "status"],
        check=True, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert "never" in shown
    assert ("\x1b[33m" in shown) is is_colored
