"""One exchange: whole or not at all, in bounded time and memory, to the one server that was meant."""

from __future__ import annotations

import asyncio
import base64
import datetime
import gzip
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from random import Random

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from syncd.errors import ConfigError, ContractBreach, Transient
from syncd.http.bounds import Bounds
from syncd.http.client import Client, Exchange, exchange, open_client
from syncd.sandbox import Sandbox, SandboxSettings
from tests.harness import UNLIMITED
from tests.http.raw import RawServer, head, raw_server

BODY = b'{"data":[{"id":"ptp_1","name":"\xc4\x86ma"}],"has_more":false}'
MIB = 1024 * 1024
MAX_BODY_BYTES = Bounds().body_bytes


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async with open_client() as client:
        yield client


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with raw_server() as server:
        yield server


async def get(client: Client, url: str) -> Exchange:
    return await exchange(client, client.build_request("GET", url))


# --- cut replies ----------------------------------------------------------------------------------------------------


@pytest.mark.fault(6)
async def test_a_gzip_body_that_is_cut_anywhere_is_no_reply(client: Client, server: RawServer) -> None:
    """The length agrees with what is left, so that nothing but the coding itself can tell."""
    zipped = gzip.compress(BODY)
    for end in range(len(zipped)):
        server.reply(zipped[:end], "Content-Encoding: gzip", f"Content-Length: {end}")
        with pytest.raises(Transient) as error:
            await get(client, server.url)
        assert error.value.code == "gzip", end
    server.reply(zipped, "Content-Encoding: gzip", f"Content-Length: {len(zipped)}")
    assert (await get(client, server.url)).body == BODY


@pytest.mark.fault(6)
@pytest.mark.parametrize("at", [0, 5, 11, -1, -6])
async def test_a_gzip_body_that_is_damaged_is_no_reply(client: Client, server: RawServer, at: int) -> None:
    zipped = bytearray(gzip.compress(BODY, mtime=0))
    zipped[at] ^= 0xFF
    server.reply(bytes(zipped), "Content-Encoding: gzip", f"Content-Length: {len(zipped)}")
    if at == 5:  # the stamp, which nobody checks
        assert (await get(client, server.url)).body == BODY
    else:
        with pytest.raises(Transient):
            await get(client, server.url)


@pytest.mark.fault(4)
async def test_a_body_that_is_shorter_than_it_says_is_no_reply(client: Client, server: RawServer) -> None:
    for end in range(len(BODY)):
        server.reply(BODY[:end], f"Content-Length: {len(BODY)}")
        with pytest.raises(Transient):
            await get(client, server.url)


@pytest.mark.fault(4)
async def test_a_chunked_body_that_is_cut_anywhere_is_no_reply(client: Client, server: RawServer) -> None:
    chunked = b"5\r\n" + BODY[:5] + b"\r\n%x\r\n" % len(BODY[5:]) + BODY[5:] + b"\r\n0\r\n\r\n"
    for end in range(len(chunked) - 2):
        server.reply(chunked[:end], "Transfer-Encoding: chunked")
        with pytest.raises(Transient):
            await get(client, server.url)
    server.reply(chunked, "Transfer-Encoding: chunked")
    assert (await get(client, server.url)).body == BODY


@pytest.mark.fault(5)
async def test_a_body_may_end_with_the_connection(client: Client, server: RawServer) -> None:
    """Whether it is whole only its content can tell (tests/wire/test_reply.py)."""
    server.reply(BODY)
    assert (await get(client, server.url)).body == BODY


@pytest.mark.fault(9)
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/1.1 200",
        b"HTTP/9.9 200 OK\r\n\r\n",
        b"HTTP/1.1 200 D\xe9sol\xe9\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: nameless\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        b"\r\n\r\nHTTP/1.1 200 OK\r\nX-Folded: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX-Nul: a\0\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n" + b"X-T: a\r\n" * 50_000,
        b"HTTP/1.1 102 Processing\r\n\r\n" * 10_000 + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX-Flood: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X-Flood: a\r\n" * 50_000,
    ],
    ids=lambda answer: repr(answer[:40]),
)
async def test_what_is_no_http_is_no_reply(client: Client, server: RawServer, answer: bytes) -> None:
    server.answer, server.keep = [answer], answer.startswith(b"HTTP/1.1 200 OK")
    with pytest.raises(Transient) as error:
        await get(client, f"{server.url}/secret-path?cursor=secret")
    assert "secret" not in str(error.value), "the translated error names no URL"
    assert len(server.requests) == 1, "nobody below us sends it again"
    server.answer = [head("200 OK", "Content-Length: 0")]
    await get(client, server.url)
    assert server.connections == 2, "a connection that broke the rules is not used again"


