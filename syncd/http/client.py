"""The HTTP client as `syncd` needs it, and one exchange over it: bounded in time and size, errors translated.

Measured facts behind the choices stand in docs/decisions: httpx's own transport wedges its pool after cancelled
requests, its timeouts are per read, it accepts a gzip body that was cut, and it caps nothing.
"""

from __future__ import annotations

import asyncio
import base64
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from syncd import __version__
from syncd.errors import ContractBreach, Transient
from syncd.http.unreached import host_of, proxy_wants_login, unreached

# The API caps a reply at 2 MB (contracts/revento.md §10); twice that is no longer its reply.
MAX_BODY_BYTES = 4_000_000
TOTAL_DEADLINE_S = 60.0
CONNECT_TIMEOUT_S = 10.0


Client = httpx.AsyncClient


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came back, whole: status, header names in lower case, the decoded body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _OneAttempt(AiohttpTransport):
    """Sends each request once: aiohttp itself repeats a GET whose connection broke, unpaced and unrecorded.

    The proxy is told who we are however the request passes it.
    """

    def get_client(self) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession = super().get_client()
        session._retry_connection = False
        return session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.proxy and request.url.scheme == "http":  # aiohttp gives the proxy's own headers to tunnels only
            request.headers.update(self.proxy.headers)
        return await super().handle_async_request(request)


@asynccontextmanager
async def open_client(*, proxy: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """A client that follows no redirect and obeys no environment; closed on exit."""
    transport = _OneAttempt(
        proxy=_proxy(proxy) if proxy else None,
        trust_env=False,
        limits=httpx.Limits(max_connections=None, keepalive_expiry=30.0),
    )
    client = httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(TOTAL_DEADLINE_S, connect=CONNECT_TIMEOUT_S),
        headers={"User-Agent": f"syncd/{__version__}", "Accept-Encoding": "gzip"},
    )
    async with client:
        yield client


def _proxy(url: str) -> httpx.Proxy:
    """The proxy, with its user and password as a header: aiohttp is about to drop every other way to give them."""
    given = httpx.Proxy(url)
    if given.raw_auth is None:
        return given
    login = base64.b64encode(b":".join(given.raw_auth)).decode()
    return httpx.Proxy(given.url, headers={"Proxy-Authorization": f"Basic {login}"})


async def exchange(client: httpx.AsyncClient, request: httpx.Request) -> Exchange:
    """Send one request and read its whole reply within the deadline.

    Raises Transient when no whole reply came, ContractBreach when it is larger than any reply may be, ConfigError when
    the proxy asks who we are. The translated error names no URL and no header: either may hold a secret.
    """
    try:
        async with asyncio.timeout(TOTAL_DEADLINE_S):
            return await _send(client, request)
    except TimeoutError as error:
        raise Transient(
            f"no whole reply from {host_of(request)} within {TOTAL_DEADLINE_S:.0f} s", code="timeout"
        ) from error
    except (httpx.HTTPError, aiohttp.ClientError) as error:  # the transport lets some of aiohttp's own through
        raise unreached(error, request) from error


async def _send(client: httpx.AsyncClient, request: httpx.Request) -> Exchange:
    response = await client.send(request, stream=True)
    try:
        body = await _read(response)
    finally:
        await response.aclose()
    if response.status_code == 407:
        raise proxy_wants_login()
    return Exchange(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)


async def _read(response: httpx.Response) -> bytes:
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip"):
        raise ContractBreach(f"the reply is coded as {coding!r}, which was not asked for", code="content_encoding")
    body = _Inflater() if coding == "gzip" else _Plain()
    async for chunk in response.aiter_raw():
        body.feed(chunk)
    return body.whole()


class _Plain:
    """Collects bytes up to the cap."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > MAX_BODY_BYTES:
            raise ContractBreach(f"the reply is larger than {MAX_BODY_BYTES} bytes", code="reply_too_large")
        self._parts.append(chunk)

    def whole(self) -> bytes:
        return b"".join(self._parts)


class _Inflater(_Plain):
    """Collects what gzip yields up to the cap, and demands its end: a cut gzip body looks like a short one."""

    def __init__(self) -> None:
        super().__init__()
        self._gzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def feed(self, chunk: bytes) -> None:
        try:
            while chunk:
                super().feed(self._gzip.decompress(chunk, MAX_BODY_BYTES))
                chunk = self._gzip.unconsumed_tail
        except zlib.error as error:
            raise Transient("the reply's gzip coding is broken", code="gzip") from error
        if self._gzip.unused_data:
            raise Transient("something follows the end of the reply's gzip coding", code="gzip")

    def whole(self) -> bytes:
        if not self._gzip.eof:
            raise Transient("the reply's gzip coding was cut", code="gzip")
        return super().whole()
