"""The model store and the store on PostgreSQL are one to the engine: the same calls, drawn by a seed, have the same
outcomes and leave the same tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest

from syncd.errors import SyncdError
from syncd.model import Counts, Installation, Lease, Page
from syncd.sources.revento import SOURCE
from syncd.store import changes, leases, runs, walks
from syncd.store.database import Database, open_database
from syncd.store.installations import promise, store_installation
from syncd.store.runs import StreamResult
from syncd.store.tokens import StoredTokens
from syncd.sync import removals
from syncd.wire.position import CursorAt, Position, Readings, Start, decode
from tests.postgres import temporary_database
from tests.simulation.linked import link
from tests.simulation.process import Process
from tests.store.conftest import EVENT_ID, STREAM, VAULT, installation, person, tokens

NAME = f"revento/{EVENT_ID}"
PARTICIPANTS = SOURCE.stream(STREAM)
RULES = removals.Rules(min_rows=2)
CALLS = 70
PEOPLE = 6
SEEDS = range(1, 41)
# What they must have come to, all together.
MET = (
    *("page", "page: LeaseLost", "page: Undone", "certified, some removed", "held, none removed"),
    *("skip_a_page: DatabaseError", "end_stream", "end_stream: DatabaseError", "spend", "spend: LeaseLost"),
    *("begin_anew", "open_run", "open_run: LeaseLost", "end_run: LeaseLost", "holder: one", "last_walk"),
)


class Undone(Exception):
    """What breaks a transaction off."""


@dataclass
class Side:
    """One of the two: its functions by name, its database, and what it has given out."""

    functions: dict[str, Any]
    rules: Any
    database: Any
    known: Installation
    store_tokens: Callable[[Lease], Any]
    run_out: Callable[[], None]
    tables: Callable[[Side], dict[str, Any]]
    leases: list[Lease] = field(default_factory=list)
    runs: list[UUID] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return self.functions[name]

    def begin(self, lease: int, run: int) -> Any:
        """A page transaction under some claim of the past."""
        return self.database.begin(self.leases[lease], self.runs[run], STREAM)


# --- the calls ------------------------------------------------------------------------------------------------------


async def claim(side: Side, owner: str) -> Any:
    claimed = await side.functions["claim"](side.database, NAME, owner)
    if claimed is None:
        return None
    side.leases.append(claimed.lease)
    return claimed.lease.owner, claimed.lease.epoch, claimed.after_crash


async def run_out(side: Side) -> None:
    side.run_out()


async def release(side: Side, lease: int) -> None:
    async with side.kept(side.database, side.leases[lease]):
        pass


async def holder(side: Side) -> Any:
    present = await side.functions["holder"](side.database, NAME)
    return present and present.owner


async def open_run(side: Side, lease: int, resume: bool) -> Any:
    opened = await side.functions["open_run"](
        side.database, side.leases[lease], "sync", side.known.grant_id, [STREAM], resume=resume
    )
    if opened.run_id not in side.runs:
        side.runs.append(opened.run_id)
    return side.runs.index(opened.run_id), [(done.status, done.pages, done.counts) for done in opened.certified]


async def end_run(side: Side, lease: int, run: int, state: str) -> None:
    await side.functions["end_run"](side.database, side.leases[lease], side.runs[run], state, 0)


async def page(side: Side, lease: int, run: int, served: Page, limit: int | None, fails: bool) -> Any:
    """One page of the open walk; the last one brings the certificate and what it removes."""
    async with side.begin(lease, run) as tx:
        walk = await side.open_walk(tx, grant=str(side.known.grant_id))
        here = served if served.resume_at is None else replace(served, resume_at=_at(tx, served, side))
        counts = await side.apply_changes(tx, here.changes, here.request_id, walk.walk_id)
        await side.record_page(tx, walk, here, counts)
        ended = None
        if here.resume_at is None:
            await side.certify(tx, walk, limit=limit)
            ended = await side.end_stream(tx, await side.remove_absent(tx, PARTICIPANTS, side.known, side.rules))
        else:
            await side.save_position(tx, here.resume_at)
        if fails:
            raise Undone
    return walk.generation, walk.page_number, counts, ended and (ended.status, ended.removed, ended.pages, ended.counts)


def _at(tx: Any, served: Page, side: Side) -> CursorAt:
    assert isinstance(served.resume_at, CursorAt)
    at = served.resume_at
    return CursorAt(at.cursor, tx.now, at.query, at.limit, str(side.known.grant_id), at.token)


async def skip_a_page(side: Side, lease: int, run: int, served: Page) -> Any:
    """What a failover leaves: a driver that is a page ahead of the ledger."""
    async with side.begin(lease, run) as tx:
        walk = await side.open_walk(tx, grant=str(side.known.grant_id))
        await side.record_page(tx, walk.turned(Start()), replace(served, changes=()), Counts())


async def begin_anew(side: Side, lease: int, run: int, limit: int | None, shown: Readings) -> Any:
    async with side.begin(lease, run) as tx:
        walk = await side.open_walk(tx, grant=str(side.known.grant_id))
        await side.abandon_walk(tx, walk, "refused")
        await side.begin_walk(tx, Start(limit=limit), generation=walk.generation + 1)
        await side.note_readings(tx, shown)
        return await side.restarts_of_run(tx)


async def forget(side: Side, lease: int, run: int) -> None:
    async with side.begin(lease, run) as tx:
        await side.abandon_open_walk(tx, "by hand")


async def end_stream(side: Side, lease: int, run: int, status: str) -> Any:
    async with side.begin(lease, run) as tx:
        ended = await side.functions["end_stream"](tx, StreamResult(STREAM, status))
        return ended.status, ended.pages, ended.counts


async def last_walk(side: Side, lease: int, run: int) -> Any:
    async with side.begin(lease, run) as tx:
        return await side.last_walk_s(tx) > 0.0


async def spend(side: Side, lease: int, until: str) -> Any:
    """A refresh, up to a step of it; of the pair that is there, or of another one."""
    held = side.store_tokens(side.leases[lease])
    before = (await held.load()).refresh_token if not until.startswith("old") else "rev_refresh_old"
    said = await held.intend(before)
    if until.endswith("refuse"):
        said = said, await held.refuse(before, "invalid_grant", "refused")
    if until == "save":
        for _ in range(2):  # as after a commit whose reply was lost
            await held.save(tokens(before[-6:] + "+"), spent=before)
    after = await held.load()
    return said, after.access_token, after.refresh_token, after.in_doubt, after.is_refused


# --- drawing them ---------------------------------------------------------------------------------------------------

Call = Callable[[Side], Awaitable[Any]]


def draw(random: Random, leases_given: int, runs_given: int) -> tuple[str, Call]:
    """A call and its name; mostly under the newest claim, for the newest run."""
    lease = leases_given - 1 if random.random() < 0.85 else random.randrange(leases_given)
    run = runs_given - 1 if random.random() < 0.9 else random.randrange(runs_given)
    owner, until = random.choice(("one", "two")), random.choice(("intend", "refuse", "save", "old", "old refuse"))
    status = random.choice(("failed", "incomplete", "certified"))
    shown = Readings(random.choice((None, True, False)), random.choice((None, True, False)))
    limit, flag = random.choice((None, 1, 2)), random.random() < 0.5
    is_last = random.random() < 0.5
    served = _page(random, is_last)
    fails = random.random() < 0.1
    drawn: list[tuple[int, str, Call]] = [
        (4, "claim", lambda side: claim(side, owner)),
        (2, "run_out", run_out),
        (2, "release", lambda side: release(side, lease)),
        (1, "holder", holder),
        (4, "open_run", lambda side: open_run(side, lease, flag)),
        (2, "end_run", lambda side: end_run(side, lease, run, "succeeded" if flag else "interrupted")),
        (30, "page", lambda side: page(side, lease, run, served, limit, fails)),
        (1, "skip_a_page", lambda side: skip_a_page(side, lease, run, served)),
        (3, "begin_anew", lambda side: begin_anew(side, lease, run, limit, shown)),
        (1, "forget", lambda side: forget(side, lease, run)),
        (3, "end_stream", lambda side: end_stream(side, lease, run, status)),
        (1, "last_walk", lambda side: last_walk(side, lease, run)),
        (2, "spend", lambda side: spend(side, lease, until)),
    ]
    ((_, name, call),) = random.choices(drawn, weights=[weight for weight, *_ in drawn])
    return name, call


def _page(random: Random, is_last: bool) -> Page:
    """Some people, one perhaps twice, at newer and older versions."""
    numbers = random.choices(range(PEOPLE), k=random.randrange(4))
    served = tuple(person(n, updated=random.randrange(3), visibility=random.choice("ab")) for n in numbers)
    at = CursorAt(f"c{random.randrange(99)}", None, PARTICIPANTS.name, 2, "", "t")  # type: ignore[arg-type]
    return Page(UUID(int=random.getrandbits(64)), served, None if is_last else at, limit=random.choice((2, 2, 2, 1)))


async def outcome_of(call: Call, side: Side) -> Any:
    """What it returns, or the kind of its failure."""
    try:
        return await call(side)
    except (SyncdError, Undone) as error:
        return type(error).__name__


# --- what stands in the tables --------------------------------------------------------------------------------------


def model_tables(side: Side) -> dict[str, Any]:
    """The model's."""
    state = side.database.model.state
    data = state.data
    return {
        "rows": {key: (row.known.content_hash, row.known.version, row.is_hidden) for key, row in data.rows.items()},
        "older": {key: content for key, (content, _) in data.older.items()},
        "position": _shown(data.position),
        "walks": Counter(
            (walk.generation, walk.outcome, walk.is_witness, len(data.pages.get(walk_id, ())))
            for walk_id, walk in data.walks.items()
        ),
        "results": {side.runs.index(run): (done.status, done.pages) for run, done in data.results.items()},
        "held": {ref.key for ref in data.pending.held},
        "lease": (state.lease.owner, state.lease.epoch),
        "runs": [state.runs[run].state for run in side.runs],
        "readings": (state.installation.cursor_survives_refresh, state.installation.cursor_survives_limit),
        "tokens": state.tokens.in_doubt,
    }


