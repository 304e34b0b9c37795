"""A proxy between syncd and PostgreSQL that reads the wire protocol: it loses the reply to a commit, or forgets a
session after each transaction as a pooler does."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.tcp_proxy import Pair, Reader, TcpProxy, Ways, Writer, passed_on, running

# PostgreSQL, "Message Formats": requests to encrypt, which come before the startup message and are declined.
_ENCRYPTION = {80877103, 80877104}
_COMMITTED = b"COMMIT\0"
_IDLE = b"I"  # of ReadyForQuery: outside a transaction


class DatabaseProxy(TcpProxy):
    """With `forgets` each transaction is followed by DISCARD ALL (PgBouncer's `server_reset_query_always`), and the
    client is told of a process that is not the one that serves it. The reply to the `lose_commit`-th commit from now on
    is lost with its connection."""

    def __init__(self, *, forgets: bool) -> None:
        super().__init__()
        self.forgets = forgets
        self.lose_commit = self.lost = self.forgotten = 0

    async def ways(self, client: Pair, server: Pair) -> Ways:
        """The replies are read, the requests are not."""
        server[1].write(await _startup(*client))
        return [passed_on(client[0], server[1]), self._replies(server[0], client[1], server[1])]

    async def _replies(self, reader: Reader, client: Writer, server: Writer) -> None:
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

    async def _forget(self, reader: Reader, server: Writer) -> None:
        query = b"DISCARD ALL\0"
        server.write(b"Q" + struct.pack("!I", len(query) + 4) + query)
        kind = b""
        while kind != b"Z":
            kind, _ = await _message(reader)
            assert kind != b"E"
        self.forgotten += 1


async def _message(reader: Reader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    return kind, await reader.readexactly(length - 4)


async def _startup(reader: Reader, writer: Writer) -> bytes:
    while True:
        head = await reader.readexactly(8)
        length, code = struct.unpack("!II", head)
        if code not in _ENCRYPTION:
            return head + await reader.readexactly(length - 8)
        writer.write(b"N")


@asynccontextmanager
async def database_proxy(url: str, *, forgets: bool = False) -> AsyncIterator[DatabaseProxy]:
    """A proxy before the database of `url`."""
    async with running(DatabaseProxy(forgets=forgets), url) as proxy:
        yield proxy
