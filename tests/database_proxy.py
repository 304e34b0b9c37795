"""A proxy between syncd and PostgreSQL that reads the wire protocol: it loses the reply to a commit, or forgets a
session after each transaction as a pooler does."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# PostgreSQL, "Message Formats": requests to encrypt, which come before the startup message and are declined.
_ENCRYPTION = {80877103, 80877104}
_COMMITTED = b"COMMIT\0"
_IDLE = b"I"  # of ReadyForQuery: outside a transaction


@dataclass
class DatabaseProxy:
    """`url` leads to the database.

    With `forgets` each transaction is followed by DISCARD ALL (PgBouncer's `server_reset_query_always`), and the client
    is told of a process that is not the one that serves it. The reply to the `lose_commit`-th commit from now on is
    lost with its connection.
    """

    url: str
    forgets: bool = False
    lose_commit: int = 0
    lost: int = 0
    forgotten: int = 0
    _server: tuple[str, int] = ("", 0)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client in a task of its own."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cut every connection."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(*self._server)
        ways = set[asyncio.Task[None]]()
        try:
            to_server.write(await _startup(reader, writer))
            ways = {
                asyncio.create_task(_copy(reader, to_server)),
                asyncio.create_task(self._replies(from_server, writer, to_server)),
            }
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            writer.transport.abort()
            to_server.transport.abort()

    async def _replies(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        while True:
            kind, body = await _message(reader)
            if kind == b"C" and body == _COMMITTED and self._loses_this():
                return
            if kind == b"Z" and body == _IDLE and self.forgets:
                await self._forget(reader, server)
            if kind == b"K" and self.forgets:
                body = bytes(len(body))
            client.write(kind + struct.pack("!I", len(body) + 4) + body)
            await client.drain()

    def _loses_this(self) -> bool:
        self.lose_commit -= 1
        self.lost += self.lose_commit == 0
        return self.lose_commit == 0

    async def _forget(self, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        query = b"DISCARD ALL\0"
        server.write(b"Q" + struct.pack("!I", len(query) + 4) + query)
        kind = b""
        while kind != b"Z":
            kind, _ = await _message(reader)
            assert kind != b"E"
        self.forgotten += 1


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    while True:
        head = await reader.readexactly(8)
        length, code = struct.unpack("!II", head)
        if code not in _ENCRYPTION:
            return head + await reader.readexactly(length - 8)
        writer.write(b"N")


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()


@asynccontextmanager
async def database_proxy(url: str, *, forgets: bool = False) -> AsyncIterator[DatabaseProxy]:
    """A proxy before the database of `url`, on a port of the kernel's choice."""
    parts = urlsplit(url)
    assert parts.hostname
    proxy = DatabaseProxy("", forgets=forgets, _server=(parts.hostname, parts.port or 5432))
    listening = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    at = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    user = parts.netloc.rpartition("@")[0]
    proxy.url = parts._replace(netloc=f"{user}@{at}" if user else at).geturl()
    try:
        yield proxy
    finally:
        listening.close()
        await proxy.close()
        await asyncio.sleep(0)  # aborted transports close their sockets in the next turn of the loop