def real_tables(url: str) -> Callable[[Side], dict[str, Any]]:
    """PostgreSQL's."""

    def read(side: Side) -> dict[str, Any]:
        with psycopg.connect(url, autocommit=True) as session:

            def query(sql: str) -> list[tuple[Any, ...]]:
                return session.execute(sql.encode()).fetchall()

            states = dict(query("SELECT run_id, state FROM syncd.runs"))
            position = query("SELECT position FROM syncd.positions")
            return {
                "rows": {
                    key: (None, None, True) if is_hidden else (content, version, False)
                    for key, content, version, is_hidden in query(
                        "SELECT participant_key, _syncd_hash, updated_at, _syncd_deleted_at IS NOT NULL "
                        "FROM revento.participants"
                    )
                },
                "older": dict(query("SELECT entity_key, content_hash FROM syncd.older_versions")),
                "position": _shown(decode(position[0][0]) if position else Start()),
                "walks": Counter(
                    query(
                        "SELECT generation, outcome, coalesce(is_witness, false), (SELECT count(*) FROM "
                        "syncd.walk_pages AS page WHERE page.walk_id = walk.walk_id) FROM syncd.walks AS walk"
                    )
                ),
                "results": {
                    side.runs.index(run): (status, pages)
                    for run, status, pages in query("SELECT run_id, status, pages FROM syncd.run_streams")
                },
                "held": {key for (key,) in query("SELECT entity_key FROM syncd.pending_removals")},
                "lease": query("SELECT owner, epoch FROM syncd.leases")[0],
                "runs": [states[run] for run in side.runs],
                "readings": query("SELECT cursor_survives_refresh, cursor_survives_limit FROM syncd.installations")[0],
                "tokens": query("SELECT intent_at IS NOT NULL FROM syncd.credentials")[0][0],
            }

    return read


