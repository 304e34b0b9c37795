"""What faults do to the bytes of a reply, read byte for byte from the socket."""

from __future__ import annotations

import asyncio
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.sandbox.conftest import Remote
from tests.sandbox.wire import fields, open_wire, reply_bytes

BODY = "0123456789" * 30
# Every reply is the same then, byte for byte.
STEADY = {"body": BODY, "headers": {"Date": None, "X-Revento-Request-Id": None, "X-RateLimit-Reset": None}}
HEAD = (
    b"HTTP/1.1 200 Reply\r\n"
    b"X-RateLimit-Limit: 1000000\r\nX-RateLimit-Remaining: %d\r\n"
    b"Content-Type: application/vnd.revento.v1+json; charset=utf-8\r\nContent-Length: 300\r\n\r\n"
)


def order(remote: Remote, **fault: Any) -> None:
    remote.sandbox.faults.add(STEADY | fault)


def whole(nth: int = 1) -> bytes:
    """The nth reply to a steady order, as it is when nothing damages it."""
    return HEAD % (1_000_000 - nth) + BODY.encode()


async def test_an_undamaged_reply_of_a_fault_is_plain_http_and_keeps_the_connection(remote: Remote) -> None:
    order(remote, times=2)
    async with open_wire(remote) as wire:
        for nth in (1, 2):
            wire.ask()
            assert await wire.read(len(whole(nth))) == whole(nth)


@pytest.mark.fault(3)
async def test_a_reply_is_cut_at_any_byte_of_head_and_body(remote: Remote) -> None:
    size = len(whole())
    cuts = [*range(0, size, 7), len(HEAD), size - 1, size]
    for nth, cut in enumerate(cuts, 1):
        order(remote, cut_reply_after_bytes=cut)
        assert await reply_bytes(remote) == whole(nth)[:cut]


@pytest.mark.fault(3)
@pytest.mark.parametrize(("fault", "count"), [({"drop": True}, 0), ({"cut_reply_after_bytes": 50}, 50)])
async def test_a_connection_is_reset_not_closed(remote: Remote, fault: dict[str, Any], count: int) -> None:
    order(remote, reset=True, **fault)
    url = urlsplit(remote.sandbox.api_url)
    loop = asyncio.get_running_loop()
    with socket.create_connection((url.hostname, url.port)) as plain:
        plain.setblocking(False)
        request = f"GET {url.path}/events/{remote.event_id} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "
        await loop.sock_sendall(plain, f"{request}{remote.grant['access_token']}\r\n\r\n".encode())
        received = await loop.sock_recv(plain, 1000) if count else b""
        with pytest.raises(ConnectionResetError):
            await loop.sock_recv(plain, 1000)
    assert received == whole()[:count]


async def test_a_hanging_reply_leaves_the_connection_open_in_silence(remote: Remote) -> None:
    order(remote, cut_after_bytes=10, hang=True)
    async with open_wire(remote) as wire:
        wire.ask()
        await wire.head()
        assert await wire.read(10) == b"0123456789"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wire.reader.read(1), 0.1)
    assert (await remote.get()).status_code == 200


async def test_an_unanswered_call_may_have_been_handled(remote: Remote) -> None:
    remote.sandbox.faults.add({"preset": "no_answer"})
    async with open_wire(remote) as wire:
        wire.ask()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wire.reader.read(1), 0.1)
    assert remote.sandbox.log()[0]["status"] is None


