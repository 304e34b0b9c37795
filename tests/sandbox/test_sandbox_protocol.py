"""Headers, versions, errors and authorization (contracts/revento.md §2, §7, §11), over real sockets."""

from __future__ import annotations

import ast
import gzip
import sys
import uuid
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest

import syncd.sandbox
from syncd.sandbox import Limits
from tests.sandbox.conftest import ACCEPT, Open, Remote

ENVELOPE = {"error", "message", "request_id"}


async def test_every_response_carries_the_promised_headers(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits())
    request_id = str(uuid.uuid4())
    for path, status in (("", 200), ("/roles", 200), ("/activities/act_none", 404), ("/participants?limit=0", 400)):
        reply = await remote.get(path, headers={"X-Revento-Request-Id": request_id})
        assert reply.status_code == status
        assert reply.headers["x-revento-request-id"] == request_id
        assert reply.headers["content-type"] == "application/vnd.revento.v1+json; charset=utf-8"
        date = parsedate_to_datetime(reply.headers["date"])
        assert abs(date.timestamp() - remote.sandbox.clock.now()) < 60
        assert reply.headers["x-ratelimit-limit"] == "500"
        assert 490 < int(reply.headers["x-ratelimit-remaining"]) < 500
        assert int(reply.headers["x-ratelimit-reset"]) > 1_700_000_000


async def test_a_request_without_an_id_gets_one(remote: Remote) -> None:
    reply = await remote.get()
    assert uuid.UUID(reply.headers["x-revento-request-id"])
    assert remote.sandbox.log()[-1]["request_id"] == reply.headers["x-revento-request-id"]


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (ACCEPT, 200),
        ("*/*", 200),
        ("application/json", 200),
        (f"text/html, {ACCEPT};q=0.9", 200),
        ("application/vnd.revento.v2+json", 406),
        ("text/html", 406),
    ],
)
async def test_the_version_is_pinned_by_accept(remote: Remote, accept: str, status: int) -> None:
    assert (await remote.get(headers={"Accept": accept})).status_code == status


async def test_no_accept_header_means_the_default_version(remote: Remote) -> None:
    request = httpx.Request(
        "GET",
        f"{remote.sandbox.api_url}/events/{remote.event_id}",
        headers={"Authorization": f"Bearer {remote.grant['access_token']}"},
    )
    assert "accept" not in request.headers
    assert (await remote.http.send(request)).status_code == 200


async def test_errors_have_the_documented_envelope(remote: Remote) -> None:
    reply = await remote.get("/activities/act_none")
    assert reply.status_code == 404
    assert set(reply.json()) == ENVELOPE
    assert reply.json()["error"] == "resource_not_found"
    assert reply.json()["request_id"] == reply.headers["x-revento-request-id"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/events/{other}", 403, "event_not_authorized"),
        ("/events/evt_nobody/participants", 403, "event_not_authorized"),
        ("/me/profile", 403, "user_token_required"),
        ("/me/application", 403, "user_token_required"),
        ("/developer/integrations/int_x/installations", 401, "invalid_token"),
        ("/events/{own}/nothing", 404, "resource_not_found"),
        ("/events/{own}/participants/ptp_1", 404, "resource_not_found"),
    ],
)
async def test_what_a_token_may_not_do(remote: Remote, path: str, status: int, code: str) -> None:
    own, other = remote.sandbox.event_ids
    reply = await remote.get_api(path.format(own=own, other=other))
    assert (reply.status_code, reply.json()["error"]) == (status, code)


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer rev_install_unknown", "Basic eDp5", "Bearer rev_user_x"]
)
async def test_a_missing_or_unknown_token_is_invalid(remote: Remote, authorization: str) -> None:
    reply = await remote.get(headers={"Authorization": authorization})
    assert (reply.status_code, reply.json()["error"]) == (401, "invalid_token")


SCOPES = {
    "event.read": [""],
    "participants.read": ["/participants", "/roles"],
    "program.read": ["/program", "/activities", "/activities/act_x", "/locations", "/threads", "/registration-waves"],
}


@pytest.mark.parametrize("scope", SCOPES)
async def test_each_scope_opens_its_own_endpoints_only(remote: Remote, scope: str) -> None:
    token = remote.sandbox.connect(remote.event_id, (scope,))["access_token"]
    for needed, paths in SCOPES.items():
        for path in paths:
            reply = await remote.get(path, token=token)
            if needed == scope:
                assert reply.status_code in (200, 404)
            else:
                assert (reply.status_code, reply.json()["error"]) == (403, "insufficient_scope")


async def test_only_get_is_read(remote: Remote) -> None:
    headers = {"Authorization": f"Bearer {remote.grant['access_token']}"}
    reply = await remote.http.post(f"{remote.sandbox.api_url}/events/{remote.event_id}", headers=headers)
    assert (reply.status_code, reply.json()["error"]) == (405, "method_not_allowed")


async def test_large_bodies_are_gzipped_when_asked_for(remote: Remote) -> None:
    async with remote.http.stream(
        "GET",
        f"{remote.sandbox.api_url}/events/{remote.event_id}/participants",
        headers={"Authorization": f"Bearer {remote.grant['access_token']}", "Accept-Encoding": "gzip"},
    ) as reply:
        raw = b"".join([chunk async for chunk in reply.aiter_raw()])
    assert reply.headers["content-encoding"] == "gzip"
    plain = await remote.get("/participants", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert len(raw) < len(plain.content) / 2
    assert gzip.decompress(raw).startswith(b'{"data":[{"id":"ptp_')


async def test_small_bodies_are_never_gzipped(remote: Remote) -> None:
    assert "content-encoding" not in (await remote.get()).headers


async def test_connections_are_kept_alive(remote: Remote) -> None:
    ports = set()
    for _ in range(5):
        reply = await remote.get("/participants")
        ports.add(reply.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(ports) == 1


async def test_a_deleted_event_is_not_found(remote: Remote) -> None:
    remote.sandbox.world.delete_event(remote.event_id)
    assert (await remote.get()).json()["error"] == "resource_not_found"


def test_the_other_side_knows_nothing_of_the_daemon() -> None:
    folder = Path(syncd.sandbox.__file__).parent
    imported = {
        name
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    foreign = {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}
    assert {name for name in foreign if not name.startswith("syncd.sandbox")} == {"h11"}