def _shown(position: Position) -> Any:
    return (position.cursor, position.limit) if isinstance(position, CursorAt) else ("start", position.limit)


# --- the test -------------------------------------------------------------------------------------------------------


def model_side(known: Installation) -> Side:
    """The model."""
    engine = link()
    module = engine.modules["store"]
    model = module.Model(module.State(known, tokens(NAME)), lease_s=60.0)
    database = module.Database(model, Process())

    def run_out() -> None:
        if model.lease.until_s is not None:
            model.write(lease=replace(model.lease, until_s=-1.0))

    functions = {**vars(module), "remove_absent": engine.remove_absent}
    return Side(
        functions, engine.Rules(min_rows=RULES.min_rows), database, known,
        lambda lease: module.StoredTokens(database, lease), run_out, model_tables,
    )  # fmt: skip


async def real_side(url: str, database: Database, known: Installation) -> Side:
    """PostgreSQL."""
    await store_installation(database, VAULT, known, tokens(NAME))
    await promise(database, "revento", {STREAM: timedelta(minutes=15)})

    def run_out() -> None:
        with psycopg.connect(url, autocommit=True) as session:
            session.execute("UPDATE syncd.leases SET until = now() - interval '1 s' WHERE until IS NOT NULL")

    functions = {**vars(leases), **vars(runs), **vars(changes), **vars(walks), "remove_absent": removals.remove_absent}
    return Side(
        functions, RULES, database, known,
        lambda lease: StoredTokens(database, VAULT, lease), run_out, real_tables(url),
    )  # fmt: skip


