"""`syncd connect`: a browser goes to the address that is printed, and comes back to a listener on this machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

import pytest

from tests.cli.conftest import Remote, Syncd

Query = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def ready(warehouse: Syncd, remote: Remote) -> Iterator[Syncd]:
    """The command, with a redirect URI that leads to a free port here and is registered."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    uri = f"http://127.0.0.1:{port}/oauth/callback?tenant=7"
    registered = remote.control("GET", "/settings")
    remote.control("PATCH", "/settings", {"redirect_uris": [uri]})
    warehouse.variables["SYNCD_REVENTO__REDIRECT_URI"] = uri
    yield warehouse
    remote.control("PATCH", "/settings", {key: registered[key] for key in ("redirect_uris", "consent")})


def begin(ready: Syncd, remote: Remote, *options: str) -> tuple[subprocess.Popen[str], str]:
    """The command in the background, waiting, and the address that it printed."""
    process = ready.start("connect", "revento", remote.event_id, "--no-browser", *options)
    assert process.stderr is not None
    address = ""
    for line in process.stderr:
        address = address or (line.strip() if line.startswith("  http") else "")
        if "waiting" in line:
            break
    return process, address


def browse(address: str) -> tuple[int, str]:
    """What a browser shows in the end."""
    try:
        with urlopen(address, timeout=10) as page:
            return page.status, page.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_a_consent_adds_the_installation(ready: Syncd, remote: Remote, query: Query) -> None:
    process, address = begin(ready, remote, "--timezone", "Europe/Warsaw")
    callback = ready.variables["SYNCD_REVENTO__REDIRECT_URI"]
    assert browse(f"{callback}&code=planted&state=of-somebody-else")[0] == 400
    assert browse(callback.replace("/oauth/", "/other/"))[0] == 404
    status, page = browse(address)
    assert (status, "close this window" in page) == (200, True)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, f"revento/{remote.event_id}\n"), err
    assert query("SELECT timezone, state FROM syncd.installations") == [("Europe/Warsaw", "active")]
    assert ready("sync", "--stream", "event").exit_code == 0
    state, code = parse_qs(urlsplit(address).query)["state"][0], "code="
    assert state not in out
    assert code not in out + err.replace(address, "")


# Goes to the address, and stays until it is killed.
TEXT_BROWSER = """#!{python}
import os, pathlib, signal, sys, urllib.request
pathlib.Path("browser.pid").write_text(str(os.getpid()))
try:
    urllib.request.urlopen(sys.argv[1], timeout=5)
finally:
    signal.pause()
"""


def test_a_text_browser_that_never_ends_holds_nothing_up(ready: Syncd, remote: Remote, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(TEXT_BROWSER.format(python=sys.executable))
    browser.chmod(0o700)
    ready.variables["BROWSER"] = str(browser)
    with (tmp_path / "said").open("w+") as said:
        process = ready.start("connect", "revento", remote.event_id, stdout=said, stderr=said)
        try:
            assert process.wait(timeout=20) == 0
        finally:
            os.kill(int((tmp_path / "browser.pid").read_text()), signal.SIGKILL)
    assert f"\nrevento/{remote.event_id}\n" in (tmp_path / "said").read_text()


def test_a_refusal_ends_with_a_word_and_the_code_of_a_person_who_must_act(ready: Syncd, remote: Remote) -> None:
    remote.control("PATCH", "/settings", {"consent": "deny"})
    process, address = begin(ready, remote)
    assert "terminal says why" in browse(address)[1]
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "the organizer refused to connect the event" in err) == (4, True)


def test_a_scope_that_was_declined_is_told_with_what_it_costs(ready: Syncd, remote: Remote) -> None:
    process, address = begin(ready, remote, "--scope", "event.read", "--scope", "participants.read")
    browse(address)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    listed = json.loads(ready("installations", "show", remote.event_id, "--json").out)
    assert sorted(listed["scopes"]) == ["event.read", "participants.read"]


def test_an_api_that_is_away_does_not_lose_the_consent(ready: Syncd, remote: Remote, query: Query) -> None:
    """It cannot be had again without the organizer, so it is stored before anything is asked with it."""
    remote.control("POST", "/faults", {"endpoint": "/events/{event_id}", "status": 503, "times": None})
    process, address = begin(ready, remote)
    browse(address)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, f"revento/{remote.event_id}\n"), err
    assert query("SELECT count(*) FROM syncd.credentials") == [(1,)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--api-url", "https://api.example.com"], "--api-url needs --auth-url"),
        (["--name", " "], "cannot be a name"),
        (["--timezone", "Europe/Warsow"], "is not a time zone"),
    ],
)
def test_what_cannot_be_stored_is_told_before_anybody_consents(
    ready: Syncd, remote: Remote, options: list[str], says: str
) -> None:
    ended = ready("connect", "revento", remote.event_id, "--no-browser", *options)
    assert (ended.exit_code, says in ended.err, "open this address" in ended.err) == (2, True, False)


def test_a_database_that_is_away_is_told_before_anybody_consents(ready: Syncd, remote: Remote) -> None:
    ready.variables["SYNCD_DATABASE__URL"] = "postgresql://me@127.0.0.1:1/x"
    ended = ready("connect", "revento", remote.event_id, "--no-browser")
    assert (ended.exit_code, "open this address" in ended.err) == (1, False)


def test_ctrl_c_gives_up(ready: Syncd, remote: Remote) -> None:
    process, _ = begin(ready, remote)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, "Traceback" in err) == (130, False)


def test_nobody_comes(ready: Syncd, remote: Remote) -> None:
    ended = ready("connect", "revento", remote.event_id, "--no-browser", "--within", "1s")
    assert (ended.exit_code, "nobody consented within" in ended.err) == (4, True)


def test_a_port_that_is_taken_is_told(ready: Syncd, remote: Remote) -> None:
    port = urlsplit(ready.variables["SYNCD_REVENTO__REDIRECT_URI"]).port
    with socket.create_server(("127.0.0.1", port or 0)):
        ended = ready("connect", "revento", remote.event_id, "--no-browser")
    assert (ended.exit_code, f"nothing can listen on 127.0.0.1:{port}" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SYNCD_REVENTO__REDIRECT_URI", "https://syncd.example.com/cb", "leads to another machine"),
        ("SYNCD_REVENTO__REDIRECT_URI", "http://syncd.example.com/cb", "must begin with https://"),
        ("SYNCD_REVENTO__REDIRECT_URI", "", "revento.redirect_uri is not set"),
        ("SYNCD_REVENTO__CLIENT_ID", "", "a consent needs the integration's own credentials"),
    ],
)
def test_what_is_not_configured_is_told(ready: Syncd, remote: Remote, name: str, value: str, says: str) -> None:
    ready.variables[name] = value
    if not value:
        del ready.variables[name]
    ended = ready("connect", "revento", remote.event_id, "--no-browser")
    assert (ended.exit_code, says in ended.err) == (2, True), ended.err


def test_what_is_connected_and_not_here_is_discovered(ready: Syncd, remote: Remote) -> None:
    ready.variables["SYNCD_REVENTO__INTEGRATION_ID"] = "int_sandbox"
    remote.token()
    ended = ready("installations", "discover")
    assert (ended.exit_code, f"syncd connect revento {remote.event_id}" in ended.out) == (6, True)
    process, address = begin(ready, remote)
    browse(address)
    process.communicate(timeout=30)
    agreed = ready("installations", "discover", "--json")
    assert (agreed.exit_code, [one["advice"] for one in agreed.document["accounts"]]) == (0, [None])