@pytest.mark.fault(8)
@pytest.mark.parametrize(("head", "pauses"), [(False, 2), (True, 4)])
async def test_a_trickle_comes_in_pieces(remote: Remote, head: bool, pauses: int) -> None:
    step = 150 if not head else -(-len(whole()) // 4)
    order(remote, trickle_s=0.02, trickle_bytes=step, trickle_head=head, eof_delimited=False)
    async with open_wire(remote) as wire:
        started = time.monotonic()
        wire.ask()
        first = await wire.reader.read(10_000)
        assert first == (whole()[:step] if head else whole()[:-300])
        assert first + await wire.read(len(whole()) - len(first)) == whole()
        assert time.monotonic() - started >= 0.02 * pauses


@pytest.mark.fault(9)
@pytest.mark.parametrize(
    ("errors", "lengths"), [([-1], [299]), ([10], [310]), ([0, 5], [300, 305]), ([0, 0], [300, 300])]
)
async def test_any_length_may_be_announced(remote: Remote, errors: list[int], lengths: list[int]) -> None:
    order(remote, length_errors=errors, headers={"Connection": "close"})
    head, _, body = (await reply_bytes(remote)).partition(b"\r\n\r\n")
    announced = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
    assert announced == [b"Content-Length: %d" % length for length in lengths]
    assert body == BODY.encode()


@pytest.mark.fault(4)
async def test_a_length_too_long_ends_in_a_close_and_one_too_short_spoils_the_next_reply(remote: Remote) -> None:
    order(remote, length_errors=[10])
    assert (await reply_bytes(remote)).endswith(BODY.encode())
    order(remote, length_errors=[-3])
    async with open_wire(remote) as wire:
        wire.ask()
        _, body = await wire.whole()
        assert body == BODY.encode()[:-3]
        wire.ask("/roles")
        assert (await wire.head()).startswith(b"789HTTP/1.1 200")


@pytest.mark.fault(4)
async def test_chunks_are_whole_or_cut_within_one(remote: Remote) -> None:
    chunks = b"80\r\n%b\r\n80\r\n%b\r\n2c\r\n%b\r\n0\r\n\r\n"
    framed = chunks % (BODY[:128].encode(), BODY[128:256].encode(), BODY[256:].encode())
    order(remote, chunk_bytes=128)
    async with open_wire(remote) as wire:
        wire.ask()
        head = await wire.head()
        assert fields(head)["transfer-encoding"] == "chunked"
        assert "content-length" not in fields(head)
        assert await wire.read(len(framed)) == framed
        order(remote, chunk_bytes=128, cut_after_bytes=200)
        wire.ask()
        await wire.head()
        assert await wire.rest() == framed[:200]


@pytest.mark.fault(9)
async def test_interim_replies_come_before_the_reply(remote: Remote) -> None:
    order(remote, interim_replies=3, headers={"Connection": "close"})
    received = await reply_bytes(remote)
    parts = received.split(b"\r\n\r\n")
    assert [part.split(b"\r\n")[0] for part in parts[:3]] == [b"HTTP/1.1 103 Early Hints"] * 3
    assert parts[3].startswith(b"HTTP/1.1 200")


@pytest.mark.fault(9)
async def test_a_head_may_be_flooded_or_folded(remote: Remote) -> None:
    order(remote, extra_headers=500)
    order(remote, long_header_bytes=30_000)
    order(remote, folded_header=True)
    async with open_wire(remote) as wire:
        heads = []
        for _ in range(3):
            wire.ask()
            heads.append((await wire.whole())[0])
    assert sum(name.startswith("x-extra-") for name in fields(heads[0])) == 500
    assert b"\r\nX-Long: " + b"x" * 30_000 + b"\r\n" in heads[1]
    assert b"\r\nX-Folded: one\r\n two\r\n" in heads[2]


@pytest.mark.fault(15)
async def test_an_idle_connection_is_closed_although_it_was_to_be_kept(remote: Remote) -> None:
    order(remote, close_idle_s=0.05)
    async with open_wire(remote) as wire:
        wire.ask()
        head, _ = await wire.whole()
        assert "connection" not in fields(head)
        assert await wire.rest() == b""


@pytest.mark.fault(15)
async def test_a_connection_that_is_used_in_time_is_kept(remote: Remote) -> None:
    order(remote, close_idle_s=60)
    async with open_wire(remote) as wire:
        for path in ("/participants", "/roles"):
            wire.ask(path)
            assert (await wire.head()).startswith(b"HTTP/1.1 200")
            await wire.read(300 if path == "/participants" else 1)


@pytest.mark.fault(15)
async def test_a_connection_is_closed_when_the_next_request_arrives(remote: Remote) -> None:
    order(remote, close_on_next=True)
    async with open_wire(remote) as wire:
        wire.ask()
        await wire.whole()
        wire.ask("/roles")
        assert await wire.rest() == b""
    assert [entry["endpoint"] for entry in remote.sandbox.log()] == ["/events/{event_id}/participants"]
    assert (await remote.get("/roles")).status_code == 200
