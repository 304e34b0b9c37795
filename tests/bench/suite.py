"""The whole run: one server, two sandboxes, and each contender in its turn on a database that nobody has used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg

from syncd.store import embedded
from syncd.store.embedded import Server
from tests.bench.contenders import Contender
from tests.bench.measure import Meter, measured, stored
from tests.bench.processes import BenchFailed
from tests.bench.remote import Remote, remote
from tests.bench.report import Sample, Setting, setting
from tests.postgres import homes_folder, temporary_database

# As an operator runs it, but for this: its work would fall into some phases and clear away what is counted.
SERVER_OPTIONS = {"autovacuum": "off"}
START_UP, FIRST, AGAIN = "start-up: an event without participants", "first load", "re-sync, nothing changed"


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be measured."""

    contenders: Sequence[Contender]
    participants: int
    repeat: int
    latency_s: float


@dataclass(frozen=True, slots=True)
class _Stage:
    """What all contenders meet."""

    server: Server
    admin: psycopg.Connection
    empty: Remote  # an event without participants
    full: Remote
    participants: int


def measure(plan: Plan, tell: Callable[[str], None]) -> tuple[Setting, list[Sample]]:
    """Measure each phase of each contender as often as planned, the contenders by turns.

    Raises BenchFailed when one fails, or stores other rows than another one.
    """
    with ExitStack() as stack:
        tell("starting PostgreSQL and the sandboxes")
        stage = stack.enter_context(_stage(plan))
        where = setting(plan.participants, plan.repeat, plan.latency_s, postgres=stage.server.version)
        templates = [stack.enter_context(_template(stage, contender)) for contender in plan.contenders]
        samples: list[Sample] = []
        digests: set[tuple[int, str]] = set()
        for turn in range(1, plan.repeat + 1):
            for contender, template in zip(plan.contenders, templates, strict=True):
                tell(f"{contender.name}, {turn} of {plan.repeat}")
                with _database(stage, template) as url:
                    samples += _phases(stage, contender, url)
                    digests |= {stored(contender, url, stage.full)}
                _require_one(digests, plan.participants)
        return where, samples


def _phases(stage: _Stage, contender: Contender, url: str) -> Iterator[Sample]:
    meter = Meter(stage.server.pid, stage.admin)
    for phase, remote_, rows, new in (
        (START_UP, stage.empty, 0, 0),
        (FIRST, stage.full, stage.participants, stage.participants),
        (AGAIN, stage.full, stage.participants, 0),
    ):
        yield Sample(phase, contender.name, measured(contender, meter, url, remote_, rows=rows, new=new))


def _require_one(digests: set[tuple[int, str]], participants: int) -> None:
    """All must hold the same rows, all of them."""
    if len(digests) != 1 or {count for count, _ in digests} != {participants}:
        raise BenchFailed(f"not everybody stored the same {participants} rows: {sorted(digests)}")


@contextmanager
def _stage(plan: Plan) -> Iterator[_Stage]:
    with (
        remote(participants=plan.participants, seed=1, latency_s=plan.latency_s) as full,
        remote(participants=0, seed=2, latency_s=plan.latency_s) as empty,
        homes_folder(on_disk=True) as folder,
    ):
        server = embedded.start(folder / "home", options=SERVER_OPTIONS)
        with psycopg.connect(server.url, autocommit=True) as admin:
            yield _Stage(server, admin, empty, full, plan.participants)


@contextmanager
def _template(stage: _Stage, contender: Contender) -> Iterator[str]:
    """The name of a database that the contender has been set up in."""
    with temporary_database(stage.admin, stage.server.url) as url:
        contender.set_up(url, (stage.empty, stage.full))
        yield urlsplit(url).path.lstrip("/")


@contextmanager
def _database(stage: _Stage, template: str) -> Iterator[str]:
    with temporary_database(stage.admin, stage.server.url, template) as url:
        yield url