async def compared(url: str, seed: int) -> Counter[str]:
    """Make the same calls on both; how often each came out how."""
    random, outcomes, told = Random(seed), Counter[str](), list[str]()
    async with open_database(url, pool_size=5, lease_s=60) as database:
        known = installation(NAME)
        model, real = model_side(known), await real_side(url, database, known)
        first: list[tuple[str, Call]] = [("claim", lambda side: claim(side, "one")), ("open_run", _open_first_run)]
        for number in range(CALLS):
            name, call = first[number] if number < len(first) else draw(random, len(model.leases), len(model.runs))
            expected, got = await outcome_of(call, model), await outcome_of(call, real)
            told.append(f"{number} {name}: {expected}")
            assert got == expected, told[-8:]
            assert real.tables(real) == model.tables(model), told[-8:]
            outcomes[f"{name}: {expected}" if isinstance(expected, str) else name] += 1
            if name == "page" and isinstance(expected, tuple) and expected[3]:
                outcomes[f"{expected[3][0]}, {'some' if expected[3][1] else 'none'} removed"] += 1
    return outcomes


async def _open_first_run(side: Side) -> Any:
    return await open_run(side, 0, resume=False)


@pytest.fixture(autouse=True)
def _no_latency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link().modules["store"], "ACT_S", 0.0)


async def test_a_few_calls(database_url: str) -> None:
    outcomes = await compared(database_url, 0)
    assert outcomes["page"] > CALLS / 5


@pytest.mark.slow
async def test_many_calls(postgres_admin: psycopg.Connection, postgres_server: str, postgres_template: str) -> None:
    outcomes = Counter[str]()
    for seed in SEEDS:
        with temporary_database(postgres_admin, postgres_server, postgres_template) as url:
            outcomes += await compared(url, seed)
    assert [each for each in MET if not outcomes[each]] == [], f"these never came to pass; there were {outcomes}"
