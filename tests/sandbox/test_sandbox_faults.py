"""Ordered faults, over real sockets."""

from __future__ import annotations

import asyncio
import time
import zlib
from typing import Any

import httpx
import pytest

from syncd.sandbox import Limits
from tests.sandbox.conftest import Open, Remote
from tests.sandbox.wire import reply_bytes

PARTICIPANTS = "/events/{event_id}/participants"
TOKEN = "/oauth/token"


async def statuses(remote: Remote, count: int, path: str = "/participants") -> list[int]:
    return [(await remote.get(path)).status_code for _ in range(count)]


async def test_a_fault_hits_the_nth_matching_call_so_many_times(remote: Remote) -> None:
    remote.sandbox.faults.add({"endpoint": PARTICIPANTS, "nth": 2, "times": 2, "status": 503})
    assert await statuses(remote, 2, "/roles") == [200, 200]
    assert await statuses(remote, 5) == [200, 503, 503, 200, 200]
    (fault,) = remote.sandbox.faults.listing()
    assert (fault["seen"], fault["fired"]) == (5, 2)
    remote.sandbox.faults.add({"times": None, "status": 500})
    assert await statuses(remote, 3) == [500, 500, 500]
    remote.sandbox.faults.clear()
    assert await statuses(remote, 1) == [200]


