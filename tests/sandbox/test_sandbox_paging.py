"""Listings, limits and cursors (contracts/revento.md §9, §10), over real sockets."""

from __future__ import annotations

import pytest

from tests.sandbox.conftest import Open, Remote


@pytest.mark.parametrize("limit", [1, 7, 25, 50])
async def test_a_walk_returns_every_participant_once_in_creation_order(remote: Remote, limit: int) -> None:
    assert await remote.walk("/participants", limit) == remote.truth()["participants"]


async def test_every_endpoint_serves_the_truth(remote: Remote) -> None:
    truth = remote.truth()
    assert (await remote.get()).json() == truth["event"]
    assert await remote.walk("/activities") == truth["activities"]
    assert (await remote.get("/roles")).json() == {"data": truth["roles"]}
    assert (await remote.get("/threads")).json() == {"data": truth["threads"]}
    assert (await remote.get("/registration-waves")).json() == {"data": truth["registration_waves"]}
    assert (await remote.get("/locations")).json() == truth["locations"]
    activity = truth["activities"][3]
    assert (await remote.get(f"/activities/{activity['id']}")).json() == activity


async def test_program_is_the_thread_tree_and_misses_activities_without_a_thread(remote: Remote) -> None:
    threads = (await remote.get("/program")).json()["threads"]
    truth = remote.truth()
    assert [{**thread, "activities": None} for thread in threads] == [
        {**thread, "activities": None} for thread in truth["threads"]
    ]
    listed = {row["id"] for thread in threads for row in thread["activities"]}
    assert listed == {row["id"] for row in truth["activities"] if row["thread"]}
    assert len(listed) < len(truth["activities"])
    assert all(row["thread"]["id"] == thread["id"] for thread in threads for row in thread["activities"])


async def test_the_default_page_has_25_rows(remote: Remote) -> None:
    assert len((await remote.get("/participants")).json()["data"]) == 25


@pytest.mark.parametrize("limit", ["0", "51", "-1", "ten", "", "1e1", "+5", "٥", "9" * 5000])
async def test_a_limit_out_of_range_is_an_invalid_request(remote: Remote, limit: str) -> None:
    reply = await remote.get("/participants", params={"limit": limit})
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_request")


async def test_the_last_page_of_participants_has_a_cursor_and_has_more_false(remote: Remote) -> None:
    first = (await remote.get("/participants", params={"limit": 50})).json()
    last = (await remote.get("/participants", params={"limit": 50, "cursor": first["next_cursor"]})).json()
    assert (first["has_more"], last["has_more"]) == (True, False)
    assert last["next_cursor"] is not None
    phantom = (await remote.get("/participants", params={"cursor": last["next_cursor"]})).json()
    assert (phantom["data"], phantom["has_more"]) == ([], False)


async def test_an_empty_listing_is_one_page_without_a_cursor(open_remote: Open) -> None:
    remote = await open_remote(participants=0)
    assert (await remote.get("/participants")).json() == {"data": [], "next_cursor": None, "has_more": False}


async def test_rows_added_and_removed_in_mid_walk_neither_repeat_nor_skip_the_others(remote: Remote) -> None:
    ids = [row["id"] for row in remote.truth()["participants"]]
    page = (await remote.get("/participants", params={"limit": 20})).json()
    world = remote.sandbox.world
    for gone in (ids[0], ids[19], ids[20], ids[40]):
        world.delete(remote.event_id, "participants", gone)
    added = world.create(remote.event_id, "participants", {})["id"]
    seen = [row["id"] for row in page["data"]]
    while page["has_more"]:
        page = (await remote.get("/participants", params={"limit": 20, "cursor": page["next_cursor"]})).json()
        seen += [row["id"] for row in page["data"]]
    assert seen == [*(key for key in ids if key not in (ids[20], ids[40])), added]


async def test_a_row_changed_after_it_was_served_is_served_changed(remote: Remote) -> None:
    first = (await remote.walk("/participants"))[0]
    changed = remote.sandbox.world.patch(remote.event_id, "participants", first["id"], {"nickname": "Nowa"})
    assert first != changed == (await remote.walk("/participants"))[0]
    assert (await remote.get()).json() == remote.truth()["event"]
    event = remote.sandbox.world.patch_event(remote.event_id, {"title": "Later"})
    assert (await remote.get()).json() == event


async def cursor_of(remote: Remote, path: str = "/participants", limit: int = 10) -> str:
    return str((await remote.get(path, params={"limit": limit})).json()["next_cursor"])


async def assert_refused(remote: Remote, cursor: str, path: str = "/participants", **options: str) -> None:
    reply = await remote.get(path, params={"cursor": cursor, "limit": 10}, **options)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_cursor")


@pytest.mark.parametrize(
    "damage", [lambda _: "x", lambda _: "", lambda c: c[:-4], lambda c: "AB"[c[0] == "A"] + c[1:], lambda c: c + "ż"]
)
async def test_a_malformed_cursor_is_refused(remote: Remote, damage: object) -> None:
    assert callable(damage)
    await assert_refused(remote, damage(await cursor_of(remote)))


async def test_a_cursor_of_another_endpoint_event_or_grant_is_refused(remote: Remote) -> None:
    await assert_refused(remote, await cursor_of(remote, "/activities"))
    cursor = await cursor_of(remote)
    again = remote.sandbox.connect(remote.event_id)["access_token"]
    await assert_refused(remote, cursor, token=again)
    other = remote.sandbox.event_ids[1]
    token = remote.sandbox.connect(other)["access_token"]
    reply = await remote.get_api(f"/events/{other}/participants", token=token, params={"cursor": cursor})
    assert reply.json()["error"] == "invalid_cursor"


async def test_a_cursor_lives_24_hours_from_its_own_issue(open_remote: Open) -> None:
    remote = await open_remote(access_token_s=10 * 86_400)
    first = await cursor_of(remote)
    remote.sandbox.clock.advance(86_000)
    reply = await remote.get("/participants", params={"cursor": first, "limit": 10})
    remote.sandbox.clock.advance(500)
    await assert_refused(remote, first)
    assert (await remote.get("/participants", params={"cursor": reply.json()["next_cursor"]})).status_code == 200


async def test_a_refreshed_token_keeps_the_cursor_or_loses_it_by_the_chosen_reading(open_remote: Open) -> None:
    for binding, status in (("grant", 200), ("token", 400)):
        remote = await open_remote(gaps={"G3": binding})
        cursor = await cursor_of(remote)
        token = (await remote.refresh(remote.grant["refresh_token"])).json()["access_token"]
        assert (await remote.get("/participants", token=token, params={"cursor": cursor})).status_code == status


async def test_the_limit_may_change_in_mid_walk_or_not_by_the_chosen_reading(open_remote: Open) -> None:
    for strict, status in (("free", 200), ("bound", 400)):
        remote = await open_remote(gaps={"G2": strict})
        cursor = await cursor_of(remote, limit=50)
        assert (await remote.get("/participants", params={"cursor": cursor, "limit": 50})).status_code == 200
        assert (await remote.get("/participants", params={"cursor": cursor, "limit": 25})).status_code == status


async def test_a_page_over_the_cap_is_413_and_fits_with_a_smaller_limit(open_remote: Open) -> None:
    remote = await open_remote(response_cap_bytes=20_000)
    reply = await remote.get("/participants", params={"limit": 50})
    assert (reply.status_code, reply.json()["error"]) == (413, "payload_too_large")
    assert (await remote.get("/participants", params={"limit": 12})).status_code == 200
    assert (await remote.get("/program")).status_code == 413
