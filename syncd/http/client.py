"""The HTTP client as `syncd` needs it, and one exchange over it: bounded in time and size, errors translated.

Measured facts behind the choices stand in docs/decisions: httpx's own transport wedges its pool after cancelled
requests, its timeouts are per read, it accepts a gzip body that was cut, and it caps nothing.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from syncd import __version__
from syncd.errors import ApiError, Transient
from syncd.http.body import body_for
from syncd.http.bounds import Bounds
from syncd.http.connection import GuardedConnection
from syncd.http.unreached import host_of, proxy_wants_login, unreached

KEEP_ALIVE_S = 30.0
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


class Client(httpx.AsyncClient):
    """A client that follows no redirect, obeys no environment, keeps no cookie and trusts no reply."""

    def __init__(self, bounds: Bounds, proxy: str | None) -> None:
        super().__init__(
            transport=_Transport(bounds, proxy),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx.Timeout(bounds.deadline_s, connect=bounds.connect_s),
            headers={"User-Agent": f"syncd/{__version__}", "Accept-Encoding": "gzip"},
            # one client speaks for many installations: what one is given is no business of the others
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        )
        self.bounds = bounds


class _Transport(AiohttpTransport):
    """aiohttp, without what it does behind our back."""

    def __init__(self, bounds: Bounds, proxy: str | None) -> None:
        super().__init__(
            proxy=_proxy(proxy) if proxy else None,
            trust_env=False,
            # how many calls are under way is for the budgets to say; None would be aiohttp's own limit of 100
            limits=httpx.Limits(max_connections=0, keepalive_expiry=KEEP_ALIVE_S),
        )
        self._bounds = bounds

    def get_client(self) -> aiohttp.ClientSession:
        session: aiohttp.ClientSession = super().get_client()
        # aiohttp repeats a GET whose connection broke: unpaced and unrecorded
        session._retry_connection = False
        session._cookie_jar = aiohttp.DummyCookieJar()
        connector: Any = session.connector
        connector._factory = partial(GuardedConnection, self._bounds, connector._loop)
        return session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.proxy and request.url.scheme == "http":  # aiohttp gives the proxy's own headers to tunnels only
            request.headers.update(self.proxy.headers)
        response: httpx.Response = await super().handle_async_request(request)
        # A body that has come whole has given its connection back before anybody could judge the reply.
        response.extensions["drop"] = response.stream._aiohttp_response._protocol.abort  # type: ignore[union-attr]
        return response


def _proxy(url: str) -> httpx.Proxy:
    """The proxy, with its user and password as a header: aiohttp is about to drop every other way to give them."""
    given = httpx.Proxy(url)
    if given.raw_auth is None:
        return given
    login = base64.b64encode(b":".join(given.raw_auth)).decode()
    return httpx.Proxy(given.url, headers={"Proxy-Authorization": f"Basic {login}"})


@asynccontextmanager
async def open_client(*, proxy: str | None = None, bounds: Bounds | None = None) -> AsyncIterator[Client]:
    """A client; closed on exit."""
    async with Client(bounds or Bounds(), proxy) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came back, whole: status, header names in lower case, the decoded body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Incoming:
    """A reply whose head has come: status, header names in lower case, and a body that can be read once."""

    def __init__(self, response: httpx.Response, request: httpx.Request, bounds: Bounds) -> None:
        self._response = response
        self._request = request
        self._bounds = bounds
        self.host = host_of(request)
        self.status = response.status_code
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    async def read(self, most_bytes: int | None = None) -> bytes:
        """The decoded body; that of an error is small, and empty where the status says enough without it.

        Raises Transient when it does not come whole or not fast enough, ContractBreach when it is too large.
        """
        if self.status == 200:
            return await self._read(most_bytes or self._bounds.body_bytes)
        try:
            return await self._read(self._bounds.small_body_bytes)
        except ApiError:
            # How long to wait stands in the head, and it holds whatever became of the body.
            if self.status != 429 and self.status < 500:
                raise
            self.drop()
            return b""

    def drop(self) -> None:
        """Close the connection for good, rather than give it to the next call."""
        self._response.extensions["drop"]()

    async def _read(self, most_bytes: int) -> bytes:
        body = body_for(self.headers.get("content-encoding", ""), most_bytes)
        async with _no_slower_than(self._bounds) as earn:
            with _translated(self._request):
                async for chunk in self._response.aiter_raw():
                    body.feed(chunk)
                    earn(len(chunk))
        return body.whole()


@asynccontextmanager
async def opened(client: Client, request: httpx.Request) -> AsyncIterator[Incoming]:
    """Send one request and give out its reply to be judged and read, all of it within the deadline.

    Raises Transient when no whole reply came or it was no clean HTTP, ContractBreach when it is larger than any reply
    may be, ConfigError when the proxy asks who we are. Whatever is raised inside closes the connection. The translated
    error names no URL and no header: either may hold a secret.
    """
    try:
        async with asyncio.timeout(client.bounds.deadline_s):
            with _translated(request):
                response = await client.send(request, stream=True)
            incoming = Incoming(response, request, client.bounds)
            try:
                if response.status_code == 407:
                    raise proxy_wants_login()
                _judge_framing(response)
                yield incoming
            except BaseException:
                incoming.drop()
                raise
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise Transient(
            f"no whole reply from {host_of(request)} within {client.bounds.deadline_s:g} s", code="timeout"
        ) from error


async def exchange(
    client: Client, request: httpx.Request, *, most_bytes: int | None = None, keep_connection: bool = True
) -> Exchange:
    """Send one request and read its whole reply, under the terms of `opened` and `Incoming.read`."""
    async with opened(client, request) as incoming:
        body = await incoming.read(most_bytes)
        if not keep_connection:
            incoming.drop()
    return Exchange(incoming.status, incoming.headers, body)


@contextmanager
def _translated(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except (httpx.HTTPError, aiohttp.ClientError) as error:  # the transport lets some of aiohttp's own through
        raise unreached(error, request) from error


def _judge_framing(response: httpx.Response) -> None:
    """aiohttp takes names that are none (`Content-Length :`), and transfer codings that it does not decode."""
    names = [name for name, _ in response.headers.raw]
    if not all(_TOKEN.match(name) for name in names):
        raise Transient("the reply's head has a line that is no header", code="framing")
    if response.headers.get("transfer-encoding", "chunked").strip().lower() != "chunked":
        raise Transient("the reply is framed in a way that was not asked for", code="framing")


@asynccontextmanager
async def _no_slower_than(bounds: Bounds) -> AsyncIterator[Callable[[int], None]]:
    """Gives out what is to be told of each chunk's size: a byte earns its time at the lowest rate, and the patience is
    the most that can be saved up."""
    now = asyncio.get_running_loop().time

    def earn(size: int) -> None:
        until = (patience.when() or 0.0) + size / bounds.slowest_bytes_per_s
        patience.reschedule(min(until, now() + bounds.patience_s))

    try:
        async with asyncio.timeout(bounds.patience_s) as patience:
            yield earn
    except TimeoutError as error:
        raise Transient(
            f"the reply comes more slowly than {bounds.slowest_bytes_per_s:g} bytes a second", code="too_slow"
        ) from error