@pytest.mark.fault(3)
@pytest.mark.fault(15)
async def test_a_broken_connection_is_not_asked_again_behind_our_back(client: Client) -> None:
    """A call that the transport repeats by itself is on no budget and in no record."""
    async with Sandbox(SandboxSettings(events=1, participants=1, activities=1, limits=UNLIMITED)) as sandbox:
        token = sandbox.connect(sandbox.event_ids[0])["access_token"]
        url, headers = f"{sandbox.api_url}/events/{sandbox.event_ids[0]}", {"Authorization": f"Bearer {token}"}
        request = client.build_request("GET", url, headers=headers)
        await exchange(client, request)  # from now on the connection is kept
        sandbox.faults.add({"drop": True, "times": None})
        with pytest.raises(Transient):
            await exchange(client, client.build_request("GET", url, headers=headers))
        assert len(sandbox.log()) == 2


# --- bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault(7)
@pytest.mark.parametrize("length", [None, 300 * MIB])
async def test_a_bomb_takes_little_memory(client: Client, server: RawServer, length: int | None) -> None:
    bomb = gzip.compress(b"\0" * (200 * MIB))
    assert len(bomb) < MIB
    server.reply(bomb, "Content-Encoding: gzip", *([f"Content-Length: {len(bomb)}"] if length is None else []))
    tracemalloc.start()
    try:
        with pytest.raises(ContractBreach) as error:
            await get(client, server.url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.value.code == "reply_too_large"
    assert peak < 5 * MAX_BODY_BYTES


@pytest.mark.fault(7)
@pytest.mark.parametrize("coding", [(), ("Content-Encoding: gzip",)], ids=["plain", "behind the end of gzip"])
async def test_an_endless_body_is_left(client: Client, server: RawServer, coding: tuple[str, ...]) -> None:
    start = head("200 OK", "Connection: close", *coding) + (gzip.compress(BODY) if coding else b"")
    server.answer = [start, *[b"x" * 65_536] * 1600]
    tracemalloc.start()
    try:
        with pytest.raises((ContractBreach, Transient)):
            await get(client, server.url)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * MAX_BODY_BYTES


@pytest.mark.fault(7)
async def test_the_largest_reply_fits(client: Client, server: RawServer) -> None:
    for size, fits in ((MAX_BODY_BYTES, True), (MAX_BODY_BYTES + 1, False)):
        for body, coding in ((b"x" * size, ()), (gzip.compress(b"x" * size, 1), ("Content-Encoding: gzip",))):
            server.reply(body, *coding)
            if fits:
                assert len((await get(client, server.url)).body) == size
            else:
                with pytest.raises(ContractBreach):
                    await get(client, server.url)


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "x-unheard-of"])
async def test_a_coding_that_was_not_asked_for_is_refused(client: Client, server: RawServer, coding: str) -> None:
    server.reply(gzip.compress(BODY), f"Content-Encoding: {coding}")
    with pytest.raises(ContractBreach) as error:
        await get(client, server.url)
    assert error.value.code == "content_encoding"


@pytest.mark.fault(7)
@pytest.mark.parametrize(
    "answer",
    [
        head("200 OK", "Transfer-Encoding: chunked") + b"5;" + b"x" * 6_000_000,
        head("200 OK", "Transfer-Encoding: chunked") + b"0" * 6_000_000,
        head("200 OK", "Content-Encoding: gzip") + gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * 1_200_000,
        head("200 OK", "Content-Encoding: gzip") + b"\x1f\x8b\x08\x08\0\0\0\0\0\x03" + b"a" * 6_000_000,
    ],
    ids=["chunk extension", "chunk size", "empty blocks of gzip", "file name of gzip"],
)
async def test_bytes_that_yield_nothing_are_counted_too(client: Client, server: RawServer, answer: bytes) -> None:
    server.answer, server.keep = [answer], True
    with pytest.raises(ContractBreach) as error:
        await get(client, server.url)
    assert error.value.code == "reply_too_large"


@pytest.mark.fault(8)
@pytest.mark.parametrize("where", ["nothing", "head", "body", "interim"])
async def test_a_trickle_ends_at_the_deadline(server: RawServer, where: str) -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"
    trickles = {
        "nothing": [],
        "head": [bytes([byte]) for byte in start * 10],
        "body": [start + b"\r\n", *[b"x"] * 1000],
        "interim": [b"HTTP/1.1 102 Processing\r\n\r\n"] * 1000,
    }
    server.answer, server.pause_s, server.keep = trickles[where], 0.01, True
    async with open_client(bounds=Bounds(deadline_s=0.3)) as client:
        started = asyncio.get_running_loop().time()
        with pytest.raises(Transient) as error:
            await get(client, server.url)
    assert error.value.code == "timeout"
    assert asyncio.get_running_loop().time() - started < 1.5


