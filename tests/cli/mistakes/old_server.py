"""A server that speaks as much of PostgreSQL's protocol as a login takes, and says that it is of some version.

Messages: PostgreSQL, "Message Formats". Of what comes after the login the type is noted, and the connection closed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread


@dataclass
class OldServer:
    """Its port, how often somebody has logged in, and the type of the message that came after it; empty: none."""

    port: int = 0
    logins: int = 0
    heard: list[bytes] = field(default_factory=list)


@contextmanager
def old_server(version: str) -> Iterator[OldServer]:
    """A server on loopback."""
    its = OldServer()

    class Session(StreamRequestHandler):
        def handle(self) -> None:
            (length,) = struct.unpack("!i", self.rfile.read(4))
            self.rfile.read(length - 4)  # StartupMessage
            its.logins += 1
            self.wfile.write(_message(b"R", struct.pack("!i", 0)))  # AuthenticationOk
            self.wfile.write(_message(b"S", b"server_version\0" + version.encode() + b"\0"))
            self.wfile.write(_message(b"S", b"client_encoding\0UTF8\0"))
            self.wfile.write(_message(b"Z", b"I"))  # ReadyForQuery, idle
            its.heard.append(self.rfile.read(1))

    with ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        its.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield its
        finally:
            server.shutdown()
            thread.join()


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content
