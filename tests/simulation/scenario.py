"""One simulated history: a source that changes, one or two drivers, a fault at a chosen turn; judged by the oracles.

The oracles are those of docs/faults.md §1. They look at each commit, and at the end at the tables, once the faults
have stopped and the drivers had their rounds.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import msgspec

from syncd.errors import DatabaseError, SyncdError
from syncd.model import Installation
from syncd.sources.revento import SOURCE
from syncd.store.changes import by_table
from tests.simulation import api, store
from tests.simulation.api import ModelApi, Readings, Source
from tests.simulation.authorization import Authorization, ModelTokenEndpoint, Remembered
from tests.simulation.linked import Engine
from tests.simulation.loop import LoopClock, Stuck, VirtualLoop, stamp
from tests.simulation.process import Process

PARTICIPANTS = SOURCE.stream("participants")
NAME = f"revento/{api.EVENT_ID}"
PAGE_SIZE = api.LARGEST_LIMIT
PEOPLE = 5
ROUNDS = 2
QUIET_ROUNDS = 4
# Virtual seconds: whatever takes longer goes round in circles.
PATIENCE_S = 40 * 86_400.0
MOST_TURNS = 60_000
UNWINDING_S = 600.0
PROPOSED = Readings()
# Two walks are begun anew in one round, and the next round's is prepared. Each time that a round is cut off and taken
# up again may add one.
MOST_RESTARTS = 3


@dataclass(frozen=True)
class Plan:
    """All that a history depends on. Crash, pause and failover come at turns of the loop; `downtime_s`: before each new
    start."""

    readings: Readings = PROPOSED
    acts: Mapping[int, tuple[str, int]] = field(default_factory=dict)  # number of a listing call -> what happens then
    drivers: int = 1
    crash_at: tuple[int, ...] = ()
    pause_at: int | None = None
    failover_at: int | None = None
    lost_replies: tuple[int, ...] = ()
    refused: tuple[int, ...] = ()
    downtime_s: float = 5.0


@dataclass
class Verdict:
    """How it went: turns that the loop took, what the oracles say, and what came to act."""

    turns: int = 0
    worked: int = 0  # of them before the quiet rounds: the turns at which a fault finds work to hit
    violations: list[str] = field(default_factory=list)
    fired: set[str] = field(default_factory=set)
    commits: int = 0
    calls: int = 0


def play(plan: Plan, engine: Engine) -> Verdict:
    """Run the history to its end."""
    return Play(plan, engine).run()


class Play:
    def __init__(self, plan: Plan, engine: Engine) -> None:
        self.plan, self.engine, self.verdict = plan, engine, Verdict()
        self.store = engine.modules["store"]  # `store` itself, unless a bug was put in
        self.loop = VirtualLoop()
        self.loop.before_turn = self._before_turn
        self.struck = False  # while a refresh token was being spent
        readings = plan.readings
        self.authorization = Authorization(
            readings.reuse_has_grace, readings.refresh_revokes, self.loop.time, lambda: self.struck, self._violated
        )
        acts = {call: self._act(*act) for call, act in plan.acts.items()}
        self.source = Source(readings, self.authorization, acts)
        self.model = self.store.Model(
            self.store.State(_installation(), self.authorization.consent()),
            lost_replies=plan.lost_replies,
            refused=plan.refused,
            on_commit=self._judge_commit,
        )
        self.remembered = defaultdict[UUID, Remembered](Remembered)  # on the machine's disk, which no crash empties
        self.first: Process | None = None
        self.cuts = 0

    def _act(self, name: str, argument: int) -> Callable[[Source], None]:
        def act(source: Source) -> None:
            self.verdict.fired.add(name)
            self.struck |= name == "lose_token_reply"
            getattr(source, name)(*([argument] if name in ("add", "change", "withdraw") else []))

        return act

    def run(self) -> Verdict:
        """Play it."""
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._main())
        except Stuck as error:
            self._violated("O9", str(error))
        except Exception as error:
            self._violated("O9", f"a quiet round broke off: {type(error).__name__}: {error}")
        finally:
            self.loop.before_turn = lambda _: None
            _end(self.loop)
        self.verdict.turns, self.verdict.calls = self.loop.turns, self.source.calls
        self.verdict.fired |= {kind for kind, times in self._came_to_act().items() if times}
        return self.verdict

    def _came_to_act(self) -> dict[str, int]:
        server = self.authorization
        return {
            "clamped": self.source.clamped,
            "token renewed": server.refreshes,
            "token reused": server.reused,
            "lost": sum(number <= self.model.commits for number in self.plan.lost_replies),
            "refused": sum(number <= self.model.commits for number in self.plan.refused),
        }

    def _before_turn(self, turn: int) -> None:
        if turn > MOST_TURNS:
            raise Stuck("it does not come to an end")
        if turn in self.plan.crash_at and self.first is not None and not self.first.is_dead:
            self.verdict.fired.add("crash")
            self._strike()
            self.first.kill()
        if turn == self.plan.pause_at and self.first is not None:
            self.verdict.fired.add("pause")
            self._strike()  # the round is taken over while it lasts
            process = self.first
            process.pause()
            self.loop.call_later(3 * self.model.lease_s, process.resume)
        if turn == self.plan.failover_at:
            self.verdict.fired.add("failover")
            self._strike()
            before = self.model.state.tokens
            self.model.fail_over(1 + turn % store.MOST_LOST)
            self.struck |= self.model.state.tokens != before

    def _strike(self) -> None:
        self.cuts += 1
        self.struck |= self.model.state.tokens.in_doubt

    async def _main(self) -> None:
        for number in range(PEOPLE):
            self.source.add(number)
        await asyncio.gather(*(self._drive(f"driver {n}", is_first=n == 0) for n in range(self.plan.drivers)))
        self.verdict.worked, self.verdict.commits = self.loop.turns, self.model.commits
        self.source.plan, self.source.is_voiding = {}, False
        self.source.stale_pages = min(self.source.stale_pages, 1)  # so that the last round meets none
        self.model.lost_replies = self.model.refused = ()
        process = Process()
        results = [await self._round(process, "quiet") for _ in range(QUIET_ROUNDS)]
        self._judge_end(results[-1])

    async def _drive(self, owner: str, *, is_first: bool) -> None:
        """Rounds of one driver, which is started again when it has died."""
        done = 0
        while done < ROUNDS:
            process = Process()
            if is_first:
                self.first = process
            task = process.start(self._rounds(process, owner, ROUNDS - done))
            await asyncio.wait([task])
            if not process.is_dead:
                if error := task.exception():
                    self._violated("O9", f"the driver broke off: {type(error).__name__}: {error}")
                return
            await asyncio.sleep(self.plan.downtime_s)
            done = min(done + 1, ROUNDS - 1)

    async def _rounds(self, process: Process, owner: str, count: int) -> None:
        for _ in range(count):
            await self._round(process, owner)

    async def _round(self, process: Process, owner: str) -> Any:
        """One round; None where an error of ours ended it."""
        engine = self.engine
        size = PAGE_SIZE + self.plan.readings.limit_is_clamped  # more than the server gives
        order = engine.Order(
            self.model.installation, (PARTICIPANTS,), "sync", owner, size, removals=engine.Rules(min_rows=3)
        )
        try:
            result = await engine.run_round(
                order, self.store.Database(self.model, process), self._connect(process), engine.Watch()
            )
            self._accept_restored()
            return result
        except SyncdError as error:
            self.verdict.fired.add(type(error).__name__)
            self.cuts += isinstance(error, DatabaseError)
            await asyncio.sleep(1.0)
            return None
        finally:
            self._consent_if_asked()

    def _connect(self, process: Process) -> Any:
        @asynccontextmanager
        async def connect(run: Any, claimed: Any) -> AsyncIterator[ModelApi]:
            tokens = self.engine.TokenManager(
                self.store.StoredTokens(run.database, run.lease),
                ModelTokenEndpoint(self.authorization, process),
                LoopClock(),
                self.remembered[run.installation.grant_id],
            )
            try:
                yield ModelApi(self.source, process, tokens)
            finally:
                await asyncio.shield(tokens.drain())

        return connect

    def _accept_restored(self) -> None:
        """The operator's `syncd db restored`, once a failover has lost a renewal and the driver says so."""
        known = self.model.installation
        if self.remembered[known.grant_id].newest() > self.model.state.tokens.generation and known.state == "active":
            self.verdict.fired.add("renewal lost by the database")
            self.model.write(installation=replace(known, state="needs_consent"))

    def _consent_if_asked(self) -> None:
        """The organizer connects the event again, as soon as it is needed."""
        known = self.model.installation
        if known.state != "needs_consent":
            return
        self.verdict.fired.add("consent")
        if not self.struck:
            self._violated("O9", "a new consent is needed, and nothing has struck a refresh")
        grant = UUID(int=known.grant_id.int + 1)
        self.model.write(
            installation=replace(known, state="active", grant_id=grant), tokens=self.authorization.consent()
        )

    # --- oracles -----------------------------------------------------------------------------------------------------

    def _violated(self, oracle: str, what: str) -> None:
        self.verdict.violations.append(f"{oracle}: {what}")

    def _judge_commit(self, tx: store.Transaction) -> None:
        claim = self.model.lease
        if (claim.owner, claim.epoch) != (tx.lease.owner, tx.lease.epoch):
            self._violated("O6", "a driver that was overtaken has written")
        before, after = tx.before, tx.data
        if before is not self.model.data:
            self._violated("O5", "two transactions wrote at once")
        for key, row in after.rows.items():
            old = before.rows.get(key)
            if old is not None and _older(row, old) and not _is_met_again(before, key, row):
                self._violated("O3", f"{key} has gone back from {old.known.version} to {row.known.version}")
            if row.is_hidden and (old is None or not old.is_hidden) and self._is_here(key):
                self._violated("O4", f"{key} was hidden, and is listed")
        for page in tx.served:
            for change in page.changes:
                key = f"{change.row['event_id']}/{change.row['participant_id']}"
                if key not in after.rows or _stale(after.rows[key], change.version):
                    self._violated("O5", f"the position passes {key}, which is not stored")
        for walk_id, walk in after.walks.items():
            was = before.walks.get(walk_id)
            if walk.outcome == "certified" and (was is None or was.outcome != "certified"):
                self._judge_certificate(walk, after)
        for run_id, result in after.results.items():
            if result.status in ("certified", "held") and before.results.get(run_id) != result:
                self._judge_green(run_id, after)
        restarted = sum(walk.generation > 1 and walk.run_id == tx.run_id for walk in after.walks.values())
        if restarted > MOST_RESTARTS + self.cuts:
            self._violated("O9", f"one run has begun the listing anew {restarted} times")

    def _judge_green(self, run_id: UUID, after: store.Data) -> None:
        closed = [walk_id for walk_id, walk in after.walks.items() if walk.outcome == "certified"]
        if not any(after.pages[walk_id][-1].run_id == run_id for walk_id in closed):
            self._violated("O1", "a stream is green, and none of its walks was certified")

    def _judge_certificate(self, walk: store.WalkRow, after: store.Data) -> None:
        """What was listed for the whole length of the walk is stored, at no older version than at its begin.

        Where a listing shifts while it is walked, nothing in its pages tells of the rows that it skips (G6).
        """
        if self.plan.readings.order_is_arbitrary:
            return
        for person in self.source.here():
            if stamp(person.since_s) >= walk.started_at:
                continue
            row = after.rows.get(_key(person.person_id))
            if row is None or row.is_hidden:
                self._violated("O1", f"{person.person_id} is not stored, and a walk past it is certified")
            elif person.person_id in self.source.shown_stale:  # it may be what the walk has met
                continue
            elif stamp(person.touched_s) < walk.started_at and _stale(row, stamp(int(person.updated_s))):
                self._violated("O1", f"{person.person_id} is stored at an older version than the walk has met")

    def _judge_end(self, last: Any) -> None:
        if last is None or last.exit_code != 0:
            self._violated("O9", f"quiet rounds do not succeed: {last and [stream.reason for stream in last.streams]}")
        shown = {key: row.known.content_hash for key, row in self.model.data.rows.items() if not row.is_hidden}
        wanted = {_key(person.person_id): _hash_of(person) for person in self.source.here()}
        if missing := sorted(set(wanted) - set(shown)):
            self._violated("O1", f"missing at the end: {missing}")
        if extra := sorted(set(shown) - set(wanted)):
            self._violated("O9", f"still shown at the end: {extra}")
        if stale := sorted(key for key in set(wanted) & set(shown) if wanted[key] != shown[key]):
            self._violated("O3", f"stale at the end: {stale}")

    def _is_here(self, key: str) -> bool:
        return any(_key(person.person_id) == key for person in self.source.here())