@pytest.mark.fault(8)
@pytest.mark.parametrize("before", [b"", b"x" * 100_000], ids=["from the start", "after a burst"])
async def test_a_body_that_trickles_is_given_up_long_before_the_deadline(server: RawServer, before: bytes) -> None:
    server.answer, server.pause_s, server.keep = [head("200 OK"), before, *[b"x"] * 10_000], 0.01, True
    async with open_client(bounds=Bounds(patience_s=0.3, deadline_s=5)) as client:
        started = asyncio.get_running_loop().time()
        with pytest.raises(Transient) as error:
            await get(client, server.url)
    assert error.value.code == "too_slow"
    assert asyncio.get_running_loop().time() - started < 3


async def test_a_body_that_is_fast_enough_may_take_longer_than_the_patience(server: RawServer) -> None:
    server.answer, server.pause_s = [head("200 OK", "Connection: close"), *[b"x" * 1000] * 30], 0.01
    async with open_client(bounds=Bounds(patience_s=0.2)) as client:
        assert len((await get(client, server.url)).body) == 30_000


# --- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.fault(4)
@pytest.mark.parametrize("status", [429, 500, 503])
@pytest.mark.parametrize(
    "body",
    [(b"{", "Content-Length: 99"), (b"x" * 100_000,), (b"x", "Content-Encoding: gzip")],
    ids=["cut", "large", "no gzip"],
)
async def test_a_refusal_stands_without_its_body(
    client: Client, server: RawServer, status: int, body: tuple[bytes, str]
) -> None:
    """How long to wait stands in the head; to lose it with the body would be to ask again too soon."""
    server.reply(body[0], "Retry-After: 7", *body[1:], status=f"{status} No")
    refusal = await get(client, server.url)
    assert (refusal.status, refusal.headers["retry-after"], refusal.body) == (status, "7", b"")


@pytest.mark.fault(7)
async def test_no_more_of_an_error_is_read_than_an_envelope_has(client: Client, server: RawServer) -> None:
    for status in ("401 No", "404 No", "413 No"):
        server.reply(b"x" * 64_000, status=status)
        assert len((await get(client, server.url)).body) == 64_000
        server.reply(b"x" * 64_001, status=status)
        with pytest.raises(ContractBreach):
            await get(client, server.url)


async def test_no_cookie_is_kept(client: Client, server: RawServer) -> None:
    """One client speaks for many installations."""
    server.reply(BODY, "Set-Cookie: session=of-somebody-else; Path=/")
    for _ in range(2):
        await get(client, server.url.replace("127.0.0.1", "localhost"))  # for an address none would be kept anyway
    assert not any(b"somebody" in request for request in server.requests)


@pytest.mark.fault(18)
@pytest.mark.parametrize("times", [20, pytest.param(1000, marks=pytest.mark.slow)])
async def test_a_storm_of_cancelled_calls_leaks_no_socket(client: Client, times: int) -> None:
    """Ten calls at a time, each cancelled at some moment of its life; afterwards the client works as before."""
    settings = SandboxSettings(events=1, participants=50, activities=1, limits=UNLIMITED, latency_s=0.01)
    async with Sandbox(settings) as sandbox:
        token = sandbox.connect(sandbox.event_ids[0])["access_token"]
        url = f"{sandbox.api_url}/events/{sandbox.event_ids[0]}/participants?limit=50"
        rng = Random(1)

        async def call() -> int:
            request = client.build_request("GET", url, headers={"Authorization": f"Bearer {token}"})
            return (await exchange(client, request)).status

        async def cancelled() -> None:
            task = asyncio.create_task(call())
            await asyncio.sleep(rng.uniform(0, 0.02))
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        assert await call() == 200
        before = sockets()
        for _ in range(times):
            await asyncio.gather(*(cancelled() for _ in range(10)))
        assert await asyncio.gather(*(call() for _ in range(5))) == [200] * 5
        await asyncio.sleep(0.1)
        # five kept connections at most, both of whose ends are ours here
        assert sockets() <= before + 2 * 10


