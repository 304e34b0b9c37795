"""What a person can get wrong: exit code 2, a sentence, a hint, and the same as JSON."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Remote, Syncd


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sink"], "No such command 'sink'"),
        (["sync", "--strem", "roles"], "--strem"),
        (["db", "upgrad"], "upgrad"),
        (["sandbox", "--port", "70000"], "70000"),
        (["--config", "missing.toml", "config", "show"], "missing.toml: cannot be read"),
        (["db", "grants", "--login", "Robert'); DROP"], "is no name for a login"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_and_as_json(syncd: Syncd, arguments: list[str], says: str) -> None:
    told, document = syncd(*arguments), syncd("--json", *arguments)
    assert (told.exit_code, told.out) == (2, "")
    assert told.err.startswith("error: ")
    assert says in told.err
    assert (document.exit_code, document.err) == (2, "")
    assert document.document["exit"] == 2
    assert says in document.document["error"]


def test_json_is_taken_after_the_command_even_when_nothing_else_is_right(syncd: Syncd) -> None:
    assert syncd("sync", "--strem", "--json").document["exit"] == 2


def test_an_unknown_key_names_the_nearest_one(syncd: Syncd) -> None:
    (syncd.folder / "syncd.toml").write_text('[log]\nlevl = "info"\n')
    ended = syncd("--config", "syncd.toml", "status")
    assert ended.exit_code == 2
    assert "log.levl is not a known setting\nhint: did you mean log.level?" in ended.err


def test_an_unknown_variable_names_the_nearest_one(syncd: Syncd) -> None:
    ended = syncd("status", "--json", SYNCD_DATABASE__URI="postgresql://me:hunter2@localhost/x")
    assert ended.document["hint"] == "did you mean SYNCD_DATABASE__URL?"
    assert "hunter2" not in ended.out + ended.err


def test_config_show_tells_value_and_origin_and_no_secret(syncd: Syncd) -> None:
    (syncd.folder / "syncd.toml").write_text('[revento]\nclient_secret = "hunter2"\n')
    document = syncd("--config", "syncd.toml", "config", "show", "--json", SYNCD_LOG__LEVEL="error").document
    assert document["file"] == "syncd.toml"
    assert document["settings"]["log.level"] == {"value": "error", "origin": "SYNCD_LOG__LEVEL"}
    assert document["settings"]["revento.client_secret"] == {"value": "set", "origin": "syncd.toml"}
    assert "hunter2" not in syncd("--config", "syncd.toml", "config", "show").out


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["revnto"], "known sources: revento"),
        (["revento", "--timezone", "europe/warsow"], "did you mean Europe/Warsaw"),
        (["revento", "--api-url", "https://api.example.com"], "--api-url needs --auth-url"),
        (["revento", "--name", " "], "cannot be a name"),
        (["revento", "--name", "n" * 5000], "at most 200 letters"),
        (["revento"], "revento.api_url is not set"),
    ],
)
def test_what_cannot_be_added(syncd: Syncd, sandbox: Remote, options: list[str], says: str) -> None:
    ended = syncd("installations", "add", *options, "--credentials", "-", stdin=sandbox.token())
    assert (ended.exit_code, ended.out) == (2, "")
    assert says in ended.err


def test_credentials_that_are_none_are_refused_unseen(syncd: Syncd) -> None:
    ended = syncd("installations", "add", "revento", "--credentials", "-", stdin='{"access_token": 5, "x": "hunter2"}')
    assert ended.exit_code == 2
    assert "hunter2" not in ended.err


def test_an_unexpected_error_keeps_its_traceback_in_a_private_file(
    tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile
    from pathlib import Path

    from syncd.cli.failure import explain

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    try:
        raise KeyError("rev_install_abcdefghijkl")
    except KeyError as error:
        failure = explain(error)
    (file,) = Path(str(tmp_path)).glob("syncd-error-*.txt")
    assert (failure.exit_code, failure.message) == (1, "internal error: KeyError: 'rev_install_[redacted]'")
    assert failure.hint == f"the traceback is in {file}"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "Traceback" in file.read_text()
    assert "abcdefghijkl" not in file.read_text()


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_output_that_has_no_room_is_no_internal_error(syncd: Syncd, options: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        process = syncd.start("schema", *options, stdout=full)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert err.splitlines()[0] == "error: the output cannot be written: No space left on device"


def test_credentials_without_a_scope_that_any_stream_needs(warehouse: Syncd, remote: Remote) -> None:
    token = json.dumps(json.loads(remote.token()) | {"scope": "profile.read"})
    ended = warehouse("installations", "add", "revento", "--credentials", "-", "--no-check", stdin=token)
    assert (ended.exit_code, "none of the scopes" in ended.err) == (4, True)


def test_a_closed_stdout_is_nobody_who_reads(syncd: Syncd) -> None:
    process = subprocess.run(
        f"{shlex.quote(sys.executable)} -m syncd schema >&-", shell=True, cwd=syncd.folder, env=syncd.environment({}),
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize(
    "arguments", [["runs", "list", "--limit", "99999999999999999999"], ["runs", "list", "--since", "99999999999d"],
                  ["sandbox", "--port", "18085", "--control-port", "18085"]],
)  # fmt: skip
def test_a_number_that_is_none_of_ours(syncd: Syncd, arguments: list[str]) -> None:
    ended = syncd(*arguments)
    assert ended.exit_code == 2
    assert any(word in ended.err for word in ("range", "between 1 and 999999", "are the same"))