def _end(loop: VirtualLoop) -> None:
    """Let what is left of dead processes unwind."""
    loop.before_turn = lambda turn: None
    for task in asyncio.all_tasks(loop):
        task.cancel()
    if tasks := asyncio.all_tasks(loop):
        loop.run_until_complete(asyncio.wait(tasks, timeout=UNWINDING_S))
    loop.close()
    asyncio.set_event_loop(None)


def _installation() -> Installation:
    return Installation(
        name=NAME, source="revento", account=api.EVENT_ID, organization=None, timezone="UTC", environment="sandbox",
        api_url="http://127.0.0.1", auth_url=None, scopes=(PARTICIPANTS.scope,), state="active", grant_id=UUID(int=7),
    )  # fmt: skip


def _key(person_id: str) -> str:
    return f"{api.EVENT_ID}/{person_id}"


def _older(row: store.Row, than: store.Row) -> bool:
    return bool(row.known.version and than.known.version and row.known.version < than.known.version)


def _is_met_again(before: store.Data, key: str, row: store.Row) -> bool:
    """The one way back: a walk meets the older version that a certified one has met, so the source went back."""
    content, walk_id = before.older.get(key, (None, None))
    return walk_id is not None and before.walks[walk_id].outcome == "certified" and content == row.known.content_hash


def _stale(row: store.Row, version: Any) -> bool:
    return bool(version and row.known.version and row.known.version < version)


def _hash_of(person: api.Person) -> bytes:
    from syncd.sources.revento.decode import Batch
    from syncd.sources.revento.decode_people import decode_participant
    from syncd.wire.reply import Reply

    batch = Batch(Reply(str(UUID(int=1)), 200, {}, b"", stamp(0)), api.EVENT_ID)
    fields = batch.read(msgspec.Raw(msgspec.json.encode(api.row_of(person))), "$")
    assert fields is not None
    batch.add(fields, decode_participant)
    ((_, (keyed,)),) = list(by_table(batch.page().changes))
    return keyed.content_hash