@pytest.mark.fault(18)
async def test_no_call_waits_for_a_connection(client: Client) -> None:
    """More calls than any library's pool holds, all under way at once."""
    settings = SandboxSettings(events=1, participants=1, activities=1, limits=UNLIMITED, latency_s=2.0)
    async with Sandbox(settings) as sandbox:
        token = sandbox.connect(sandbox.event_ids[0])["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{sandbox.api_url}/events/{sandbox.event_ids[0]}"
        requests = [client.build_request("GET", url, headers=headers) for _ in range(120)]
        replies = await asyncio.gather(*(exchange(client, request) for request in requests))
        assert {reply.status for reply in replies} == {200}
        assert max(call["in_flight"] for call in sandbox.log()) > 100


def sockets() -> int:
    """File descriptors of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


# --- whom we speak to -----------------------------------------------------------------------------------------------


@pytest.mark.fault(12)
@pytest.mark.fault(115)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(client: Client, server: RawServer, status: int) -> None:
    async with raw_server() as elsewhere:
        elsewhere.reply(BODY)
        server.reply(b"", f"Location: {elsewhere.url}/", "Content-Length: 0", status=f"{status} Elsewhere")
        assert (await get(client, server.url)).status == status
        post = client.build_request("POST", server.url, data={"refresh_token": "secret"})
        assert (await exchange(client, post)).status == status
        assert elsewhere.requests == []


@pytest.mark.fault(16)
async def test_no_proxy_of_the_environment_is_used(server: RawServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    server.reply(BODY)
    async with open_client() as client:
        assert (await get(client, server.url)).body == BODY


@pytest.mark.fault(16)
async def test_a_proxy_that_asks_who_we_are_is_a_mistake_in_the_settings(server: RawServer) -> None:
    server.reply(b"", status="407 Proxy Authentication Required")
    async with open_client(proxy=server.url) as client:
        with pytest.raises(ConfigError, match="HTTP 407"):
            await get(client, "http://api.revento.example/x")


async def test_the_proxy_of_the_settings_is_used(server: RawServer) -> None:
    server.reply(BODY)
    async with open_client(proxy=server.url) as client:
        assert (await get(client, "http://api.revento.example/api/v1/events/evt_1")).body == BODY
    assert server.requests[0].startswith(b"GET http://api.revento.example/api/v1/events/evt_1 ")


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_proxy_is_told_who_we_are(server: RawServer, scheme: str) -> None:
    server.reply(b"", status="502 Bad Gateway")
    async with open_client(proxy=server.url.replace("://", "://me:p%40ss@")) as client:
        with suppress(Transient):
            await get(client, f"{scheme}://api.revento.example/x")
    login = base64.b64encode(b"me:p@ss")
    assert b"proxy-authorization: basic " + login.lower() in server.requests[0].lower()


@dataclass(frozen=True, slots=True)
class Proof:
    """What a server shows of itself: whose name, from and until which day from today, whether we know who says so."""

    name: str = "127.0.0.1"
    days: tuple[int, int] = (-1, 1)
    is_known: bool = True
    newest_tls: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED


BAD_PROOFS = {
    "self-signed": Proof(is_known=False),
    "expired": Proof(days=(-3, -1)),
    "of tomorrow": Proof(days=(1, 3)),
    "another's": Proof(name="127.0.0.2"),
    "an old protocol": Proof(newest_tls=ssl.TLSVersion.TLSv1_1),
}


@pytest.mark.fault(2)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("proof", BAD_PROOFS.values(), ids=BAD_PROOFS)
async def test_a_server_that_cannot_prove_who_it_is_is_told_nothing(
    proof: Proof, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = shown(proof, tmp_path)
    if proof.is_known:
        monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "certificate"))
    async with raw_server(context) as server, open_client() as client:
        server.reply(BODY)
        with pytest.raises(Transient) as error:
            await get(client, server.url)
        assert error.value.code == "connection"
        assert server.requests == []


async def test_a_server_that_proves_who_it_is_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = shown(Proof(), tmp_path)
    monkeypatch.setattr(certifi, "where", lambda: str(tmp_path / "certificate"))
    async with raw_server(context) as server, open_client() as client:
        server.reply(BODY)
        assert (await get(client, server.url)).body == BODY


def shown(proof: Proof, folder: Path) -> ssl.SSLContext:
    """A server's side of TLS that shows the proof; its certificate lies in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, proof.name)])
    begins, ends = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=day) for day in proof.days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(proof.name))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    (folder / "key").write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    (folder / "certificate").write_bytes(certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate", folder / "key")
    if proof.newest_tls is not ssl.TLSVersion.MAXIMUM_SUPPORTED:
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, proof.newest_tls
    return context
