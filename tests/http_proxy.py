"""A proxy between syncd and an API that cuts, holds up or damages what passes, at a byte that the test names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from tests.tcp_proxy import Pair, Reader, TcpProxy, Ways, Writer, reset, running

Way = Literal["replies", "requests"]


@dataclass(frozen=True, slots=True)
class Strike:
    """What happens at byte `at` (from 0) of one way, counted from the last strike on, whatever the connection.

    `end` and `reset` cut before it, by FIN or RST to the client; `stall` waits before it until the client goes away;
    `flip` inverts the bits of `value` in it, `insert` puts `value` before it, `drop` leaves it out.
    """

    at: int
    how: Literal["end", "reset", "stall", "flip", "insert", "drop"]
    way: Way = "replies"
    value: int = 0xFF


class HttpProxy(TcpProxy):
    """Strikes in turn; `struck` are those that have happened."""

    def __init__(self) -> None:
        super().__init__()
        self.strikes: list[Strike] = []
        self.struck: list[Strike] = []
        self.passed: dict[Way, int] = {"replies": 0, "requests": 0}

    def strike(self, *strikes: Strike) -> None:
        """From the next byte on do these, and no others."""
        self.strikes, self.struck = list(strikes), []
        self.passed = {"replies": 0, "requests": 0}

    async def ways(self, client: Pair, server: Pair) -> Ways:
        """Both may be struck."""
        return [
            self._pass(client[0], server[1], client[1], "requests"),
            self._pass(server[0], client[1], client[1], "replies"),
        ]

    async def _pass(self, reader: Reader, writer: Writer, client: Writer, way: Way) -> None:
        while piece := await reader.read(65536):
            strike, at = self._due(way, len(piece))
            if strike is None:
                writer.write(piece)
            elif strike.how in ("end", "reset", "stall"):
                writer.write(piece[:at])
                await _end(client, strike.how)
                return
            else:
                writer.write(_damaged(piece, at, strike))
            await writer.drain()

    def _due(self, way: Way, size: int) -> tuple[Strike | None, int]:
        """The strike that falls into the next `size` bytes of this way, and where."""
        at = self.strikes[0].at - self.passed[way] if self.strikes else size
        if at >= size or self.strikes[0].way != way:
            self.passed[way] += size
            return None, 0
        strike = self.strikes.pop(0)
        self.struck.append(strike)
        self.passed = {"replies": 0, "requests": 0}
        return strike, at


async def _end(client: Writer, how: str) -> None:
    if how == "stall":
        await asyncio.Event().wait()
    elif how == "reset":
        reset(client)


def _damaged(piece: bytes, at: int, strike: Strike) -> bytes:
    match strike.how:
        case "insert":
            return piece[:at] + bytes([strike.value]) + piece[at:]
        case "drop":
            return piece[:at] + piece[at + 1 :]
        case _:
            return piece[:at] + bytes([piece[at] ^ strike.value]) + piece[at + 1 :]


@asynccontextmanager
async def http_proxy(url: str) -> AsyncIterator[HttpProxy]:
    """A proxy before the server of `url`."""
    async with running(HttpProxy(), url) as proxy:
        yield proxy
