"""The survey, against the sandbox in each reading of each gap."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from syncd.sandbox import Limits, Sandbox, SandboxSettings
from syncd.sandbox.gaps import GAPS as SANDBOX_GAPS
from tests.contract.__main__ import main
from tests.contract.gaps import GAPS

SECRET = "sandbox-secret"
CURSOR_LIFE_S = 1000.0
DAY_S = 86_400.0
EVERYTHING = ("--refresh", "--burst", "--end-grant", "--cursor-life", str(CURSOR_LIFE_S))
# The survey fits into a minute's budget, and the burst does not.
LIMITS = Limits(per_hour=500, per_minute=36, in_flight=5)
# An installation token sees neither the rotation of a client secret nor a participant's profile.
UNSEEN = {"G27", "G28"}
PROPOSED = {gap.id: next(iter(gap.readings)) for gap in GAPS}
ALTERNATIVES = [(gap.id, reading) for gap in GAPS for reading in list(gap.readings)[1:]]


def settings(gaps: dict[str, str], **changes: Any) -> SandboxSettings:
    given: dict[str, Any] = {"events": 1, "participants": 120, "activities": 60, "limits": LIMITS, "seed": 7}
    return SandboxSettings(cursor_s=CURSOR_LIFE_S, gaps=gaps, **(given | changes))


def connect(sandbox: Sandbox, folder: Path) -> Path:
    """A consent that is 320 days old and was kept alive since, in a file."""
    (event_id,) = sandbox.event_ids
    pair = sandbox.connect(event_id)
    for _ in range(4):
        sandbox.clock.advance(80 * DAY_S)
        pair = sandbox.tokens.refresh(pair["refresh_token"], sandbox.settings)
    file = folder / "token.json"
    file.write_text(json.dumps(pair))
    return file


async def survey(sandbox: Sandbox, file: Path, *options: str) -> int:
    """Run the command in a thread, as another process would; a wait of its takes no time but the sandbox's clock's."""
    arguments = [
        *("--credentials", str(file), "--api-url", sandbox.api_url, "--auth-url", sandbox.auth_url),
        *("--client-id", sandbox.settings.client_id, "--integration-id", sandbox.settings.integration_id),
        *("--per-minute", "0", *options),
    ]
    return await asyncio.to_thread(main, arguments, sandbox.clock.advance)


async def readings(
    gaps: dict[str, str], folder: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> dict[str, Any]:
    """What the survey prints as JSON of a sandbox in these readings."""
    async with Sandbox(settings(gaps)) as sandbox:
        (event_id,) = sandbox.event_ids
        for row in sandbox.truth()["events"][0]["participants"][:3]:
            sandbox.world.delete(event_id, "participants", row["id"])
        code = await survey(sandbox, connect(sandbox, folder), "--json", *options)
        document: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert document["calls"] == len([entry for entry in sandbox.log() if "/oauth/" not in entry["path"]])
    document["code"] = code
    document["readings"] = {row["gap"]: row["reading"] for row in document["gaps"]}
    return document


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_SECRET", SECRET)


def test_the_survey_and_the_sandbox_know_the_same_gaps() -> None:
    told = {gap.id: list(gap.readings) for gap in GAPS}
    assert {gap.id: list(gap.readings) for gap in SANDBOX_GAPS if gap.id not in UNSEEN} == told


async def test_the_proposed_readings_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = await readings({}, tmp_path, capsys, *EVERYTHING)
    assert document["readings"] == PROPOSED
    assert [rule for rule in document["rules"] if rule["holds"] is not True] == []
    assert document["code"] == 0


@pytest.mark.parametrize(("gap", "reading"), ALTERNATIVES)
async def test_the_alternative_is_told(
    gap: str, reading: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = await readings({gap: reading}, tmp_path, capsys, *EVERYTHING)
    # a summary shows no sign-up list
    assert document["readings"] == PROPOSED | {gap: reading} | ({"G25": None} if gap == "G26" else {})


async def test_without_options_nothing_is_spent_or_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Sandbox(settings({})) as sandbox:
        file = connect(sandbox, tmp_path)
        before = file.read_text()
        assert await survey(sandbox, file) == 0
        assert file.read_text() == before
        assert {entry["method"] for entry in sandbox.log()} == {"GET"}
        assert 429 not in {entry["status"] for entry in sandbox.log()}
    printed = capsys.readouterr()
    assert f"at most {len(sandbox.log()) + 3} calls" in printed.err
    assert "G3   not observed  ask with --refresh" in printed.out


async def test_a_refresh_is_on_disk_before_its_token_is_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Sandbox(settings({})) as sandbox:
        file = connect(sandbox, tmp_path)
        assert await survey(sandbox, file, "--refresh") == 0
        pair = json.loads(file.read_text())
        assert file.stat().st_mode & 0o777 == 0o600
        assert sandbox.tokens.refresh(pair["refresh_token"], sandbox.settings)["event_id"] == pair["event_id"]
    assert pair["refresh_token"] not in capsys.readouterr().out


async def test_an_api_that_breaks_a_rule_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with Sandbox(settings({})) as sandbox:
        file = connect(sandbox, tmp_path)
        sandbox.faults.add({"endpoint": "/events/{event_id}/roles", "headers": {"X-Revento-Request-Id": "other"}})
        assert await survey(sandbox, file) == 6
    assert "RV-39  NO" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "No such file"), ("nonsense", "is not the JSON of a token response"), ("{}", "is not the JSON")],
)
def test_credentials_that_are_none(
    content: str | None, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "token.json"
    if content is not None:
        file.write_text(content)
    assert main(["--credentials", str(file), "--api-url", "http://127.0.0.1:1"]) == 2
    assert says in capsys.readouterr().err


def test_no_api_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "token.json"
    file.write_text('{"access_token": "rev_install_x", "event_id": "evt_1"}')
    assert main(["--credentials", str(file), "--api-url", "http://127.0.0.1:1"]) == 75
    assert "Connection refused" in capsys.readouterr().err
