"""The configuration: order of its sources, what is refused and how, and that no secret ever shows."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import traceback
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from syncd import config, config_groups
from syncd.bind import parse_bind, read_bind
from syncd.config import load, shown
from syncd.config_types import parse_duration, show_duration
from syncd.errors import ConfigError

EXAMPLE = Path(__file__).parent.parent / "config" / "syncd.example.toml"
SECRET = "hunter2-do-not-show"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Away from the checkout, whose config/ folder may hold a file of the developer's."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str, name: str = "syncd.toml") -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def refused(path: Path | None = None, environ: dict[str, str] | None = None) -> str:
    """All that a person could come to see of the refusal: sentence, hint, and the traceback with its causes."""
    with pytest.raises(ConfigError) as caught:
        load(path, environ or {})
    assert caught.value.hint
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return f"{caught.value} | {caught.value.hint}"


# --- order ----------------------------------------------------------------------------------------------------------


def test_without_anything_the_defaults_hold() -> None:
    settings = load(None, {})
    assert settings.source_path is None
    assert settings.database.url is None
    assert settings.http.bind == "127.0.0.1:8440"
    assert settings.freshness.revento.participants == timedelta(minutes=15)
    assert settings.freshness.revento.roles == timedelta(hours=6)
    assert {origin for _, _, origin in shown(settings)} == {"default"}


def test_a_variable_stands_over_the_file_and_leaves_the_rest_of_its_group(tmp_path: Path) -> None:
    file = write(tmp_path, '[revento.limits]\nper_hour = 400\nin_flight = 3\n[freshness.revento]\nroles = "1d"\n')
    settings = load(file, {"SYNCD_REVENTO__LIMITS__PER_HOUR": "7", "SYNCD_FRESHNESS__REVENTO__WAVES": "90s"})
    assert (settings.revento.limits.per_hour, settings.revento.limits.in_flight) == (7, 3)
    assert settings.freshness.revento.roles == timedelta(days=1)
    assert settings.freshness.revento.waves == timedelta(seconds=90)
    origins = {key: origin for key, _, origin in shown(settings)}
    assert origins["revento.limits.per_hour"] == "SYNCD_REVENTO__LIMITS__PER_HOUR"
    assert origins["revento.limits.in_flight"] == str(file)
    assert origins["revento.limits.reserve"] == "default"


def test_the_file_is_the_argument_else_the_variable_else_the_default(tmp_path: Path) -> None:
    default = write(tmp_path, "[database]\npool_size = 1\n", "config/syncd.toml")
    named = write(tmp_path, "[database]\npool_size = 2\n", "named.toml")
    given_ = write(tmp_path, "[database]\npool_size = 3\n", "given.toml")
    environ = {"SYNCD_CONFIG": str(named)}
    assert load(given_, environ).database.pool_size == 3
    assert load(None, environ).database.pool_size == 2
    assert load(None, {}).database.pool_size == 1
    assert load(None, {}).source_path == default.relative_to(tmp_path)


def test_an_empty_variable_and_foreign_ones_say_nothing() -> None:
    environ = {"SYNCD_DATABASE__URL": "", "SYNCD_CONFIG": "", "PATH": "/bin", "syncd_x": "1"}
    assert load(None, environ).database.url is None


def test_settings_do_not_change() -> None:
    settings = load(None, {})
    with pytest.raises(ValidationError):
        settings.database.pool_size = 3
    with pytest.raises(ValidationError):
        settings.log = config_groups.Log()


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNCD_LOG__LEVEL", "error")
    assert load().log.level == "error"
    assert load(None, {}).log.level == "info"


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[databse]\nurl = 'x'", ["databse.url", "did you mean database.url?"]),
        ("[database]\npol_size = 1", ["database.pol_size", "did you mean database.pool_size?"]),
        ("databse = 1", ["databse", "did you mean database"]),
        ("database = 1", ["database", "valid dictionary"]),
        ("[privacy]\npii = 'drop'", ["privacy.pii is not supported by this version"]),
        ("[inevent]\nformat = 1", ["inevent.format is not supported by this version"]),
        ("[revento.user_limits]\nreserve = 1", ["revento.user_limits.reserve", "less than 1"]),
        ("[database]\npool_size = 0", ["database.pool_size", "greater than or equal to 1"]),
        ("[database]\npooler = 'session'", ["database.pooler: must be 'none' or 'transaction'"]),
        ("[freshness.revento]\nroles = 15", ["freshness.revento.roles", "with its unit"]),
        ("[freshness.revento]\nroles = '0m'", ["freshness.revento.roles", "between 1 and 999999 of its unit"]),
        (
            "[freshness.revento.roles]\nlive = '1h'",
            ["freshness.revento.roles.live", "did you mean freshness.revento.roles"],
        ),
        ("[daemon]\nlease_s = nan", ["daemon.lease_s", "finite"]),
        ("[http]\nbind = 8440", ["http.bind", "valid string"]),
        ("[http]\nbind = '8440'", ["http.bind", "host:port"]),
        ("[http", ["not valid TOML", "Expected ']'"]),
    ],
)
def test_a_wrong_file_is_refused_by_file_key_and_reason(tmp_path: Path, text: str, says: list[str]) -> None:
    file = write(tmp_path, text)
    message = refused(file)
    assert str(file) in message
    assert all(part in message for part in says), message


@pytest.mark.fault(99)
@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("SYNCD_DATABSE__URL", SECRET, "did you mean SYNCD_DATABASE__URL?"),
        ("SYNCD_DATABASE", SECRET, "is not a known setting"),
        ("SYNCD_HTTP__BIND_FILE", SECRET, "is not a known setting"),
        ("SYNCD_INEVENT__API_URL", SECRET, "is not supported by this version"),
        ("SYNCD_DATABASE__URL", SECRET, "must begin with postgresql://"),
        ("SYNCD_HTTP__PROXY", SECRET, "must begin with http:// or https://"),
        ("SYNCD_DATABASE__POOL_SIZE", SECRET, "must be a valid integer"),
        ("SYNCD_DATABASE__URL_FILE", SECRET, "cannot be read"),
        ("SYNCD_DATABASE__URL_FILE", f"{SECRET}\0", "does not name a text file"),
        ("SYNCD_REVENTO__API_URL", f"https://a:{SECRET}@api.example.com", "no user, password"),
        ("SYNCD_REVENTO__LIMITS__RESERVE", "1", "less than 1"),
        ("SYNCD_REVENTO__PAGE_SIZE", "51", "less than or equal to 50"),
        ("SYNCD_DAEMON__LEASE_S", "0", "greater than or equal to 1"),
        ("SYNCD_LOG__LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_variable_is_refused_by_name_and_reason(name: str, text: str, says: str) -> None:
    message = refused(environ={name: text})
    assert message.startswith(name)
    assert says in message


def test_every_wrong_value_is_named_at_once(tmp_path: Path) -> None:
    file = write(tmp_path, "[log]\nlevel = 'loud'\n")
    message = refused(file, {"SYNCD_DATABASE__POOL_SIZE": "many"})
    assert f"{file}: log.level: must be" in message
    assert "\n" in message
    assert "SYNCD_DATABASE__POOL_SIZE: must be" in message


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert f"{missing}: cannot be read" in refused(missing)
    assert f"{missing}: cannot be read" in refused(environ={"SYNCD_CONFIG": str(missing)})


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(SECRET.encode() + b"\xff")
    assert "is not UTF-8 text" in refused(tmp_path / "binary.toml")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "[::1]"])
def test_plain_http_is_for_loopback(host: str) -> None:
    assert (
        load(None, {"SYNCD_REVENTO__API_URL": f"http://{host}:8000/api/v1/"}).revento.api_url
        == f"http://{host}:8000/api/v1"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com", "http://localhost.example.com", "http://10.0.0.1", "http://127.0.0.1.example.com", "ftp://localhost",
        "api.example.com", "https://",
        "https://api.example.com?x=1", "https://api.example.com:99999", "https://[::1", "https://a b",
        "http://localhost\n.example.com",
    ],
)  # fmt: skip
def test_other_base_urls_are_refused(url: str) -> None:
    assert "SYNCD_REVENTO__AUTH_URL: " in refused(environ={"SYNCD_REVENTO__AUTH_URL": url})


# --- secrets --------------------------------------------------------------------------------------------------------


def test_secrets_come_from_files_and_never_show(tmp_path: Path) -> None:
    url = f"postgresql://syncd:{SECRET}@db/warehouse"
    environ = {"SYNCD_DATABASE__URL_FILE": str(write(tmp_path, f"{url}\n", "url"))}
    settings = load(write(tmp_path, f'[revento]\nclient_secret = "{SECRET}"\n'), environ)
    assert settings.database.url
    assert settings.database.url.get_secret_value() == url
    rows = {key: (value, origin) for key, value, origin in shown(settings)}
    assert rows["database.url"] == ("set", "SYNCD_DATABASE__URL_FILE")
    assert rows["revento.client_secret"] == ("set", str(tmp_path / "syncd.toml"))
    assert rows["security.encryption_keys"] == ("not set", "default")
    assert SECRET not in f"{settings!r}{settings}{rows}{settings.model_dump()}{settings.model_dump_json()}"


def test_a_secret_has_one_source(tmp_path: Path) -> None:
    name = "SYNCD_REVENTO__CLIENT_SECRET"
    environ = {name: SECRET, f"{name}_FILE": str(write(tmp_path, SECRET, "secret"))}
    assert "both set" in refused(environ=environ)
    assert "both set" in refused(environ=dict(reversed(environ.items())))
    assert "is empty" in refused(environ={f"{name}_FILE": str(write(tmp_path, " \n", "empty"))})


# --- the example, the text forms, the light reader ------------------------------------------------------------------


def test_the_example_shows_every_key_with_its_default() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    everything = tomllib.loads(re.sub(r"^# (?=\w+ = )", "", text, flags=re.MULTILINE))
    assert set(config._flat(everything)) == {key for key, _, _ in shown(load(None, {}))}
    assert load(EXAMPLE, {}).model_dump() == load(None, {}).model_dump()


@given(st.integers(1, 999_999), st.sampled_from("smhd"))
def test_a_duration_survives_being_shown(count: int, unit: str) -> None:
    duration = parse_duration(f"{count}{unit}")
    assert parse_duration(show_duration(duration)) == duration


def test_durations_show_in_their_largest_unit() -> None:
    assert [show_duration(timedelta(seconds=s)) for s in (90, 900, 21600, 86400)] == ["90s", "15m", "6h", "1d"]


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8440", ("127.0.0.1", 8440)), ("[::1]:0", ("::1", 0)), ("0.0.0.0:65535", ("0.0.0.0", 65535))],
)
def test_an_address_has_host_and_port(text: str, address: tuple[str, int]) -> None:
    assert parse_bind(text) == address


@pytest.mark.parametrize(
    "text", ["", "8440", ":8440", "localhost", "localhost:", "localhost:-1", "h:65536", "::1:80", "[]:80", "h:²"]
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        parse_bind(text)


def test_the_light_reader_agrees_with_the_settings(tmp_path: Path) -> None:
    file = write(tmp_path, "[http]\nbind = 'localhost:1'\n", "config/syncd.toml")
    for environ in ({}, {"SYNCD_HTTP__BIND": "localhost:2"}, {"SYNCD_HTTP__BIND": ""}):
        assert read_bind(environ) == parse_bind(load(None, environ).http.bind)
    file.write_text("[http]\nbind = 3\n")
    with pytest.raises(ConfigError, match=r"http\.bind: must be host:port"):
        read_bind({})
    file.write_text("http = 3\n")
    with pytest.raises(ConfigError, match=r"http\.bind: must be host:port"):
        read_bind({})


def test_the_light_reader_costs_no_library() -> None:
    program = "import sys, syncd.bind; sys.exit(bool({'pydantic', 'structlog', 'click'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
