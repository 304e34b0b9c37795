"""The same histories on the model store and on PostgreSQL: one driver, which dies at a chosen page's commit, before it
or after; at the end the tables tell the same.

Both play on virtual time against the same model of the source; only the store is another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from syncd.credentials.refresh import TokenManager
from syncd.store.database import open_database
from syncd.store.installations import find_installation, promise, store_installation
from syncd.store.tokens import StoredTokens
from syncd.sync import round as real_round
from syncd.wire.position import decode
from tests.postgres import temporary_database
from tests.simulation import loop as loops
from tests.simulation import scenario
from tests.simulation.api import ModelApi, Source
from tests.simulation.authorization import Authorization, ModelTokenEndpoint, Remembered
from tests.simulation.batch import READINGS, acts_of
from tests.simulation.linked import link
from tests.simulation.loop import LoopClock, MixedLoop, VirtualLoop
from tests.simulation.process import Killed, Process
from tests.simulation.scenario import NAME, PAGE_SIZE, PARTICIPANTS, PEOPLE
from tests.store.conftest import VAULT

ROUNDS, QUIET_ROUNDS, DOWNTIME_S = 4, 3, 5.0
READINGS_PLAYED = ("proposed", "limit", "refresh", "clamps", "grace", "revokes")


@dataclass(frozen=True)
class Crash:
    """Before or after the nth page's commit; 0: never."""

    commit: int = 0
    is_after: bool = False


class Mortal:
    """A database as one process sees it, which may die of a commit; what it does afterwards reaches nobody."""

    def __init__(self, database: Any, process: Process, history: History) -> None:
        self._database, self._process, self._history = database, process, history

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    @asynccontextmanager
    async def begin(self, *args: Any) -> AsyncIterator[Any]:
        """A page transaction."""
        await self._process.act()
        async with self._database.begin(*args) as tx:
            yield tx
            await self._process.act()
            self._die_if_it_is_time(is_after=False)
        self._die_if_it_is_time(is_after=True)

    def _die_if_it_is_time(self, *, is_after: bool) -> None:
        history = self._history
        history.commits += not is_after
        if history.crash == Crash(history.commits, is_after):
            history.crashed = True
            self._process.kill()
            raise Killed


class MortalReal(Mortal):
    """The same on PostgreSQL, where control queries have a transaction too."""

    @asynccontextmanager
    async def control(self) -> AsyncIterator[Any]:
        """A control query."""
        await self._process.act()
        async with self._database.control() as control:
            yield control


@dataclass
class Side:
    """A store: how a process opens it, how its tables read, and the engine that is bound to it."""

    engine: Any
    open: Callable[[Process, History], Any]
    token_store: Callable[[Any, Any], Any]
    installation: Callable[[], Awaitable[Any]]
    run_out: Callable[[], None]


class History:
    """One history on one side."""

    def __init__(self, seed: int, reading: str, crash: Crash, now_s: Callable[[], float]) -> None:
        readings = READINGS[reading]
        self.server = Authorization(readings.reuse_has_grace, readings.refresh_revokes, now_s, lambda: True)
        acts = {call: self._act(*act) for call, act in acts_of(seed).items() if act[0] not in ("lose_token_reply",)}
        self.source = Source(readings, self.server, acts)
        self.size = PAGE_SIZE + readings.limit_is_clamped
        self.crash, self.commits, self.crashed = crash, 0, False

    def _act(self, name: str, argument: int) -> Callable[[Source], None]:
        takes = [argument] if name in ("add", "change", "withdraw") else []
        return lambda source: getattr(source, name)(*takes)

    async def play(self, side: Side) -> None:
        """Rounds until the work is done, and quiet ones."""
        for number in range(PEOPLE):
            self.source.add(number)
        done = 0
        while done < ROUNDS:
            process = Process()
            task = process.start(self._rounds(side, process, ROUNDS - done))
            await asyncio.wait([task])
            if not process.is_dead:
                task.result()
                break
            await asyncio.sleep(DOWNTIME_S)
            side.run_out()
            done = min(done + 1, ROUNDS - 1)
        self.crash = Crash()  # one that is still to come finds no work
        self.source.plan, self.source.is_voiding = {}, False
        self.source.stale_pages = 0
        await self._rounds(side, Process(), QUIET_ROUNDS)

    async def _rounds(self, side: Side, process: Process, count: int) -> None:
        for _ in range(count):
            rules = side.engine.Rules(min_rows=3)
            order = side.engine.Order(
                await side.installation(), (PARTICIPANTS,), "sync", "driver", self.size, removals=rules
            )
            await side.engine.run_round(
                order, side.open(process, self), self._connect(side, process), side.engine.Watch()
            )

    def _connect(self, side: Side, process: Process) -> Any:
        @asynccontextmanager
        async def connect(run: Any, claimed: Any) -> AsyncIterator[ModelApi]:
            endpoint = ModelTokenEndpoint(self.server, process)
            tokens = TokenManager(side.token_store(run.database, run.lease), endpoint, LoopClock(), Remembered())
            try:
                yield ModelApi(self.source, process, tokens)
            finally:
                await asyncio.shield(tokens.drain())

        return connect

    def rows(self, stored: dict[str, tuple[bytes | None, bool]]) -> dict[str, Any]:
        """Of each stored row whether it is hidden, and whether it is as the source has it. Stamps differ by a blink."""
        now = {scenario._key(each.person_id): scenario._hash_of(each) for each in self.source.here()}
        return {key: (is_hidden, content == now.get(key)) for key, (content, is_hidden) in stored.items()}


