"""A client in a process of its own, for the test that measures how much memory a hostile server can make it take.

`python -m tests.http.hostile URL` walks `URL/NAME` for each NAME on its standard input, as a listing of participants,
and prints a JSON line: what became of it, how many seconds it took, and the most memory the process has had so far.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from syncd.errors import ApiError
from syncd.http.bounds import Bounds
from syncd.http.client import Client, exchange, open_client
from syncd.sources.revento.decode_people import decode_participant
from syncd.sources.revento.walks import walk_pages
from syncd.wire.position import Start
from syncd.wire.reply import Reply, read_error_code
from tests.sources.scripted import INSTALLATION

BOUNDS = Bounds(deadline_s=4.0, patience_s=1.0)


@dataclass
class OnceApi:
    """`model.Api` that asks once and takes whatever comes."""

    client: Client
    url: str

    async def get(
        self,
        endpoint: str,
        query: Mapping[str, str | int] | None = None,
        *,
        path: Mapping[str, str] | None = None,
    ) -> Reply:
        """The reply, whatever its status."""
        reply = await exchange(self.client, self.client.build_request("GET", self.url, params=dict(query or {})))
        read_error_code(reply.body)
        return Reply(str(uuid4()), reply.status, reply.headers, reply.body, datetime.now(UTC))


async def try_walk(client: Client, url: str) -> str:
    """`rows N`, or the code of the error."""
    walk = walk_pages("/", decode_participant)(OnceApi(client, url), INSTALLATION, Start(), 50)
    try:
        return f"rows {sum([len(page.changes) + len(page.rejected) async for page in walk])}"
    except ApiError as error:
        return error.code or f"http_{error.status}"


def peak_mb() -> int:
    """The most memory that this program has had; `ru_maxrss` would count what its parent had when it forked."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) // 1024


async def main(url: str) -> None:
    """Walk each name of the standard input."""
    async with open_client(bounds=BOUNDS) as client:
        for name in sys.stdin.read().split():
            started = asyncio.get_running_loop().time()
            outcome = await try_walk(client, f"{url}/{name}")
            took_s = asyncio.get_running_loop().time() - started
            print(json.dumps([name, outcome, took_s, peak_mb()]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
