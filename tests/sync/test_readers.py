"""Who reads while a page is written sees the old rows or the new ones, never some of both (docs/faults.md O12)."""

from __future__ import annotations

from collections import Counter
from typing import Any

import psycopg
import pytest

from tests.harness import Bench, OpenBench

ORIGINAL = psycopg.AsyncCursor.execute
NAMES = """
    SELECT venue_name FROM bi.dim_locations UNION ALL SELECT building_name FROM bi.dim_locations
    UNION ALL SELECT floor_name FROM bi.dim_locations UNION ALL SELECT location_name FROM bi.dim_locations
"""


class Reader:
    """A session of its own that looks before and after every statement of a page's transaction."""

    def __init__(self, url: str, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen: Counter[frozenset[str]] = Counter()
        self._session = psycopg.connect(url, autocommit=True)
        self._sql = sql.encode()

        async def execute(cursor: Any, *args: Any, **options: Any) -> Any:
            self.look()
            result = await ORIGINAL(cursor, *args, **options)
            self.look()
            return result

        monkeypatch.setattr(psycopg.AsyncCursor, "execute", execute)

    def look(self) -> None:
        """Note which generations of names are to be seen."""
        rows = self._session.execute(self._sql).fetchall()
        self.seen[frozenset(name.rpartition(" ")[2] for (name,) in rows if name)] += 1

    def close(self) -> None:
        """End the session."""
        self._session.close()


@pytest.fixture
async def bench(open_bench: OpenBench) -> Bench:
    """A small world on one page of people."""
    bench = await open_bench({"REVENTO__PAGE_SIZE": "50"}, participants=40)
    await bench.add()
    return bench


@pytest.mark.fault(42)
async def test_a_graph_of_places_is_swapped_whole(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = bench.sandbox.truth()["events"][0]["locations"]
    bench.sandbox.world.put_locations(bench.event_id, renamed(tree, "v1"))
    await bench.sync(streams=["locations"])
    reader = Reader(bench.url, NAMES, monkeypatch)
    bench.sandbox.world.put_locations(bench.event_id, renamed(renamed(tree, "v1"), "v2"))
    await bench.sync(streams=["locations"])
    assert_old_then_new(reader)


async def test_a_page_is_seen_whole(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [row["id"] for row in bench.sandbox.truth()["events"][0]["participants"]]

    def rename(mark: str) -> None:
        for key in people:
            bench.sandbox.world.patch(bench.event_id, "participants", key, {"display_name": f"somebody {mark}"})

    rename("v1")
    await bench.sync(streams=["participants"])
    reader = Reader(bench.url, "SELECT display_name FROM revento.participant_private", monkeypatch)
    rename("v2")
    await bench.sync(streams=["participants"])
    assert_old_then_new(reader)


def renamed(node: Any, mark: str) -> Any:
    """The tree with a mark at the end of every name."""
    if isinstance(node, list):
        return [renamed(each, mark) for each in node]
    if not isinstance(node, dict):
        return node
    inner = {key: renamed(value, mark) for key, value in node.items()}
    return inner | ({"name": f"{node['name']} {mark}"} if isinstance(node.get("name"), str) else {})


def assert_old_then_new(reader: Reader) -> None:
    """Both were seen, each many times, and nothing else."""
    reader.close()
    assert set(reader.seen) == {frozenset({"v1"}), frozenset({"v2"})}
    assert min(reader.seen.values()) > 5
