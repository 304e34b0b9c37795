"""HTTP/1.1 over asyncio streams and h11: one listener, keep-alive connections, replies that may be cut on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import h11

READ_BYTES = 65_536
# Protects the sandbox from an endless body; the largest honest one is a whole location tree.
MAX_BODY_BYTES = 20_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `path` as sent (still percent-encoded), header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    query_text: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `cut_after_bytes` closes the connection after so many body bytes, `drop` before the first header,
    `eof_delimited` sends no length and ends the body by closing, `trickle_s` waits between single body bytes."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after_bytes: int | None = None
    drop: bool = False
    eof_delimited: bool = False
    trickle_s: float = 0


Respond = Callable[[Request], Awaitable[Reply]]


class Listener:
    """A listening socket and its connections; `stop` returns when every one of them is closed."""

    def __init__(self, respond: Respond) -> None:
        self._respond = respond
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port in use. Raises `OSError` when the port is taken."""
        self._server = await asyncio.start_server(self._connected, host, port, limit=READ_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the socket and all connections, whatever they are doing."""
        if self._server is None:
            return
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        await asyncio.sleep(0)  # aborted transports close their sockets in the next turn of the loop

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(_converse(reader, writer, self._respond))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)


async def _converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, respond: Respond) -> None:
    """Serve one connection until either side ends it; a peer that breaks HTTP or vanishes just loses it."""
    connection = h11.Connection(h11.SERVER)
    try:
        while (request := await _read_request(connection, reader)) is not None:
            if not await _send(connection, writer, await respond(request)):
                break
            connection.start_next_cycle()
        writer.close()
    except (ConnectionError, h11.ProtocolError):
        writer.transport.abort()
    except BaseException:
        writer.transport.abort()
        raise


async def _next_event(connection: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(READ_BYTES))
    return event


async def _read_request(connection: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """The next request of the connection, or None when the peer has closed it."""
    head = await _next_event(connection, reader)
    if not isinstance(head, h11.Request):
        return None
    body = bytearray()
    while isinstance(event := await _next_event(connection, reader), h11.Data):
        body += event.data
        if len(body) > MAX_BODY_BYTES:
            raise h11.RemoteProtocolError("request body too large", 413)
    path, _, query = head.target.decode("latin-1").partition("?")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
    pairs = dict(parse_qsl(query, keep_blank_values=True))
    return Request(head.method.decode("ascii"), path, pairs, query, headers, bytes(body))


async def _send(connection: h11.Connection, writer: asyncio.StreamWriter, reply: Reply) -> bool:
    """Write the reply; True when the connection can carry another request."""
    if reply.drop:
        writer.transport.abort()
        return False
    if reply.eof_delimited or reply.cut_after_bytes is not None:
        await _write(writer, _raw_head(reply), reply.body[: reply.cut_after_bytes], reply.trickle_s)
        return False
    head = connection.send(h11.Response(status_code=reply.status, headers=_head_fields(reply))) or b""
    connection.send(h11.Data(data=reply.body))
    connection.send(h11.EndOfMessage())
    await _write(writer, head, reply.body, reply.trickle_s)
    return connection.our_state is h11.DONE and connection.their_state is h11.DONE


async def _write(writer: asyncio.StreamWriter, head: bytes, body: bytes, trickle_s: float) -> None:
    writer.write(head if trickle_s else head + body)
    for at in range(len(body) if trickle_s else 0):
        await writer.drain()
        await asyncio.sleep(trickle_s)
        writer.write(body[at : at + 1])
    await writer.drain()


def _head_fields(reply: Reply) -> list[tuple[str, str]]:
    fields = [(name, value) for name, value in reply.headers.items() if name.lower() != "content-length"]
    if reply.eof_delimited:
        return [*fields, ("Connection", "close")]
    return [*fields, ("Content-Length", str(len(reply.body)))]


def _raw_head(reply: Reply) -> bytes:
    """The head of a damaged reply: h11 itself would refuse a body that is shorter than announced."""
    lines = [f"HTTP/1.1 {reply.status} Reply", *(f"{name}: {value}" for name, value in _head_fields(reply))]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
