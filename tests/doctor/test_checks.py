"""The judgements of `syncd doctor`, each on a report made by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from syncd.credentials.vault import KeyRing, parse_keys
from syncd.doctor.embedded import LEAST_ROOM_BYTES, ROOM_BYTES, check_embedded, check_files, check_room
from syncd.doctor.installations import about, check_credentials, check_freshness, check_installations
from syncd.doctor.keys import check_keys
from syncd.doctor.running import check_clock, check_daemon, check_host, check_leases, check_traffic, hosts
from syncd.errors import ConfigError, Transient
from syncd.findings import Finding, exit_code, unchecked
from syncd.sources import SOURCES
from syncd.store.observations import CredentialReport, LeaseReport, TrafficReport
from syncd.store.reports import InstallationReport, StreamReport

NOW = datetime(2026, 5, 9, 14, 0, tzinfo=UTC)
DAY = timedelta(days=1)
SCOPES = tuple(stream.scope for stream in SOURCES["revento"].streams)
STREAM = StreamReport("participants", "fresh", 60.0, 900, NOW, NOW, NOW, 840.0, None)
PLACE = InstallationReport(
    "revento/evt_1", "revento", "evt_1", None, "UTC", "sandbox", "https://api.example.com/v1", None, SCOPES,
    "active", None, NOW, NOW, NOW + DAY, NOW + 90 * DAY, NOW + 300 * DAY, "abc", None, None, (STREAM,),
)  # fmt: skip
PAIR = CredentialReport("revento/evt_1", True, NOW + DAY, NOW + 90 * DAY, NOW + 300 * DAY, None)


def judged(findings: list[Finding]) -> list[tuple[str, str]]:
    assert all(finding.fix for finding in findings if finding.state in {"warning", "wrong"})
    return [(finding.state, finding.sentence.removeprefix("revento/evt_1").lstrip(": ")) for finding in findings]


def test_the_exit_code_names_the_first_cause() -> None:
    wrong = {topic: Finding(topic, "wrong", "x", "y") for topic in ("configuration", "schema", "database")}
    assert exit_code([]) == exit_code([Finding("schema", "warning", "x"), unchecked("schema", "x")]) == 0
    assert exit_code([wrong["database"]]) == 6
    assert exit_code([wrong["database"], wrong["schema"]]) == 8
    assert exit_code(wrong.values()) == 2


def test_installations_by_their_state_and_scopes() -> None:
    assert judged(check_installations([PLACE])) == [("ok", "is active")]
    assert judged(check_installations([])) == [("warning", "there are no installations yet")]
    paused = replace(PLACE, state="paused", state_reason="by hand", scopes=SCOPES[1:])
    assert judged(check_installations([paused]))[0] == ("warning", "is paused: by hand")
    parked = replace(PLACE, state="needs_consent", state_reason="invalid_grant")
    assert judged(check_installations([parked])) == [("wrong", "needs a new consent: invalid_grant")]


def test_a_missing_scope_names_the_streams_that_it_costs() -> None:
    fewer = replace(PLACE, scopes=tuple(scope for scope in SCOPES if scope != "participants.read"))
    assert judged(check_installations([fewer]))[1] == (
        "warning", "lacks the scope participants.read, so these are skipped: roles, participants",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "state", "says"),
    [
        ({}, None, ""),
        ({"refresh_expires_at": None}, None, ""),
        ({"refresh_expires_at": NOW + 13 * DAY}, "warning", "its refresh token expires on 2026-05-22, unless"),
        ({"refresh_expires_at": NOW}, "wrong", "its refresh token has expired on 2026-05-09"),
        ({"has_refresh_token": False}, "warning", "there is no refresh token: it works until 2026-05-10"),
        ({"has_refresh_token": False, "access_expires_at": NOW}, "wrong", "its access token has expired"),
        ({"consent_ends_at": NOW + 41 * DAY}, "warning", "the consent ends on 2026-06-19, a year after it was given"),
    ],
)  # fmt: skip
def test_credentials_by_the_life_before_them(changes: dict[str, object], state: str | None, says: str) -> None:
    found = judged(check_credentials([replace(PAIR, **changes)], NOW))  # type: ignore[arg-type]
    assert [each for each, _ in found] == ([state] if state else [])
    assert all(sentence.startswith(says) for _, sentence in found)


def test_keys() -> None:
    ring = KeyRing(parse_keys("k1:" + "A" * 43 + "="))
    refused = replace(PAIR, refusal=ConfigError("does not open", hint="restore the key"))
    assert judged(check_keys(ring, [PAIR])) == [("ok", "all stored credentials open (1)")]
    assert judged(check_keys(ring, [PAIR, refused])) == [("wrong", "does not open")]
    assert judged(check_keys(None, [PAIR])) == [("wrong", "there are no keys, and 1 stored credentials need them")]
    assert judged(check_keys(None, []))[0][0] == "ok"
    assert judged(check_keys(ConfigError("malformed", hint="restore it"), [PAIR]))[0][0] == "wrong"


def test_freshness_with_the_reason_why_it_is_late() -> None:
    late = replace(STREAM, state="late", age_s=10_920.0, reason="the API is down")
    never = replace(STREAM, stream="roles", state="never", age_s=None)
    skipped = replace(STREAM, state="skipped", age_s=None)
    place = replace(PLACE, streams=(STREAM, late, never, skipped))
    assert judged(check_freshness([place])) == [
        ("wrong", "participants is 3h old, promised 15m: the API is down"),
        ("wrong", "roles was never certified"),
    ]
    assert {state for state, _ in judged(check_freshness([replace(place, state="paused")]))} == {"warning"}
    assert judged(check_freshness([PLACE])) == [("ok", "every stream is as fresh as promised (1)")]


@pytest.mark.parametrize(
    ("age_s", "text"), [(0.4, "1s"), (95, "95s"), (179.9, "2m"), (7199, "119m"), (7200, "2h"), (200_000, "2d")]
)
def test_an_age_in_round_words(age_s: float, text: str) -> None:
    assert about(age_s) == text


def test_leases_of_the_living_and_the_dead() -> None:
    def states(owner: str, *, has_run_out: bool = False) -> list[str]:
        lease = LeaseReport("revento/evt_1", owner, NOW, has_run_out)
        return [state for state, _ in judged(check_leases([lease], "here", lambda pid: pid == 7))]

    assert states("serve on here, process 7") == ["ok"]
    assert states("serve on here, process 8") == ["warning"]
    assert states("serve on there, process 8") == ["ok"]
    assert states("serve on there, process 8", has_run_out=True) == ["warning"]
    assert states("nobody in particular") == ["ok"]
    assert judged(check_leases([], "here", lambda _: True))[0][0] == "ok"


@pytest.mark.parametrize(
    ("ahead_s", "state", "says"), [(4.9, "ok", "4.9 s"), (-90, "wrong", "90 s behind"), (90, "wrong", "90 s ahead of")]
)
def test_the_clock(ahead_s: float, state: str, says: str) -> None:
    finding = check_clock(ahead_s)
    assert finding.state == state
    assert says in finding.sentence


def test_the_calls_of_the_last_hour() -> None:
    def of(calls: int, refused: int, failed: int) -> list[str]:
        return [state for state, _ in judged(check_traffic([TrafficReport("revento/evt_1", calls, refused, failed)]))]

    assert of(100, 0, 0) == ["ok"]
    assert of(100, 1, 0) == ["warning"]
    assert of(100, 0, 10) == ["warning"]
    assert of(100, 1, 11) == ["warning", "wrong"]
    assert judged(check_traffic([])) == [("ok", "no call was made within the last hour")]


def test_the_daemon() -> None:
    assert check_daemon("h:1", True, "200 ready").state == "ok"
    assert check_daemon("h:1", False, "no answer from h:1: refused").state == "warning"
    assert check_daemon("h:1", False, "503 not ready").state == "wrong"


def test_hosts_are_asked_once_each() -> None:
    urls = ["https://a/v1", "https://a/v2", None, "http://localhost:8000", "https://b:8443"]
    assert hosts(urls) == [("a", 443, True), ("b", 8443, True), ("localhost", 8000, False)]
    assert check_host("a", 443, True, 0.02).sentence == "a:443 can be reached with TLS (20 ms)"
    assert check_host("a", 443, True, Transient("no connection")).state == "wrong"


@pytest.mark.parametrize(
    ("free", "state"), [(ROOM_BYTES, "ok"), (ROOM_BYTES - 1, "warning"), (LEAST_ROOM_BYTES - 1, "wrong")]
)
def test_room_on_the_disk(free: int, state: str) -> None:
    assert check_room(free, Path("/data")).state == state


def test_files_with_secrets(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.touch(0o600)
    assert [finding.state for finding in check_files([secret])] == ["ok"]
    secret.chmod(0o644)
    (finding,) = check_files([secret])
    assert finding.fix == f"chmod 600 {secret}"
    assert list(check_files([])) == []


def test_an_embedded_server_that_was_never_made_is_not_made_here(tmp_path: Path) -> None:
    home = tmp_path / "home"
    findings, server = check_embedded(home, [])
    assert server is None
    assert judged(findings) == [("wrong", f"there is no database in {home} yet")]
    assert not home.exists()
