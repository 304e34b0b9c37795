"""Listings of any shape: pages that lead to one another at random, lists that change between pages. A walk ends, in a
whole or in an error, and what it yields is what was served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count, product
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from syncd.errors import ContractBreach, ListingBroken
from syncd.model import Page
from syncd.sources.revento import SOURCE
from syncd.sources.revento.trail import MOST_BARREN_PAGES
from syncd.wire.position import CursorAt, Position, Start
from syncd.wire.reply import Reply
from tests.sources.revento import samples
from tests.sources.scripted import INSTALLATION, ScriptedApi, listing, pages_of, reply

IDS = st.integers(0, 12)
LIES = ("no has_more", "more without a cursor", "an end with a cursor")
PAGED, WHOLE = ("participants", "activities"), ("roles", "threads", "waves")
SAMPLES = {
    "participants": samples.participant,
    "activities": samples.activity,
    "roles": samples.role,
    "threads": samples.thread,
    "waves": samples.wave,
}
KEYS = {"participants": "participant_id", "activities": "activity_id", "roles": "role_id", "threads": "thread_id",
        "waves": "wave_id"}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """One page: its rows, the page that it leads to (None: the end), and how it lies about that."""

    rows: tuple[int, ...]
    leads_to: int | None
    lie: str | None = None


@dataclass
class Graph:
    """`Api` of a listing made of nodes, the first of which is node 0. With `fresh` no cursor is given out twice."""

    stream: str
    nodes: list[Node]
    fresh: bool
    served: list[int] = field(default_factory=list)
    _cursors: dict[str, int] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)

    async def get(
        self,
        endpoint: str,
        query: Mapping[str, str | int] | None = None,
        *,
        path: Mapping[str, str] | None = None,
    ) -> Reply:
        """The node that the cursor stands for."""
        cursor = str((query or {}).get("cursor", ""))
        at = self._cursors[cursor] if cursor else 0
        self.served.append(at)
        distinct = len({node.rows for node in self.nodes})
        assert len(self.served) <= (distinct + 1) * (MOST_BARREN_PAGES + 1), "the walk does not end"
        return reply(self._body(self.nodes[at]))

    def _body(self, node: Node) -> dict[str, Any]:
        rows = [SAMPLES[self.stream](id=f"id_{number}") for number in node.rows]
        body: dict[str, Any] = {"data": rows, "next_cursor": None, "has_more": node.leads_to is not None}
        if node.leads_to is not None:
            body["next_cursor"] = self._cursor(node.leads_to)
        match node.lie:
            case "no has_more":
                del body["has_more"]
            case "more without a cursor":
                body |= {"has_more": True, "next_cursor": None}
            case "an end with a cursor":
                body |= {"has_more": False, "next_cursor": self._cursor(0)}
        return body

    def _cursor(self, to: int) -> str:
        cursor = f"c{to}-{next(self._numbers)}" if self.fresh else f"c{to}"
        self._cursors[cursor] = to
        return cursor


def way_through(graph: Graph) -> tuple[list[int], bool]:
    """The nodes that a reader meets who goes where he is led, and whether that ends well; a page that is led to a
    second time is where he stops."""
    met: list[int] = []
    at: int | None = 0
    while at is not None and at not in met:
        met.append(at)
        node = graph.nodes[at]
        if node.lie == "more without a cursor" or (node.lie == "no has_more" and graph.stream in PAGED):
            return met, False
        at = node.leads_to if node.lie is None else None
    return met, at is None


@st.composite
def graphs(draw: st.DrawFn, streams: tuple[str, ...] = (*PAGED, *WHOLE)) -> Graph:
    """Up to eight pages; most lead on to the next one, the rest anywhere."""
    size = draw(st.integers(1, 8))
    nodes = []
    for number in range(size):
        onward = number + 1 if number + 1 < size else None
        leads_to = draw(st.sampled_from([onward] * 4 + [None, *range(size)]))
        lie = draw(st.sampled_from([None] * 12 + list(LIES)))
        nodes.append(Node(tuple(draw(st.lists(IDS, max_size=4))), leads_to, lie))
    return Graph(draw(st.sampled_from(streams)), nodes, draw(st.booleans()))


async def walk(graph: Graph, position: Position, pages: int | None = None) -> list[Page]:
    """The pages from a position on, or so many of them."""
    got: list[Page] = []
    walk = SOURCE.stream(graph.stream).walk(graph, INSTALLATION, position, 50)
    try:
        async for page in walk:
            got.append(page)
            if len(got) == pages:
                break
    finally:
        await walk.aclose()
    return got


def ids(graph: Graph, pages: list[Page]) -> list[str]:
    return [change.row[KEYS[graph.stream]] for page in pages for change in page.changes]


def rows_of(graph: Graph, nodes: list[int]) -> list[str]:
    return [f"id_{number}" for node in nodes for number in graph.nodes[node].rows]


@pytest.mark.fault(24)
@pytest.mark.fault(25)
@pytest.mark.fault(26)
@pytest.mark.fault(27)
@given(graph=graphs())
async def test_a_walk_of_any_graph_ends_whole_or_in_an_error(graph: Graph) -> None:
    met, ends_well = way_through(graph)
    try:
        pages = await walk(graph, Start())
    except ContractBreach:
        event("a breach")
        assert not ends_well
        assert graph.served[: len(met)] == met
        # the first page alone has no cursor by which it is known again
        assert graph.fresh or len(graph.served) <= len(met) + 1
    else:
        event("the end")
        assert ends_well
        assert graph.served == met
        assert ids(graph, pages) == rows_of(graph, met)
        assert [page.resume_at is None for page in pages] == [False] * (len(met) - 1) + [True]


@pytest.mark.fault(25)
@pytest.mark.fault(26)
@given(graph=graphs(PAGED), stops=st.lists(st.integers(1, 3), max_size=4))
async def test_a_walk_that_is_taken_up_again_yields_the_same(graph: Graph, stops: list[int]) -> None:
    """Wherever it stopped: the position behind its last page leads on to the very next one."""
    met, ends_well = way_through(graph)
    position: Position | None = Start()
    pages: list[Page] = []
    try:
        for stop in [*stops, None]:
            if position is not None:
                pages += await walk(graph, position, stop)
                position = pages[-1].resume_at
    except ContractBreach:
        assert not ends_well
    else:
        assert position is None
        assert ends_well
        assert graph.served == met
        assert ids(graph, pages) == rows_of(graph, met)


# --- a list that changes while it is walked ---------------------------------------------------------------------------


@dataclass
class Shifting:
    """`Api` of a listing whose rows come, go and move between pages. `by_key`: a cursor names the last row served;
    else it counts rows, so that those behind it shift."""

    rows: list[int]
    by_key: bool
    changes: list[tuple[str, int, int]]
    limit: int
    served: list[int] = field(default_factory=list)
    always: set[int] = field(default_factory=set)

    async def get(
        self,
        endpoint: str,
        query: Mapping[str, str | int] | None = None,
        *,
        path: Mapping[str, str] | None = None,
    ) -> Reply:
        """The page behind the cursor, of the list as it is now; then it changes."""
        self.always = set(self.rows) & (self.always if "cursor" in (query or {}) else set(self.rows))
        cursor = int((query or {}).get("cursor", -1))
        behind_key = sorted(row for row in self.rows if row > cursor)
        left = behind_key if self.by_key else self.rows[max(cursor, 0) :]
        page, rest = left[: self.limit], left[self.limit :]
        self.served += page
        follows = page[-1] if self.by_key and page else max(cursor, 0) + len(page)
        if self.changes:
            self._change(*self.changes.pop())
        body = {"data": [samples.participant(id=f"id_{row}") for row in page], "has_more": bool(rest)}
        return reply(body | {"next_cursor": str(follows) if rest else None})

    def _change(self, kind: str, one: int, other: int) -> None:
        if kind == "add" and one not in self.rows:
            self.rows.insert(other % (len(self.rows) + 1), one)
        elif kind == "remove" and one in self.rows:
            self.rows.remove(one)
        elif kind == "move" and one in self.rows:
            self.rows.remove(one)
            self.rows.insert(other % (len(self.rows) + 1), one)


ROWS = st.lists(st.integers(0, 30), unique=True, max_size=20)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "move"]), st.integers(0, 30), st.integers(0, 30)), max_size=12
)


@pytest.mark.fault(28)
@pytest.mark.fault(30)
@given(rows=ROWS, changes=CHANGES, by_key=st.booleans(), limit=st.integers(1, 5))
async def test_a_list_that_changes_while_it_is_walked(
    rows: list[int], changes: list[tuple[str, int, int]], by_key: bool, limit: int
) -> None:
    """Each row that was served is yielded, as often as it was; with a cursor that names a row, each row that was there
    throughout is among them. What a shift hides from a walk is a matter of the removals, which take no such walk for
    a witness (tests/sync/test_removals.py)."""
    api = Shifting(rows, by_key, changes, limit)
    pages = [page async for page in SOURCE.stream("participants").walk(api, INSTALLATION, Start(), limit)]
    got = [change.row["participant_id"] for page in pages for change in page.changes]
    assert got == [f"id_{row}" for row in api.served]
    assert all(isinstance(page.resume_at, CursorAt) for page in pages[:-1])
    if by_key:
        assert {f"id_{row}" for row in api.always} <= set(got)


@pytest.mark.fault(25)
async def test_a_page_that_is_served_for_ever_ends_though_its_rows_change() -> None:
    """It is who is listed that tells, not what is said of them."""
    calls = count(1)

    class Endless:
        async def get(self, endpoint: str, query: Mapping[str, str | int] | None = None, **_: Any) -> Reply:
            number = next(calls)
            assert number <= 2 + MOST_BARREN_PAGES, "the walk does not end"
            rows = [samples.participant(id=f"id_{n}", nickname=f"as of call {number}") for n in range(3)]
            return reply({"data": rows, "next_cursor": f"c{number}", "has_more": True})

    with pytest.raises(ListingBroken, match="brought nothing new"):
        await pages_of(SOURCE.stream("participants").walk(Endless(), INSTALLATION, Start(), 50))


# Without roles in place of activities: they are taken for summaries, and asked for one by one.
MIXED_UP = [pair for pair in product(sorted(SAMPLES), repeat=2) if pair != ("activities", "roles")]
ROWS_OF_ALL = {name: [sample(id=f"id_{n}") for n in range(2)] for name, sample in SAMPLES.items()}


@pytest.mark.fault(33)
@pytest.mark.parametrize(("asked", "served"), MIXED_UP)
async def test_the_rows_of_another_listing_are_not_stored(asked: str, served: str) -> None:
    """Roles have no field that no other row has: nothing tells threads from roles that have learned to be colored, nor
    roles from poor rows of any kind."""
    api = ScriptedApi(listing(ROWS_OF_ALL[served]))
    walk = pages_of(SOURCE.stream(asked).walk(api, INSTALLATION, Start(), 50))
    if served == asked or "roles" in (asked, served):
        (page,) = await walk
        assert len(page.changes) + len(page.rejected) == 2
    else:
        with pytest.raises(ContractBreach, match="in place of"):
            await walk


@pytest.mark.fault(33)
@pytest.mark.parametrize("among", [["junk"], [{"id": 7}], ROWS_OF_ALL["participants"], []])
async def test_one_row_of_another_listing_is_one_too_many(among: list[Any]) -> None:
    api = ScriptedApi(listing([*among, ROWS_OF_ALL["activities"][0]]))
    with pytest.raises(ContractBreach, match="activities in place of participants"):
        await pages_of(SOURCE.stream("participants").walk(api, INSTALLATION, Start(), 50))


@pytest.mark.fault(70, 79)
@pytest.mark.parametrize("where", [b'"id":"ptp', b'"id'], ids=["an id", "a key"])
async def test_a_byte_that_is_no_text_costs_its_own_row(where: bytes) -> None:
    body = (
        listing(ROWS_OF_ALL["participants"], "c2", has_more=True)
        .body.replace(b'"id": "', b'"id":"')
        .replace(where.replace(b"ptp", b"id_0"), where.replace(b"ptp", b"") + b"\xff", 1)
    )
    pages = await pages_of(
        SOURCE.stream("participants").walk(ScriptedApi(reply(body), listing([])), INSTALLATION, Start(), 50)
    )
    assert (len(pages[0].changes), len(pages[0].rejected)) == (1, 1)


@pytest.mark.fault(33, 38)
async def test_rows_that_lack_nearly_all_are_their_own_listings_as_long_as_nothing_tells_otherwise() -> None:
    poor = [{"id": "id_1"}, {"id": "id_2", "color_hex": "#fff"}, samples.participant(id="id_3")]
    rich = samples.participant(id="id_0") | samples.activity(id="id_0") | samples.wave(id="id_0")
    for rows in (poor[:2], poor, [rich, *poor]):
        (page,) = await pages_of(
            SOURCE.stream("participants").walk(ScriptedApi(listing(rows)), INSTALLATION, Start(), 50)
        )
        assert len(page.changes) == len(rows)