async def test_a_fault_may_concern_one_event_only(remote: Remote) -> None:
    other = remote.sandbox.event_ids[1]
    remote.sandbox.faults.add({"event_id": other, "times": None, "status": 500})
    assert await statuses(remote, 1) == [200]
    token = remote.sandbox.connect(other)
    assert (await remote.get_api(f"/events/{other}", token=token["access_token"])).status_code == 500
    assert (await remote.refresh(token["refresh_token"])).status_code == 500
    assert (await remote.refresh(remote.grant["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    ("order", "status", "code"),
    [
        ({"status": 503}, 503, "service_unavailable"),
        ({"status": 500}, 500, "internal_error"),
        ({"error": "token_expired"}, 401, "token_expired"),
        ({"error": "token_revoked"}, 401, "token_revoked"),
        ({"error": "payload_too_large"}, 413, "payload_too_large"),
        ({"error": "invented_code", "status": 409}, 409, "invented_code"),
        ({"error": "invalid_cursor", "status": 410}, 410, "invalid_cursor"),
    ],
)
async def test_error_replies_keep_the_envelope_and_headers(
    remote: Remote, order: dict[str, Any], status: int, code: str
) -> None:
    remote.sandbox.faults.add(order)
    reply = await remote.get("/participants")
    assert (reply.status_code, reply.json()["error"]) == (status, code)
    assert reply.json()["request_id"] == reply.headers["x-revento-request-id"]
    assert "x-ratelimit-remaining" in reply.headers
    assert remote.sandbox.log()[-1]["error"] == code


async def test_rate_limits_may_be_ordered_with_any_header(remote: Remote) -> None:
    remote.sandbox.faults.add({"error": "rate_limit_exceeded"})
    remote.sandbox.faults.add({"error": "rate_limit_exceeded", "headers": {"retry-after": "-1"}})
    remote.sandbox.faults.add({"error": "concurrent_limit_exceeded", "headers": {"X-RateLimit-Limit": None}})
    first, second, third = [await remote.get() for _ in range(3)]
    assert [reply.headers.get("retry-after") for reply in (first, second, third)] == ["1", "-1", None]
    assert {reply.status_code for reply in (first, second, third)} == {429}
    assert "x-ratelimit-limit" not in third.headers
    assert first.headers["content-type"] == "application/json"


async def test_any_body_and_media_type_may_be_ordered(remote: Remote) -> None:
    remote.sandbox.faults.add({"status": 502, "body": "<h1>Bad gateway</h1>", "content_type": "text/html"})
    remote.sandbox.faults.add({"body": '{"data":[],"next_cursor":null,"has_more":true}'})
    reply = await remote.get("/participants")
    assert (reply.status_code, reply.text, reply.headers["content-type"]) == (502, "<h1>Bad gateway</h1>", "text/html")
    assert (await remote.get("/participants")).json() == {"data": [], "next_cursor": None, "has_more": True}


async def test_a_real_reply_may_be_altered(remote: Remote) -> None:
    remote.sandbox.faults.add({"set": {"data": []}, "headers": {"X-Revento-Request-Id": "somebody-else"}})
    reply = await remote.get("/participants")
    page = reply.json()
    assert (page["data"], page["has_more"]) == ([], True)
    assert reply.headers["x-revento-request-id"] == "somebody-else"
    following = await remote.get("/participants", params={"cursor": page["next_cursor"]})
    assert following.json()["data"][0] == remote.truth()["participants"][25]


@pytest.mark.parametrize("status", [204, 304, 302])
async def test_bodiless_replies_are_well_framed(remote: Remote, status: int) -> None:
    remote.sandbox.faults.add({"status": status, "headers": {"Location": "http://127.0.0.1:1/"}})
    reply = await remote.get("/participants")
    assert (reply.status_code, reply.content) == (status, b"")
    assert await statuses(remote, 1) == [200]


async def test_a_dropped_call_gets_no_byte(remote: Remote) -> None:
    remote.sandbox.faults.add({"drop": True})
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await remote.get("/participants")
    assert remote.sandbox.log()[-1]["status"] is None
    assert await statuses(remote, 1) == [200]


@pytest.mark.parametrize("kept", [0, 1, 100])
async def test_a_cut_body_is_shorter_than_announced(remote: Remote, kept: int) -> None:
    remote.sandbox.faults.add({"cut_after_bytes": kept})
    head, _, body = (await reply_bytes(remote)).partition(b"\r\n\r\n")
    assert len(body) == kept
    assert b"content-length: " in head.lower()
    remote.sandbox.faults.add({"cut_after_bytes": kept})
    with pytest.raises(httpx.RemoteProtocolError):
        await remote.get("/participants")


async def test_a_truncated_gzip_body_has_a_matching_length(remote: Remote) -> None:
    remote.sandbox.faults.add({"truncate_bytes": 200, "headers": {"Connection": "close"}})
    head, _, body = (await reply_bytes(remote, Accept_Encoding="gzip")).partition(b"\r\n\r\n")
    assert b"content-length: 200" in head.lower()
    assert len(body) == 200
    decoder = zlib.decompressobj(wbits=31)
    decoder.decompress(body)
    assert not decoder.eof


async def test_an_eof_delimited_body_has_no_length(remote: Remote) -> None:
    remote.sandbox.faults.add({"eof_delimited": True, "truncate_bytes": 50})
    head, _, body = (await reply_bytes(remote)).partition(b"\r\n\r\n")
    assert b"content-length" not in head.lower()
    assert b"transfer-encoding" not in head.lower()
    assert body.startswith(b'{"data":[{"id"')
    assert len(body) == 50


async def test_a_trickled_body_arrives_whole_but_slowly(remote: Remote) -> None:
    remote.sandbox.faults.add({"body": "x" * 20, "trickle_s": 0.01})
    started = time.monotonic()
    assert (await remote.get("/participants")).text == "x" * 20
    assert time.monotonic() - started >= 0.2


async def test_a_delayed_call_holds_its_slot(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits(0, 0, 1))
    remote.sandbox.faults.add({"delay_s": 0.2})
    slow = asyncio.create_task(remote.get("/participants"))
    await remote.arrival()
    assert (await remote.get()).json()["error"] == "concurrent_limit_exceeded"
    assert (await slow).status_code == 200
    assert (await remote.get()).status_code == 200


async def test_a_rotation_may_happen_although_its_reply_is_lost(remote: Remote) -> None:
    remote.sandbox.faults.add({"endpoint": TOKEN, "drop": True, "after_handling": True})
    with pytest.raises(httpx.TransportError):
        await remote.refresh(remote.grant["refresh_token"])
    assert (await remote.refresh(remote.grant["refresh_token"])).json()["error"] == "invalid_grant"


async def test_without_after_handling_a_lost_refresh_never_happened(remote: Remote) -> None:
    for order in ({"drop": True}, {"status": 503}):
        remote.sandbox.faults.add({"endpoint": TOKEN, **order})
    with pytest.raises(httpx.TransportError):
        await remote.refresh(remote.grant["refresh_token"])
    assert (await remote.refresh(remote.grant["refresh_token"])).status_code == 503
    assert (await remote.refresh(remote.grant["refresh_token"])).status_code == 200


async def test_a_token_reply_may_be_cut_at_any_byte(remote: Remote) -> None:
    pair = remote.grant
    remote.sandbox.faults.add({"endpoint": TOKEN, "cut_after_bytes": 40})
    with pytest.raises(httpx.RemoteProtocolError):
        await remote.refresh(pair["refresh_token"])
    assert (await remote.refresh(pair["refresh_token"])).status_code == 400, "the rotation did happen"


async def test_a_call_refused_at_the_door_does_not_use_a_fault_up(open_remote: Open) -> None:
    remote = await open_remote(limits=Limits(0, 1, 0))
    remote.sandbox.faults.add({"nth": 2, "status": 500})
    assert (await statuses(remote, 3)) == [200, 429, 429]
    remote.sandbox.clock.advance(61)
    assert (await statuses(remote, 1)) == [500]


async def test_orders_with_a_typing_error_are_refused(remote: Remote) -> None:
    for order in ({"statsu": 500}, {"endpoint": "/participants"}, {"fired": 3}):
        with pytest.raises(ValueError, match="unknown"):
            remote.sandbox.faults.add(order)
