"""Histories by the thousand: a fault at every turn of the loop, for each reading of each gap, then seeded ones.

A history is named by one line, such as `3/limit/2/crash@120`, from which it can be played again.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import chain, islice
from random import Random

from syncd import logs
from tests.simulation.api import Readings
from tests.simulation.bugs import EngineBug
from tests.simulation.linked import Change, link
from tests.simulation.scenario import Plan, Verdict, play

READINGS = {
    "proposed": Readings(),
    "shifts": Readings(order_is_arbitrary=True),
    "age": Readings(cursor_ages_from_walk=True),
    "limit": Readings(limit_is_bound=True),
    "refresh": Readings(refresh_kills_cursors=True),
    "404": Readings(refusal=404),
    "410": Readings(refusal=410),
    "422": Readings(refusal=422),
    "clamps": Readings(limit_is_clamped=True),
    "grace": Readings(reuse_has_grace=True),
    "revokes": Readings(refresh_revokes=True),
    "strictest": Readings(
        cursor_ages_from_walk=True, limit_is_bound=True, refresh_kills_cursors=True, refusal=410, refresh_revokes=True
    ),
    "kindest": Readings(limit_is_clamped=True, reuse_has_grace=True),
}
FAULTS = ("crash", "pause", "failover", "lost", "refused")
_AT_TURNS = FAULTS[:3]  # the others name a commit
# From a restart at once to one that finds every cursor dead.
# A standby takes over, or a driver is paused, at each so manyth turn; crashes come at each.
RARE = 17
PAIRS_OF_ONE_WORLD = 5
COLLECT_EVERY = 100_000
SPARSE = 29
DOWNTIMES_S = (5.0, 90.0, 3_700.0, 82_000.0, 90_000.0)
# Seed 0: one of each kind, call after call.
EVERYTHING = (
    *(("change", 0), ("add", 50), ("change", 3), ("withdraw", 0), ("shrink", 0), ("serve_stale", 0)),
    *(
        ("refresh", 0),
        ("fail", 0),
        ("change", 0),
        ("serve_stale", 0),
        ("refresh", 0),
        ("void", 0),
        ("lose_token_reply", 0),
    ),
)
ACTS = ("change", "add", "withdraw", "refresh", "shrink", "fail", "serve_stale", "void", "lose_token_reply")
# What must have come of all that.
MET = ("DatabaseError", "LeaseLost", "clamped", "token renewed", "token reused", "consent")
# In the listing calls of the first rounds.
_CALLS = 9


def acts_of(seed: int) -> dict[int, tuple[str, int]]:
    """What happens at the source, by the number of the listing call; the same for every fault of one seed."""
    if seed == 0:
        return dict(enumerate(EVERYTHING, start=2))
    random = Random(seed)
    kinds = (*ACTS, "change", "refresh")
    calls = random.sample(range(1, _CALLS + 1), k=random.randint(3, 6))
    acts = {call: (random.choice(kinds), random.randrange(100)) for call in calls}
    # One withdrawal at most: where a listing shifts, each may make a walk skip a row, and two walks missing the same
    # row are what a removal is.
    withdrawals = [call for call, (kind, _) in acts.items() if kind == "withdraw"]
    return {call: (act if call not in withdrawals[1:] else ("change", act[1])) for call, act in acts.items()}


@dataclass(frozen=True)
class History:
    """One history's name."""

    seed: int
    reading: str
    drivers: int
    faults: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        faults = "+".join(f"{kind}@{at}" for kind, at in self.faults) or "none"
        return f"{self.seed}/{self.reading}/{self.drivers}/{faults}"

    @classmethod
    def named(cls, name: str) -> History:
        """Read what `str` wrote. Raises ValueError."""
        seed, reading, drivers, faults = name.split("/")
        if reading not in READINGS:
            raise ValueError(f"there is no reading {reading!r}")
        pairs = [fault.split("@") for fault in faults.split("+") if faults != "none"]
        return cls(int(seed), reading, int(drivers), tuple((kind, int(at)) for kind, at in pairs))

    def plan(self) -> Plan:
        """What is to be played."""
        at = {kind: tuple(at for each, at in self.faults if each == kind) for kind in FAULTS}
        return Plan(
            readings=READINGS[self.reading],
            acts=acts_of(self.seed),
            drivers=self.drivers,
            crash_at=at["crash"],
            pause_at=next(iter(at["pause"]), None),
            failover_at=next(iter(at["failover"]), None),
            lost_replies=at["lost"],
            refused=at["refused"],
            downtime_s=DOWNTIMES_S[(self.seed + sum(at["crash"])) % len(DOWNTIMES_S)],
        )


