"""`python -m tests.contention`: processes contend for one token's budget, some are killed, and the server counts.

Prints what was spent of what could be, and how many calls were refused. Figures: docs/proof.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field

import psycopg

from syncd import logs
from syncd.sandbox.clock import Clock
from syncd.sandbox.server import Sandbox
from syncd.sandbox.settings import Limits, SandboxSettings
from tests import postgres
from tests.harness import CLIENT_SECRET, TODAY, Bench, environment, open_app

PROCESSES = 8
LIMITS = Limits(500, 30, 5)
# Another latency is drawn so often, in real seconds.
REDRAW_S = 0.05
# Of a driver that was killed: so soon may its work be taken over.
LEASE_S = 1.0
ROLES = "/events/{event_id}/roles"


@dataclass
class Contest:
    """What was seen: for each event the instants at which the server took a call, and every refusal."""

    seconds: float
    usable: int
    arrivals: dict[str, list[float]] = field(default_factory=dict)
    refused: int = 0
    most_in_flight: int = 0
    kills: int = 0

    def share(self, event_id: str) -> float:
        """Of the usable budget, what was spent."""
        return len(self.arrivals[event_id]) / self.usable


def usable_of(seconds: float) -> int:
    """Calls that the limits let one token make in a time that begins with nothing spent."""
    windows, rest = divmod(seconds, 60.0)
    burst = LIMITS.per_minute * (int(windows) + (rest > 0))
    return min(burst, LIMITS.per_hour * (int(seconds // 3600) + (seconds % 3600 > 0)))


async def contest(
    url: str, *, seconds: float, speed: float, latency_s: float, hold_s: float, kills: int = 0, events: int = 1
) -> Contest:
    """Let PROCESSES contend for `seconds` of the server's time, which runs `speed` times as fast as ours.

    A lease is held for about `hold_s` real seconds; each kill strikes a process that holds one. `events` share the
    processes out among them.
    """
    clock, drawn = Clock(speed), random.Random(1)
    settings = SandboxSettings(
        today=TODAY, limits=LIMITS, client_secret=CLIENT_SECRET, events=events, participants=5, activities=5
    )
    names = ("REVENTO__LIMITS__PER_HOUR", "REVENTO__LIMITS__PER_MINUTE", "REVENTO__LIMITS__IN_FLIGHT")
    environ = dict(zip(names, map(str, (LIMITS.per_hour, LIMITS.per_minute, LIMITS.in_flight)), strict=True))
    environ |= {"REVENTO__LIMITS__RESERVE": "0", "DAEMON__LEASE_S": str(LEASE_S), "DATABASE__POOL_SIZE": "4"}
    found = Contest(seconds, usable_of(seconds))
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(Sandbox(settings, clock))
        app = await stack.enter_async_context(open_app(url, sandbox, **environ))
        bench = Bench(sandbox, url, app)
        for event_id in sandbox.event_ids:
            await bench.add(event_id)
        epoch_s = clock.now() - time.monotonic() * speed
        arguments = [str(speed), repr(epoch_s), str(hold_s)]
        inherited = {"PATH": os.environ["PATH"], **environment(url, sandbox, **environ)}

        async def start(name: str) -> Process:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.contender", *arguments, name, stdout=PIPE, env=inherited
            )
            assert process.stdout is not None
            assert await process.stdout.readline() == b"ready\n"
            return process

        running = list(await asyncio.gather(*(start(bench.names[n % events]) for n in range(PROCESSES))))
        begun = clock.now()
        for moment in sorted(drawn.uniform(0.1, 0.6) * seconds for _ in range(kills)):
            await _wait(sandbox, found, begun + moment, latency_s, drawn)
            await _kill_a_driver(bench, running, start, found)
        await _wait(sandbox, found, begun + seconds, latency_s, drawn)
        for process in running:
            process.kill()
            await process.communicate()
        _count(sandbox, found, begun)
    return found


async def _wait(sandbox: Sandbox, found: Contest, until: float, latency_s: float, drawn: random.Random) -> None:
    """Draw the latency anew over and over; it is one of the server's seconds, and the sandbox sleeps in ours."""
    while sandbox.clock.now() < until:
        await sandbox.configure(latency_s=drawn.uniform(0.0, latency_s) / sandbox.clock.speed)
        await asyncio.sleep(REDRAW_S)


async def _kill_a_driver(
    bench: Bench, running: list[Process], start: Callable[[str], Awaitable[Process]], found: Contest
) -> None:
    """SIGKILL to a process that holds a lease, and another one in its place."""
    while True:
        for name, owner in bench.query("SELECT installation, owner FROM syncd.leases WHERE owner IS NOT NULL"):
            pid = int(owner.rpartition(" ")[2])
            struck = next((process for process in running if process.pid == pid), None)
            if struck is not None:
                struck.kill()
                await struck.communicate()
                running[running.index(struck)] = await start(name)
                found.kills += 1
                return
        await asyncio.sleep(0.01)


def _count(sandbox: Sandbox, found: Contest, begun: float) -> None:
    for entry in sandbox.log():
        if entry["endpoint"] != ROLES:
            continue
        found.refused += entry["status"] == 429
        found.most_in_flight = max(found.most_in_flight, entry["in_flight"] or 0)
        if begun <= entry["at"] < begun + found.seconds:
            found.arrivals.setdefault(entry["event_id"], []).append(entry["at"])


CONTESTS: dict[str, dict[str, float | int]] = {
    "one hour in a minute": {"seconds": 3600, "speed": 60, "latency_s": 1, "hold_s": 2, "kills": 4},
    "five minutes in real time": {"seconds": 300, "speed": 1, "latency_s": 1, "hold_s": 15, "kills": 1},
    "two installations": {"seconds": 3600, "speed": 60, "latency_s": 1, "hold_s": 2, "events": 2},
    "latency of 0 to 5 s": {"seconds": 3600, "speed": 60, "latency_s": 5, "hold_s": 2, "kills": 4},
}
LEAST_SHARE = 0.95


def main() -> int:
    """0: nothing was refused, and wherever latency is at most a second LEAST_SHARE was spent."""
    parser = argparse.ArgumentParser(prog="python -m tests.contention", description=__doc__)
    parser.add_argument("--only", choices=CONTESTS, help="this one alone")
    asked = parser.parse_args()
    logs.configure(level="critical")
    is_good = True
    with ExitStack() as stack:
        server = stack.enter_context(postgres.session_server())
        admin = stack.enter_context(psycopg.connect(server, autocommit=True))
        template = stack.enter_context(postgres.template_database(admin, server))
        for name in [asked.only] if asked.only else CONTESTS:
            with postgres.temporary_database(admin, server, template) as url:
                found = asyncio.run(contest(url, **CONTESTS[name]))  # type: ignore[arg-type]
            shares = [found.share(event_id) for event_id in found.arrivals]
            print(f"{name}: {PROCESSES} processes, {found.kills} killed; refused {found.refused};", end=" ")
            print(f"at most {found.most_in_flight} in flight;", end=" ")
            print(f"spent {', '.join(f'{share:.1%}' for share in shares)} of {found.usable} calls", flush=True)
            is_enough = CONTESTS[name]["latency_s"] > 1 or min(shares) >= LEAST_SHARE
            is_good &= not found.refused and found.most_in_flight <= LIMITS.in_flight and is_enough
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
