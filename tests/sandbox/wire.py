"""A client that speaks HTTP by hand, so that a test sees each byte that the sandbox sends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from tests.sandbox.conftest import ACCEPT, Remote

# A limit on waiting for what a broken sandbox would never send; no test waits for it to pass.
PATIENCE_S = 10.0


@dataclass
class Wire:
    """One connection to the sandbox. Everything raises TimeoutError when the sandbox keeps silent."""

    remote: Remote
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def ask(self, path: str = "/participants", **headers: str) -> None:
        """Send a GET below the connected event."""
        url = urlsplit(self.remote.sandbox.api_url)
        named = {
            "Host": url.netloc,
            "Accept": ACCEPT,
            "Authorization": f"Bearer {self.remote.grant['access_token']}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = [f"GET {url.path}/events/{self.remote.event_id}{path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in named.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode())

    async def head(self) -> bytes:
        """The bytes up to the end of the next head."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def read(self, count: int) -> bytes:
        """Exactly so many bytes."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readexactly(count)

    async def rest(self) -> bytes:
        """Everything until the connection ends."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()

    async def whole(self) -> tuple[bytes, bytes]:
        """Head and body of a well-formed reply with a length."""
        head = await self.head()
        return head, await self.read(int(fields(head)["content-length"]))


def fields(head: bytes) -> dict[str, str]:
    """The headers of a head, names in lower case; of several with one name the last."""
    pairs = (line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:] if ": " in line)
    return {name.lower(): value for name, value in pairs}


@asynccontextmanager
async def open_wire(remote: Remote) -> AsyncIterator[Wire]:
    """Connect, and leave no socket behind."""
    url = urlsplit(remote.sandbox.api_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    try:
        yield Wire(remote, reader, writer)
    finally:
        writer.transport.abort()


async def reply_bytes(remote: Remote, path: str = "/participants", **headers: str) -> bytes:
    """All that the sandbox sends in answer to one call on a connection that the sandbox then ends."""
    async with open_wire(remote) as wire:
        wire.ask(path, **headers)
        return await wire.rest()
