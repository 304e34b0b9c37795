"""However much a server sends, and however slowly: little memory, and an end within the deadline."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
from collections.abc import Iterable, Mapping
from itertools import chain, repeat
from typing import NamedTuple

import pytest

from tests.http.hostile import BOUNDS
from tests.http.raw import head, raw_server

MOST_MEMORY_MB = 256
# What a loaded machine may add; a single step of ours never holds the loop for as long.
SLACK_S = 5.0
N = 3_900_000  # just below the cap of a body
CHUNKED = head("200 OK", "Transfer-Encoding: chunked")
GZIP = head("200 OK", "Content-Encoding: gzip")
GZIP_START = gzip.compress(b"")[:10]


class Attack(NamedTuple):
    """What is sent, what is sent after that without end, and what becomes of it."""

    start: bytes
    endless: bytes
    outcomes: tuple[str, ...]


def endless(start: bytes, more: bytes, *outcomes: str) -> Attack:
    """A reply that never ends."""
    return Attack(start, more * (60_000 // len(more)), outcomes)


def listing(rows: bytes, *outcomes: str) -> Attack:
    """A reply of the right shape, to be told by what it holds."""
    body = b'{"data":[' + rows + b'],"has_more":false}'
    return Attack(head("200 OK", f"Content-Length: {len(body)}") + body, b"", outcomes)


def bomb(body: bytes) -> bytes:
    """A body that gzip makes a thousand times smaller."""
    return GZIP + gzip.compress(body, 9)


ATTACKS: Mapping[str, Attack] = {
    "bomb": Attack(bomb(b"\0" * 100_000_000), b"", ("reply_too_large",)),
    "bomb-of-rows": Attack(bomb(b'{"data":[' + b"{}," * 5_000_000), b"", ("reply_too_large",)),
    "endless-body": endless(head(), b"x", "reply_too_large"),
    "endless-error": endless(head("403 No"), b"x", "reply_too_large"),
    "endless-refusal": endless(head("503 No"), b"x", "contract_breach"),
    "endless-headers": endless(b"HTTP/1.1 200 OK\r\n", b"X-Flood: a\r\n", "connection", "framing"),
    "endless-header": endless(b"HTTP/1.1 200 OK\r\nX-Flood: ", b"x", "connection", "framing"),
    "endless-cookies": endless(b"HTTP/1.1 200 OK\r\n", b"Set-Cookie: a=b; Path=/\r\n", "connection", "framing"),
    "endless-reason": endless(b"HTTP/1.1 200 ", b"x", "connection", "framing"),
    "endless-interim": endless(b"", b"HTTP/1.1 102 Processing\r\n\r\n", "framing"),
    "endless-lines": endless(b"", b"\r\n", "framing"),
    "endless-extension": endless(CHUNKED + b"2;", b"x", "reply_too_large"),
    "endless-chunk-size": endless(CHUNKED, b"0", "reply_too_large"),
    "endless-small-chunks": endless(CHUNKED, b"1\r\nx\r\n", "reply_too_large", "timeout"),
    "endless-trailers": endless(CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Flood: a\r\n", "connection"),
    "endless-gzip-name": endless(GZIP + b"\x1f\x8b\x08\x08\0\0\0\0\0\x03", b"x", "reply_too_large"),
    "endless-gzip-blocks": endless(GZIP + GZIP_START, b"\0\0\0\xff\xff", "reply_too_large"),
    "silence": Attack(b"", b"", ("timeout",)),
    "silence-after-head": Attack(head("200 OK", "Content-Length: 9"), b"", ("too_slow",)),
    "deep-lists": listing(b"[" * N, "contract_breach"),
    "deep-row": listing(b'{"a":' * (N // 5), "contract_breach"),
    "deep-and-narrow": listing(b"[" * 100_000 + b"]" * 100_000, "contract_breach"),
    "many-rows": listing(b"1," * (N // 2) + b"1", "contract_breach"),
    "many-empty-rows": listing(b"{}," * (N // 3) + b"{}", "contract_breach"),
    "many-values": listing(b'{"id":"a","x":[' + b'{"":0.5},' * (N // 9) + b"0]}", "contract_breach"),
    "many-names": listing(b'{"id":"a",' + b",".join(b'"%x":0' % n for n in range(N // 14)) + b"}", "contract_breach"),
    "many-strings": listing(b'"",' * (N // 3) + b'""', "contract_breach"),
    "many-behind-a-surrogate": listing(b'{"id":"\\ud800"},' + b"{}," * (N // 3) + b"{}", "contract_breach"),
    "as-many-as-there-may-be": listing(
        b'{"id":"a",' + b",".join(b'"%014x":0' % n for n in range(199_000)) + b"}", "rows 1"
    ),
    "digits": listing(b'{"id":"a","nickname":' + b"9" * N + b"}", "rows 1"),
    "digits-as-a-row": listing(b"9" * N, "rows 1"),
    "digits-behind-a-surrogate": listing(b'{"id":"\\ud800"},{"id":"a","x":' + b"9" * N + b"}", "rows 2"),
    "exponent": listing(b'{"id":"a","nickname":1e' + b"9" * N + b"}", "rows 1"),
    "one-long-string": listing(b'{"id":"a","nickname":"' + b"," * N + b'"}', "rows 1"),
    "one-long-escape": listing(b'{"id":"a","nickname":"' + b'\\"' * (N // 2) + b'"}', "rows 1"),
    "no-json": Attack(head("200 OK", f"Content-Length: {N}") + b"<" * N, b"", ("contract_breach",)),
}


def answer(request: bytes) -> Iterable[bytes]:
    """The attack that the path names."""
    attack = ATTACKS[request.split()[1].decode().strip("/").partition("?")[0]]
    return chain([attack.start], repeat(attack.endless) if attack.endless else ())


@pytest.mark.fault(7)
@pytest.mark.fault(8)
@pytest.mark.fault(9)
@pytest.mark.fault(74)
@pytest.mark.slow
async def test_no_server_takes_much_memory_or_time() -> None:
    """One process meets every attack, so that its highest mark is that of the worst."""
    async with raw_server() as server:
        server.answer = answer
        server.keep = True
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.http.hostile", server.url),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await client.communicate(" ".join(ATTACKS).encode())
    results = [json.loads(line) for line in output.decode().splitlines()]
    assert [name for name, *_ in results] == list(ATTACKS)
    for name, outcome, took_s, memory_mb in results:
        assert outcome in ATTACKS[name].outcomes, name
        assert took_s < BOUNDS.deadline_s + SLACK_S, name
        assert memory_mb < MOST_MEMORY_MB, name
