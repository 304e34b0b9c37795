"""Pages that lead a walk astray, and those that only make it longer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Open, Remote

PARTICIPANTS = "/events/{event_id}/participants"


def order(remote: Remote, preset: str, **fault: Any) -> None:
    remote.sandbox.faults.add({"preset": preset, "endpoint": PARTICIPANTS, **fault})


async def pages(remote: Remote, most: int, limit: int = 10) -> list[dict[str, Any]]:
    """A walk of up to so many pages, by a client that believes everything."""
    got: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": limit}
    while len(got) < most:
        got.append((await remote.get("/participants", params=params)).json())
        if not got[-1].get("has_more"):
            break
        params["cursor"] = got[-1]["next_cursor"]
    return got


def firsts(walked: list[dict[str, Any]], remote: Remote) -> list[int]:
    """The place of each page's first row in the listing."""
    ids = [row["id"] for row in remote.truth()["participants"]]
    return [ids.index(page["data"][0]["id"]) for page in walked]


@pytest.mark.fault(25)
@pytest.mark.parametrize("length", [1, 2, 3, 4])
async def test_a_loop_repeats_cursors_and_rows_for_ever(remote: Remote, length: int) -> None:
    order(remote, "cursor_loop", loop_pages=length, nth=2)
    walked = await pages(remote, 3 * length + 2)
    assert len(walked) == 3 * length + 2
    cursors = [page["next_cursor"] for page in walked]
    loop = cursors[1 : length + 1]
    assert len(set(loop)) == length
    assert cursors[1:] == (loop * 4)[: len(cursors) - 1]
    places = [20 + 10 * n for n in range(length)]
    assert firsts(walked, remote) == [0, 10, *(places * 4)[: len(walked) - 2]]


@pytest.mark.fault(25)
async def test_a_loop_is_no_longer_than_the_walk(remote: Remote) -> None:
    order(remote, "cursor_loop", loop_pages=100)
    cursors = [page["next_cursor"] for page in await pages(remote, 15)]
    assert cursors == cursors[:5] * 3, "five of its six pages say that more follows"


@pytest.mark.fault(26)
async def test_a_page_is_repeated_under_a_new_cursor_and_nothing_is_lost(remote: Remote) -> None:
    order(remote, "repeated_page", nth=3)
    walked = await pages(remote, 20)
    assert firsts(walked, remote) == [0, 10, 20, 20, 30, 40, 50]
    assert len({page["next_cursor"] for page in walked}) == 7


@pytest.mark.fault(26)
async def test_the_last_page_may_be_repeated_too(remote: Remote) -> None:
    order(remote, "repeated_page", nth=6)
    assert firsts(await pages(remote, 20), remote)[-2:] == [50, 50]


@pytest.mark.fault(25)
async def test_an_endless_page_comes_under_ever_new_cursors(remote: Remote) -> None:
    order(remote, "endless_page", nth=2)
    walked = await pages(remote, 8)
    assert firsts(walked, remote) == [0, *[10] * 7]
    assert len({page["next_cursor"] for page in walked}) == 8


@pytest.mark.fault(27)
async def test_empty_pages_are_bounded_or_for_ever_and_lose_nothing(remote: Remote) -> None:
    order(remote, "empty_page", nth=2, times=3)
    walked = await pages(remote, 20)
    assert [len(page["data"]) for page in walked] == [10, 0, 0, 0, 10, 10, 10, 10, 10]
    assert [row for page in walked for row in page["data"]] == remote.truth()["participants"]
    order(remote, "endless_empty")
    assert [page["data"] for page in await pages(remote, 9)] == [[]] * 9


@pytest.mark.fault(22)
@pytest.mark.parametrize(("preset", "cursor"), [("null_cursor", None), ("empty_cursor", ""), ("no_cursor", "absent")])
async def test_more_follows_but_nobody_says_where(remote: Remote, preset: str, cursor: str | None) -> None:
    order(remote, preset)
    page = (await remote.get("/participants")).json()
    assert (page["has_more"], page.get("next_cursor", "absent"), len(page["data"])) == (True, cursor, 25)


@pytest.mark.fault(24)
async def test_a_page_may_not_say_whether_more_follows(remote: Remote) -> None:
    order(remote, "no_has_more")
    assert set((await remote.get("/participants")).json()) == {"data", "next_cursor"}


@pytest.mark.fault(33)
async def test_a_page_may_hold_another_events_rows(remote: Remote) -> None:
    order(remote, "other_event", nth=2)
    first, second, third, *_ = await pages(remote, 20)
    ours, theirs = (remote.sandbox.truth()["events"][n]["participants"] for n in (0, 1))
    assert (first["data"], second["data"], third["data"]) == (ours[:10], theirs[10:20], ours[20:30])
    remote.sandbox.faults.add({"preset": "other_event", "endpoint": "/events/{event_id}"})
    assert (await remote.get()).json()["id"] == remote.sandbox.event_ids[1]


async def test_a_world_of_one_event_has_no_other(open_remote: Open) -> None:
    remote = await open_remote(events=1)
    order(remote, "other_event")
    assert (await remote.get("/participants")).status_code == 404
