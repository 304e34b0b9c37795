"""What stands between two parties on loopback and passes their bytes on; what it does to them is its subclass's."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import urlsplit

Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter
Pair = tuple[Reader, Writer]
Ways = list[Coroutine[Any, Any, None]]
P = TypeVar("P", bound="TcpProxy")


class TcpProxy:
    """`url` leads through it. Each client has a connection of its own to the server; when one way ends, both do."""

    def __init__(self) -> None:
        self.url = ""
        self._server = ("", 0)
        self._tasks = set[asyncio.Task[None]]()

    async def ways(self, client: Pair, server: Pair) -> Ways:
        """What passes the bytes on, a coroutine for each way."""
        return [passed_on(client[0], server[1]), passed_on(server[0], client[1])]

    def connected(self, reader: Reader, writer: Writer) -> None:
        """Serve one client in a task of its own."""
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cut every connection."""
        await asyncio.sleep(0)  # a task that has not begun would leave its connection open
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: Reader, writer: Writer) -> None:
        running = set[asyncio.Task[None]]()
        try:
            from_server, to_server = await asyncio.open_connection(*self._server)
            with aborted(to_server):
                running |= {
                    asyncio.create_task(way) for way in await self.ways((reader, writer), (from_server, to_server))
                }
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            for way in running:
                way.cancel()
            writer.close()  # what was passed on still arrives
            await asyncio.gather(*running, return_exceptions=True)

    def _settle(self, url: str, port: int) -> None:
        parts = urlsplit(url)
        user = parts.netloc.rpartition("@")[0]
        at = f"127.0.0.1:{port}"
        self.url = parts._replace(netloc=f"{user}@{at}" if user else at).geturl()
        self._server = (parts.hostname or "", parts.port or 0)


async def passed_on(reader: Reader, writer: Writer) -> None:
    """Copy until the end."""
    with suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()


def reset(writer: Writer) -> None:
    """End a connection by RST, not by FIN."""
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.transport.abort()


@contextmanager
def aborted(writer: Writer) -> Iterator[None]:
    """End a connection with the block."""
    try:
        yield
    finally:
        writer.transport.abort()


@asynccontextmanager
async def running(proxy: P, url: str) -> AsyncIterator[P]:
    """The proxy before the server of `url`, on a port of the kernel's choice."""
    listening = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    proxy._settle(url, listening.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        listening.close()
        await proxy.close()
        await asyncio.sleep(0)  # aborted transports close their sockets in the next turn of the loop
