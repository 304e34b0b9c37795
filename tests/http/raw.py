"""A server that answers with the bytes it is told, for replies that no honest server would give."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = Callable[[bytes], Iterable[bytes]]  # the request's head and body to the pieces of its reply


@dataclass
class RawServer:
    """`answer` is sent in pieces, `pause_s` apart, to whoever asks; an `Answer` may look at the request first.

    Then the connection is closed, or with `keep` kept for the next request, or with `reset` reset.
    """

    url: str = ""
    answer: Iterable[bytes] | Answer = ()
    pause_s: float = 0.0
    keep: bool = False
    reset: bool = False
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection in a task of its own."""
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self.requests.append(request := await _read_request(reader))
                await self._send(writer, self.answer(request) if callable(self.answer) else self.answer)
                if not self.keep:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            self._end(writer)

    async def _send(self, writer: asyncio.StreamWriter, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(self.pause_s)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        if self.reset:
            linger = struct.pack("ii", 1, 0)  # a close sends RST
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort() if self.keep or self.reset else writer.close()

    def reply(self, body: bytes, *headers: str, status: str = "200 OK") -> None:
        """A whole reply whose end is the close, unless a header says otherwise."""
        self.answer = [head(status, "Connection: close", *headers) + body]


def head(status: str = "200 OK", *headers: str) -> bytes:
    """The head of a reply."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def header_of(request: bytes, name: str) -> str:
    """A header of a request that the server has noted; empty when it has none."""
    found = re.search(rf"^{name}: *(.*?)\r$".encode(), request, re.IGNORECASE | re.MULTILINE)
    return found[1].decode() if found else ""


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    request = await reader.readuntil(b"\r\n\r\n")
    return request + await reader.readexactly(int(header_of(request, "Content-Length") or 0))


@asynccontextmanager
async def raw_server(context: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Listen on a port of the kernel's choice."""
    its = RawServer()
    server = await asyncio.start_server(its.connected, "127.0.0.1", 0, ssl=context)
    its.url = f"{'https' if context else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield its
    finally:
        server.close()
        for task in its.tasks:
            task.cancel()
        await asyncio.gather(*its.tasks, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports close their sockets in the next turn of the loop