def histories(seed: int) -> Iterator[History]:
    """A crash at every turn, for one driver and for two, under each reading; every stream of them in turn order."""
    for reading in READINGS:
        for drivers in (1, 2):
            base = History(seed, reading, drivers)
            yield base
            worked, commits = extent(base)
            for turn in range(1, worked + 1):
                yield replace(base, faults=(("crash", turn),))
                if turn % RARE == 0:
                    yield replace(base, faults=(("failover", turn),))
                    yield replace(base, faults=(("pause", turn),))
            for number in range(1, commits + 1):
                yield replace(base, faults=(("lost", number),))
                yield replace(base, faults=(("refused", number),))


def pairs(seed: int) -> Iterator[History]:
    """Two faults, drawn; a few in each of many worlds, without end."""
    random = Random(seed)
    while True:
        base = History(random.randrange(1_000_000), random.choice(list(READINGS)), random.choice((1, 2)))
        worked, commits = extent(base)
        for _ in range(PAIRS_OF_ONE_WORLD):
            kinds = dict.fromkeys(random.choices(FAULTS, k=2))
            drawn = ((kind, random.randint(1, worked if kind in _AT_TURNS else commits)) for kind in kinds)
            yield replace(base, faults=tuple(drawn))


@lru_cache(maxsize=256)
def extent(base: History) -> tuple[int, int]:
    """Turns and commits of the history without a fault, before its quiet rounds."""
    verdict = play(base.plan(), link())
    return verdict.worked, verdict.commits


@dataclass
class Tally:
    """What a batch came to."""

    histories: int = 0
    crashes: int = 0
    seeds: set[int] = field(default_factory=set)
    fired: Counter[str] = field(default_factory=Counter)
    readings: Counter[str] = field(default_factory=Counter)  # of the histories with a crash, by reading and drivers
    violations: dict[str, list[str]] = field(default_factory=dict)

    def enter(self, name: str, verdict: Verdict) -> None:
        """Add one history."""
        self.histories += 1
        self.crashes += "crash" in verdict.fired
        seed, reading, drivers, _ = name.split("/")
        self.seeds.add(int(seed))
        self.readings[f"{reading}/{drivers}"] += "crash" in verdict.fired
        self.fired.update(verdict.fired)
        if verdict.violations:
            self.violations[name] = verdict.violations

    def never(self) -> list[str]:
        """What should have come to act, and has not: then nothing was proved of it."""
        crashed = [f"crash under {reading}/{drivers}" for reading in READINGS for drivers in (1, 2)]
        met = {*self.fired, *(f"crash under {name}" for name, times in self.readings.items() if times)}
        return [each for each in (*FAULTS, *ACTS, *MET, *crashed) if each not in met]


def one(name: str, changes: tuple[Change, ...] = ()) -> Verdict:
    """Play one history by its name."""
    return play(History.named(name).plan(), link(changes))


def chosen(seed: int, count: int) -> Iterable[History]:
    """`count` histories: those of every turn of one seed after another, then a tenth of pairs."""
    every = chain.from_iterable(histories(seed + n) for n in range(1_000_000))
    drawn = pairs(seed)
    return (next(drawn) if n % 10 == 9 else history for n, history in enumerate(islice(every, count)))


def run(seed: int, count: int, *, workers: int | None = None) -> Iterator[tuple[str, Verdict]]:
    """Play them, on every core; the verdicts come as they are ready."""
    names = (str(history) for history in chosen(seed, count))
    with multiprocessing.get_context("fork").Pool(workers or os.cpu_count(), _begin) as pool:
        yield from pool.imap_unordered(_played, names, chunksize=50)


def _begin() -> None:
    logs.configure(level="critical")
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)


def _played(name: str) -> tuple[str, Verdict]:
    return name, one(name)


def find_all(bugs: Sequence[EngineBug], seed: int, most: int) -> Iterator[tuple[str, str, int] | None]:
    """What `find` finds of each, on every core."""
    with multiprocessing.get_context("fork").Pool(os.cpu_count(), _begin) as pool:
        yield from pool.imap(partial(find, seed=seed, most=most), bugs, chunksize=1)


def find(bug: EngineBug, seed: int, most: int) -> tuple[str, str, int] | None:
    """The first history in which an oracle notices the bug, what it says, and how many were played."""
    tried = _sparse(seed) if bug.fault is None else _struck(seed, bug.fault)
    for number, history in enumerate(islice(tried, most), start=1):
        verdict = one(str(history), bug.changes)
        if verdict.violations:
            assert not one(str(history)).violations, f"{history} violates an oracle without any bug"
            return str(history), verdict.violations[0], number
    return None


def _sparse(seed: int) -> Iterator[History]:
    """A few of each reading's histories, so that every reading comes soon."""
    for n in range(1_000_000):
        yield from islice(histories(seed + n), n % SPARSE, None, SPARSE)


def _struck(seed: int, fault: str) -> Iterator[History]:
    """Two drivers of which the first meets this fault, turn after turn."""
    for n in range(1_000_000):
        base = History(seed + n, "proposed", 2)
        yield from (replace(base, faults=((fault, turn),)) for turn in range(1, extent(base)[0] + 1))