def on_model(seed: int, reading: str, crash: Crash) -> tuple[bool, dict[str, Any]]:
    """Whether it crashed, and the model's tables at the end."""
    engine, loop = link(), VirtualLoop()
    module = engine.modules["store"]
    history = History(seed, reading, crash, loop.time)
    model = module.Model(module.State(scenario._installation(), history.server.consent()))

    async def installation() -> Any:
        return model.installation

    def run_out() -> None:
        model.write(lease=module.LeaseRow(model.lease.epoch, model.lease.owner, -1.0))

    side = Side(
        engine, lambda process, history: Mortal(module.Database(model, process), process, history),
        module.StoredTokens, installation, run_out,
    )  # fmt: skip
    _run(loop, history.play(side))
    data, order = model.data, list(model.state.runs)
    return history.crashed, {
        "rows": history.rows({key: (row.known.content_hash, row.is_hidden) for key, row in data.rows.items()}),
        "walks": Counter(
            (walk.generation, walk.outcome, walk.is_witness, len(data.pages.get(walk_id, ())))
            for walk_id, walk in data.walks.items()
        ),
        "position": data.position,
        "held": {ref.key for ref in data.pending.held},
        "runs": [model.state.runs[run].state for run in order],
        "results": {order.index(run): (done.status, done.pages) for run, done in data.results.items()},
        "readings": (model.installation.cursor_survives_refresh, model.installation.cursor_survives_limit),
        "lease": (model.lease.owner, model.lease.epoch),
    }


def on_postgres(url: str, seed: int, reading: str, crash: Crash) -> tuple[bool, dict[str, Any]]:
    """Whether it crashed, and PostgreSQL's tables at the end."""
    loop = MixedLoop()
    history = History(seed, reading, crash, loop.time)
    _run(loop, _on_postgres(url, history))
    with psycopg.connect(url, autocommit=True) as session:

        def query(sql: str) -> list[tuple[Any, ...]]:
            return session.execute(sql.encode()).fetchall()

        runs = query("SELECT run_id, state FROM syncd.runs ORDER BY started_at")
        order = [run for run, _ in runs]
        stored = query("SELECT participant_key, _syncd_hash, _syncd_deleted_at IS NOT NULL FROM revento.participants")
        return history.crashed, {
            "rows": history.rows({key: (None if hidden else content, hidden) for key, content, hidden in stored}),
            "walks": Counter(
                query(
                    "SELECT generation, outcome, coalesce(is_witness, false), (SELECT count(*) FROM "
                    "syncd.walk_pages AS page WHERE page.walk_id = walk.walk_id) FROM syncd.walks AS walk"
                )
            ),
            "position": decode(query("SELECT position FROM syncd.positions")[0][0]),
            "held": {key for (key,) in query("SELECT entity_key FROM syncd.pending_removals")},
            "runs": [state for _, state in runs],
            "results": {
                order.index(run): (status, pages)
                for run, status, pages in query("SELECT run_id, status, pages FROM syncd.run_streams")
            },
            "readings": query("SELECT cursor_survives_refresh, cursor_survives_limit FROM syncd.installations")[0],
            "lease": query("SELECT owner, epoch FROM syncd.leases")[0],
        }


async def _on_postgres(url: str, history: History) -> None:
    async with open_database(url, pool_size=5, lease_s=60.0) as database:
        await store_installation(database, VAULT, scenario._installation(), history.server.consent())
        await promise(database, "revento", {PARTICIPANTS.name: timedelta(minutes=15)})

        async def installation() -> Any:
            return await find_installation(database, NAME)

        def run_out() -> None:
            with psycopg.connect(url, autocommit=True) as session:
                session.execute("UPDATE syncd.leases SET until = now() - interval '1 s' WHERE until IS NOT NULL")

        side = Side(
            real_round, lambda process, history: MortalReal(database, process, history),
            lambda database, lease: StoredTokens(database, VAULT, lease), installation, run_out,
        )  # fmt: skip
        await history.play(side)


def _run(loop: VirtualLoop, work: Any) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(work)
    finally:
        scenario._end(loop)


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time begins now: the database's clock is the real one, and it judges how old a cursor is."""
    monkeypatch.setattr(loops, "EPOCH", datetime.now(UTC).replace(microsecond=0))


def compare(url: str, seed: int, reading: str, crash: Crash) -> bool:
    """Play it on both; whether it came to the crash."""
    (crashed, expected), (crashed_too, got) = on_model(seed, reading, crash), on_postgres(url, seed, reading, crash)
    assert crashed_too == crashed
    assert got == expected, f"{seed}/{reading}/{crash}"
    assert all(is_hidden or is_true for is_hidden, is_true in got["rows"].values())
    return crashed


@pytest.mark.fault(94)
@pytest.mark.parametrize("is_after", [False, True])
def test_a_crash_at_a_commit_leaves_the_same_tables(database_url: str, is_after: bool) -> None:
    assert compare(database_url, 0, "proposed", Crash(7, is_after))


@pytest.mark.fault(94)
@pytest.mark.slow
@pytest.mark.parametrize("reading", READINGS_PLAYED)
def test_a_crash_at_every_commit_leaves_the_same_tables(
    postgres_admin: psycopg.Connection, postgres_server: str, postgres_template: str, reading: str
) -> None:
    crashed, commit = 0, 0
    while True:
        commit += 1
        for is_after in (False, True):
            with temporary_database(postgres_admin, postgres_server, postgres_template) as url:
                if not compare(url, 0, reading, Crash(commit, is_after)):
                    assert crashed > 20, "there were more commits than that"
                    return
                crashed += 1
