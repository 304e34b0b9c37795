"""Playing stories, some at a time: most of their time passes with waiting for leases to run out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random

import psycopg

from tests import postgres
from tests.harness import benches
from tests.kills.failpoint import Failpoint
from tests.kills.lives import Lives, lives
from tests.kills.points import FAILPOINTS
from tests.kills.story import Verdict, play

Plan = tuple[Failpoint, int]  # and the seed


@contextmanager
def databases() -> Iterator[Databases]:
    """A server for all stories."""
    with (
        postgres.session_server() as url,
        psycopg.connect(url, autocommit=True) as admin,
        postgres.template_database(admin, url) as template,
    ):
        yield Databases(admin, url, template)


class Databases:
    """Fresh databases, cloned from a template."""

    def __init__(self, admin: psycopg.Connection, url: str, template: str) -> None:
        self._admin, self._url, self._template = admin, url, template

    @asynccontextmanager
    async def fresh(self) -> AsyncIterator[str]:
        """The URL of one.

        In a thread: the server makes and drops a database when every session has answered it, and one that is just
        logging in from this event loop would wait for the loop.
        """
        database = postgres.temporary_database(self._admin, self._url, self._template)
        url = await asyncio.to_thread(database.__enter__)
        try:
            yield url
        finally:
            await asyncio.to_thread(database.__exit__, None, None, None)


async def play_all(plans: Iterable[Plan], fresh: Databases, at_a_time: int) -> AsyncIterator[Verdict]:
    """The verdicts as they come, each on a database of its own."""
    left, told = iter(plans), asyncio.Queue[Verdict | None]()

    async def work(its: Lives) -> None:
        try:
            for failpoint, seed in left:
                await told.put(await _play(failpoint, seed, its, fresh))
        finally:
            await told.put(None)

    async with lives() as its, asyncio.TaskGroup() as group:
        for _ in range(at_a_time):
            group.create_task(work(its))
        for _ in range(at_a_time):
            while (verdict := await told.get()) is not None:
                yield verdict


async def _play(failpoint: Failpoint, seed: int, its: Lives, fresh: Databases) -> Verdict:
    second = Random(f"{failpoint.name}/{seed}/second").choice(FAILPOINTS)
    async with fresh.fresh() as url, benches(url) as open_bench:
        return await play(open_bench, its, failpoint, seed, second)
