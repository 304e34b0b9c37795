"""The remote: `syncd sandbox` in a process of its own, without limits."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import Request, urlopen

from tests.bench.processes import Command, start

NO_LIMITS = ("--per-hour", "0", "--per-minute", "0", "--in-flight", "0")


@dataclass(frozen=True, slots=True)
class Remote:
    """A running sandbox with one event."""

    pid: int
    api_url: str
    auth_url: str
    control_url: str
    event_id: str

    def control(self, method: str, path: str, body: object = None) -> Any:
        """One request to the control port."""
        request = Request(self.control_url + path, json.dumps(body or {}).encode(), method=method)
        with urlopen(request, timeout=60) as reply:
            return json.load(reply)

    def token(self) -> dict[str, Any]:
        """A fresh grant's token response."""
        reply: dict[str, Any] = self.control("POST", "/connect", {"event_id": self.event_id})
        return reply

    def calls(self, since: int = 0) -> int:
        """How many calls have arrived behind the first `since`."""
        return len(self.control("GET", f"/log?since={since}"))


@contextmanager
def remote(*, participants: int, seed: int, latency_s: float = 0) -> Iterator[Remote]:
    """A sandbox whose one event has so many participants; it ends with the block."""
    sizes = ("--events", "1", "--participants", str(participants), "--activities", "10", "--seed", str(seed))
    latency = ("--latency", str(latency_s))
    process = start(
        Command(("-m", "syncd", "sandbox", "--json", *NO_LIMITS, *sizes, *latency), {}),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with process:
        try:
            assert process.stdout is not None
            said = json.loads(process.stdout.readline())
            urls = {name: said[name] for name in ("api_url", "auth_url", "control_url")}
            yield Remote(process.pid, **urls, event_id=said["event_ids"][0])
        finally:
            process.kill()
