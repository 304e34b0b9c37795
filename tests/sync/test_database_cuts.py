"""The database goes away in the middle of a page: nothing of the page is there, and the next run brings all of it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from syncd.errors import DatabaseError
from tests import truth
from tests.harness import Bench


class Cutter:
    """Ends the session of a page's transaction from outside, before its nth statement."""

    def __init__(self, url: str, nth: int) -> None:
        self._url, self._left = url, nth
        self.cut_at: str | None = None

    async def execute(self, cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
        """What `AsyncCursor.execute` does, when the time has not come."""
        self._left -= 1
        if self._left == 0:
            self.cut_at = str(query)
            with psycopg.connect(self._url, autocommit=True) as admin:
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", [cursor.connection.info.backend_pid])
        return await ORIGINAL(cursor, query, *args, **options)


ORIGINAL = psycopg.AsyncCursor.execute


@pytest.mark.fault(81)
@pytest.mark.parametrize("nth", range(4, 64, 4))
async def test_a_session_that_is_ended_at_any_statement(
    bench: Bench, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the first statement of the walk to beyond its last: the page is there whole or not at all."""
    await bench.sync()
    people = bench.sandbox.truth()["events"][0]["participants"]
    for row in people[::7]:
        bench.sandbox.world.patch(bench.event_id, "participants", row["id"], {"application_status": "rejected"})
    cutter = Cutter(bench.url, nth)

    async def execute(cursor: Any, query: Any, *args: Any, **options: Any) -> Any:
        return await cutter.execute(cursor, query, *args, **options)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", execute)
    try:
        await bench.sync(streams=["participants"])
    except DatabaseError:
        assert cutter.cut_at
    monkeypatch.undo()
    torn = bench.query(
        """SELECT page.request_id, count(participant_key) = page.inserted + page.updated FROM syncd.walk_pages AS page
           JOIN syncd.walks USING (walk_id) LEFT JOIN revento.participants ON _syncd_request_id = page.request_id
           WHERE stream = 'participants' AND page.updated > 0
           GROUP BY page.request_id, page.inserted, page.updated"""
    )
    assert all(whole for _, whole in torn)
    assert (await bench.sync(streams=["participants"])).exit_code == 0
    truth.assert_equal(bench.url, bench.sandbox.truth())
