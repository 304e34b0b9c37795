"""HTTP/1.1 over asyncio streams and h11: one listener, keep-alive connections, replies that may be cut on purpose."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import h11

from syncd.sandbox.damage import Damage, damaged, pieces

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


def _nothing() -> None:
    """What follows the delivery of most replies."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply. `delivered` is called once all of it was handed to a client that was still there."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    damage: Damage | None = None
    delivered: Callable[[], None] = _nothing


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
            reply = await respond(request)
            if not await _send(connection, reader, writer, reply):
                break
            connection.start_next_cycle()
            if reply.damage and await _ends_idle(connection, reader, reply.damage):
                break
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


async def _send(
    connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reply: Reply
) -> bool:
    """Write the reply; True when the connection can carry another request."""
    if reply.damage is not None:
        return await _send_damaged(connection, reader, writer, reply, reply.damage)
    writer.write(_plain(connection, reply.status, reply.headers, reply.body))
    await writer.drain()
    if not (reader.at_eof() or writer.is_closing()):
        reply.delivered()
    return _is_idle(connection)


def _plain(connection: h11.Connection, status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """The bytes of a well-formed reply; `connection` then knows that it has been sent."""
    fields = [(name, value) for name, value in headers.items() if name.lower() != "content-length"]
    head = connection.send(h11.Response(status_code=status, headers=[*fields, ("Content-Length", str(len(body)))]))
    connection.send(h11.Data(data=body))
    connection.send(h11.EndOfMessage())
    return (head or b"") + body


def _is_idle(connection: h11.Connection) -> bool:
    return connection.our_state is h11.DONE and connection.their_state is h11.DONE


async def _send_damaged(
    connection: h11.Connection,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    reply: Reply,
    damage: Damage,
) -> bool:
    """h11 itself would refuse to send these; it is told of a plain reply instead."""
    for number, piece in enumerate(pieces(damage, *damaged(damage, reply.status, reply.headers, reply.body))):
        await asyncio.sleep(damage.trickle_s if number else 0)
        writer.write(piece)
        await writer.drain()
    if damage.hang:
        await _wait_for_end(reader)
    if damage.reset:
        await _reset(writer)
    elif damage.drop:
        writer.transport.abort()
    _plain(connection, reply.status, {k: v for k, v in reply.headers.items() if k.lower() == "connection"}, b"")
    return not damage.ends_connection and _is_idle(connection)


async def _wait_for_end(reader: asyncio.StreamReader) -> None:
    while await reader.read(READ_BYTES):
        pass


async def _reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST, once what was written has left."""
    writer.transport.set_write_buffer_limits(0)
    await writer.drain()
    ours: socket.socket = writer.get_extra_info("socket")
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _ends_idle(connection: h11.Connection, reader: asyncio.StreamReader, damage: Damage) -> bool:
    """Wait for the next request as ordered; True when the connection is to be closed instead of serving it."""
    if damage.close_idle_s is None and not damage.close_on_next:
        return False
    try:
        arrived = await asyncio.wait_for(reader.read(READ_BYTES), damage.close_idle_s)
    except TimeoutError:
        return True
    connection.receive_data(arrived)
    return damage.close_on_next
