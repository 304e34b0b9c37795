"""`syncd doctor` and `syncd config check` as a person runs them."""

from __future__ import annotations

from tests.cli.conftest import Remote, Syncd


def test_the_configuration_is_the_first_cause(syncd: Syncd) -> None:
    told = syncd("doctor", SYNCD_LOG__LEVEL="loud", SYNCD_DATABSE__URL="hunter2")
    assert (told.exit_code, told.err) == (2, "")
    assert "configuration  wrong      SYNCD_LOG__LEVEL: must be" in told.out
    assert "    fix: did you mean SYNCD_DATABASE__URL?" in told.out
    assert "database       unchecked  not checked: the configuration cannot be read" in told.out
    assert told.out.splitlines()[-1].startswith("Not healthy: 2 wrong, 9 not checked")
    checked = syncd("config", "check", "--json", SYNCD_LOG__LEVEL="loud")
    assert (checked.exit_code, checked.document["exit"], checked.err) == (2, 2, "")
    assert [finding["state"] for finding in checked.document["findings"]] == ["wrong"]


def test_a_stale_stream_is_an_answer_of_no(connected: Syncd, remote: Remote) -> None:
    document = connected("doctor", remote.event_id, "--json").document
    assert (document["healthy"], document["exit"]) == (False, 6)
    late = [each for each in document["findings"] if each["topic"] == "freshness"]
    assert {(each["state"], each["fix"].startswith("`syncd sync revento/")) for each in late} == {("wrong", True)}
    unknown = connected("doctor", "evt_nobody")
    assert (unknown.exit_code, unknown.out) == (2, "")
    assert "installation 'evt_nobody' is unknown" in unknown.err


def test_an_outdated_schema_is_the_cause(syncd: Syncd, empty_database_url: str) -> None:
    ended = syncd(
        "doctor", SYNCD_DATABASE__URL=empty_database_url, SYNCD_SECURITY__ENCRYPTION_KEYS="k1:" + "A" * 43 + "="
    )
    assert ended.exit_code == 8
    assert "fix: run `syncd db upgrade`" in ended.out
