"""A server that answers with the bytes it is told, for replies that no honest server would give."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class RawServer:
    """`answer` is sent in pieces, `pause_s` apart, to whoever asks; then the connection is closed, or kept for ever."""

    url: str = ""
    answer: Iterable[bytes] = ()
    pause_s: float = 0.0
    keep: bool = False
    requests: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            for piece in self.answer:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(self.pause_s)
            if self.keep:
                await asyncio.sleep(3600)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.transport.abort() if self.keep else writer.close()

    def reply(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        """A whole reply whose end is the close, unless a header says otherwise."""
        head = [f"HTTP/1.1 {status}", "Connection: close", *headers, "", ""]
        self.answer = ["\r\n".join(head).encode() + body]


@asynccontextmanager
async def raw_server(context: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Listen on a port of the kernel's choice."""
    its = RawServer()
    server = await asyncio.start_server(its.serve, "127.0.0.1", 0, ssl=context)
    its.url = f"{'https' if context else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield its
    finally:
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task.get_coro().__qualname__ == "RawServer.serve"]  # type: ignore[union-attr]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
