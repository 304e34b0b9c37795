"""One trial: what the sandbox has counted while eight processes contended for two tokens."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from syncd.sandbox import Limits
from tests.contention.clock import FastClock
from tests.contention.drivers import drivers
from tests.harness import Bench, OpenBench, environment

DRIVERS = 8
HOUR_S, MINUTE_S = 3600.0, 60.0
LIMITS = Limits(500, 30, 5)
LEASE_S = 2.0
_PROCESS = re.compile(r"process (\d+)")


@dataclass(frozen=True, slots=True)
class Trial:
    """How long it lasts, in seconds of a clock that is `speed` times as fast as the machine's, and who is killed when:
    pairs of a moment and the number of an installation, whose driver dies at its next call."""

    lasts_s: float
    speed: float
    latency_s: float
    kills: tuple[tuple[float, int], ...]
    seed: int = 1


@dataclass(slots=True)
class Spent:
    """What one token was worth: calls by their HTTP status, the most in flight, and how much there was to spend."""

    statuses: Counter[int] = field(default_factory=Counter)
    most_in_flight: int = 0
    most_in_a_minute: int = 0
    usable: int = 0
    kills: int = 0

    @property
    def share(self) -> float:
        """Of the usable budget."""
        return self.statuses[200] / self.usable

    def __str__(self) -> str:
        return (
            f"{self.statuses[200]} of {self.usable} calls ({self.share:.1%}), replies of 429: {self.statuses[429]}, "
            f"at most {self.most_in_flight} in flight and {self.most_in_a_minute} in a minute, "
            f"drivers killed in mid-call: {self.kills}"
        )


def usable(lasts_s: float) -> int:
    """Calls that the contract's limits allow within that time, from a fresh budget on."""
    return min(LIMITS.per_hour * -int(-lasts_s // HOUR_S), LIMITS.per_minute * -int(-lasts_s // MINUTE_S))


async def play(open_bench: OpenBench, trial: Trial) -> Mapping[str, Spent]:
    """What was spent of each of two tokens, by the installation's name."""
    since = time.time()
    clock = FastClock(since, trial.speed)
    bench = await open_bench(events=2, participants=2, activities=1, limits=LIMITS, access_token_s=1e7)
    setattr(bench.sandbox.clock, "now", clock.epoch_s)  # noqa: B010 - the sandbox's own clock knows one speed
    names = [(await bench.add(event_id)).name for event_id in bench.sandbox.event_ids]
    slow_down(bench, clock, Random(trial.seed), trial)
    order = {
        "environ": environment(
            bench.url,
            bench.sandbox,
            REVENTO__LIMITS__PER_HOUR=str(LIMITS.per_hour),
            REVENTO__LIMITS__PER_MINUTE=str(LIMITS.per_minute),
            REVENTO__LIMITS__RESERVE="0",
            DAEMON__LEASE_S=str(LEASE_S),
            DATABASE__POOL_SIZE="3",
            LOG__LEVEL="error",
        ),
        **{"names": names, "since": since, "speed": trial.speed, "seed": trial.seed},
    }
    killed: Counter[str] = Counter()
    async with drivers(order) as start:
        for number in range(DRIVERS):
            await start(number)
        while not bench.calls():
            await asyncio.sleep(0.001)
        begins_at = bench.calls()[0]["at"]
        for at_s, victim in trial.kills:
            await clock.sleep(max(begins_at + at_s - clock.epoch_s(), 0))
            async with asyncio.timeout(LEASE_S * 10 + 2 * MINUTE_S / trial.speed):
                await kill_driver(bench, names[victim])
            killed[names[victim]] += 1
            await start(DRIVERS + killed.total())
        await clock.sleep(max(begins_at + trial.lasts_s - clock.epoch_s(), 0))
    return counted(bench, begins_at + trial.lasts_s, trial, killed)


def slow_down(bench: Bench, clock: FastClock, random: Random, trial: Trial) -> None:
    """Let each call be under way, in the sandbox's hands, and on its way back for random parts of the latency."""
    listener: Any = bench.sandbox._listener
    respond: Callable[[Any], Awaitable[Any]] = listener._respond

    async def slowly(request: Any) -> Any:
        first, second = sorted(random.uniform(0, random.uniform(0, trial.latency_s)) for _ in range(2))
        await clock.sleep(first)
        bench.sandbox.settings = replace(bench.sandbox.settings, latency_s=(second - first) / trial.speed)
        reply = await respond(request)
        await clock.sleep(random.uniform(0, trial.latency_s - second))
        return reply

    listener._respond = slowly


async def kill_driver(bench: Bench, name: str) -> None:
    """Kill the driver of the installation just after a call of its has reached the sandbox."""
    event_id = name.rpartition("/")[2]
    before = bench.mark()
    while True:
        while not [call for call in bench.calls(since=before) if call["event_id"] == event_id]:
            await asyncio.sleep(0.001)
        before = bench.mark()
        owner = await asyncio.to_thread(
            bench.value, "SELECT max(owner) FROM syncd.leases WHERE installation = %s AND until > now()", name
        )
        if owner and (found := _PROCESS.search(owner)):
            os.kill(int(found[1]), signal.SIGKILL)
            return


def counted(bench: Bench, ends_at: float, trial: Trial, killed: Counter[str]) -> Mapping[str, Spent]:
    """What the sandbox's log says of each installation."""
    calls: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for call in bench.calls():
        if call["at"] < ends_at:
            calls[f"revento/{call['event_id']}"].append(call)
    spent = {}
    for name, its in calls.items():
        at = [call["at"] for call in its]
        spent[name] = Spent(
            statuses=Counter(call["status"] or 200 for call in its),
            most_in_flight=max(call["in_flight"] for call in its),
            most_in_a_minute=max(sum(1 for each in at if last - MINUTE_S < each <= last) for last in at),
            usable=usable(trial.lasts_s),
            kills=killed[name],
        )
    return spent
