"""`syncd config check`: every problem at once, what is missing for real work, and no secret."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from syncd.doctor.configuration import read_configuration
from syncd.findings import Finding, exit_code
from syncd.logs import redact

SECRET = "hunter2-do-not-show"
KEYS = "k1:" + base64.b64encode(b"k" * 32).decode()
WHOLE = {
    "SYNCD_DATABASE__URL": f"postgresql://me:{SECRET}@db/x",
    "SYNCD_SECURITY__ENCRYPTION_KEYS": KEYS,
    "SYNCD_REVENTO__API_URL": "https://api.example.com/v1",
    "SYNCD_REVENTO__AUTH_URL": "https://auth.example.com",
    "SYNCD_REVENTO__CLIENT_ID": "me",
    "SYNCD_REVENTO__CLIENT_SECRET": SECRET,
}


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the checkout, whose config/ folder may hold a file of the developer's."""
    monkeypatch.chdir(tmp_path)


def check(environ: dict[str, str], path: Path | None = None) -> list[Finding]:
    _, findings = read_configuration(path, environ)
    assert SECRET not in repr(findings)
    assert all(finding.fix for finding in findings if finding.state != "ok")
    return findings


def said(findings: list[Finding], state: str) -> list[str]:
    return [finding.sentence for finding in findings if finding.state == state]


def test_a_whole_configuration_is_in_order() -> None:
    findings = check(WHOLE)
    assert [finding.state for finding in findings] == ["ok"]
    assert exit_code(findings) == 0


def test_nothing_at_all_will_do_for_a_start() -> None:
    findings = check({})
    assert exit_code(findings) == 0
    assert [sentence.split(" is not set")[0] for sentence in said(findings, "warning")] == [
        "revento.api_url", "revento.auth_url", "revento.client_id", "revento.client_secret",
    ]  # fmt: skip


@pytest.mark.fault(99)
def test_every_problem_is_named_with_its_key_and_origin(tmp_path: Path) -> None:
    file = tmp_path / "syncd.toml"
    file.write_text("pool = 1\n[log]\nlevel = 'loud'\n[database]\nurll = 'x'\npool_size = 0\n")
    findings = check({"SYNCD_DATABSE__URL": SECRET, "SYNCD_HTTP__BIND": "x", "SYNCD_DATABASE__URL_FILE": "/gone"}, file)
    assert exit_code(findings) == 2
    starts = [f"{file}: pool", f"{file}: database.urll", "SYNCD_DATABSE__URL", "SYNCD_DATABASE__URL_FILE"]
    starts += [f"{file}: database.pool_size", "SYNCD_HTTP__BIND", f"{file}: log.level"]
    wrong = said(findings, "wrong")
    assert len(wrong) == len(starts)
    assert all(sentence.startswith(start) for sentence, start in zip(wrong, starts, strict=True)), wrong


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    settings, (finding,) = read_configuration(tmp_path / "missing.toml", {})
    assert settings is None
    assert "missing.toml: cannot be read" in finding.sentence


def test_a_pooler_needs_a_way_past_it() -> None:
    findings = check(WHOLE | {"SYNCD_DATABASE__POOLER": "transaction"})
    assert exit_code(findings) == 2
    (sentence,) = said(findings, "wrong")
    assert sentence.startswith('database.pooler is "transaction", and database.direct_url is not set')
    direct = {"SYNCD_DATABASE__DIRECT_URL": "postgresql://db/x"}
    assert exit_code(check(WHOLE | {"SYNCD_DATABASE__POOLER": "transaction"} | direct)) == 0
    assert "is set without database.url" in said(check(direct), "warning")[0]


def test_keys_that_are_missing_or_none() -> None:
    missing = check(WHOLE | {"SYNCD_SECURITY__ENCRYPTION_KEYS": ""})
    assert (exit_code(missing), len(said(missing, "wrong"))) == (2, 1)
    fix = "".join(each.fix or "" for each in missing)
    assert "$(head -c 32 /dev/urandom | base64)" in redact(fix), "what is shown can be run"
    (sentence,) = said(check(WHOLE | {"SYNCD_SECURITY__ENCRYPTION_KEYS": f"k1:{SECRET}"}), "wrong")
    assert sentence.startswith("SYNCD_SECURITY__ENCRYPTION_KEYS: key number 1 of")


def test_secrets_that_others_can_read(tmp_path: Path) -> None:
    file, secret = tmp_path / "syncd.toml", tmp_path / "secret"
    file.write_text(f"[revento]\nclient_secret = '{SECRET}'\n")
    secret.write_text(WHOLE["SYNCD_DATABASE__URL"])
    environ = {name: value for name, value in WHOLE.items() if name.endswith(("KEYS", "URL", "ID"))}
    environ |= {"SYNCD_DATABASE__URL": "", "SYNCD_DATABASE__URL_FILE": str(secret)}
    for mode, number in ((0o600, 0), (0o640, 2)):
        file.chmod(mode)
        secret.chmod(mode)
        findings = check(environ, file)
        assert (exit_code(findings), len(said(findings, "warning"))) == (0, number)
    assert {finding.fix for finding in findings} >= {f"chmod 600 {file}", f"chmod 600 {secret}"}
    file.write_text("[log]\nlevel = 'info'\n")
    assert "the configuration file holds" not in "".join(said(check(WHOLE, file), "warning"))
