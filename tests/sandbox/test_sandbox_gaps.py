"""Every reading of every gap (contracts/revento.md §17) is told from the others, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from syncd.sandbox import GAPS, Limits, SandboxSettings
from tests.sandbox.conftest import Open, Remote

DAY_S = 86_400
Observe = Callable[[Remote], Awaitable[Any]]
AUTH = ("sandbox-client", "sandbox-secret")


async def code(reply: Any) -> tuple[int, str | None]:
    """Status and error code of a reply."""
    return reply.status_code, None if reply.is_success else reply.json()["error"]


async def cursor_of(remote: Remote, **params: Any) -> str:
    reply = await remote.get("/participants", params={"limit": 10, **params})
    return str(reply.json()["next_cursor"])


async def refresh(remote: Remote) -> str:
    """Refresh the remote's grant; its new access token."""
    remote.grant = (await remote.refresh(remote.grant["refresh_token"])).json()
    return str(remote.grant["access_token"])


async def second_page_after_a_day_of_walking(remote: Remote) -> Any:
    first = await cursor_of(remote)
    remote.sandbox.clock.advance(DAY_S - 60)
    second = await cursor_of(remote, cursor=first)
    remote.sandbox.clock.advance(120)
    return await code(await remote.get("/participants", params={"cursor": second}))


async def another_limit(remote: Remote) -> Any:
    cursor = await cursor_of(remote)
    return await code(await remote.get("/participants", params={"cursor": cursor, "limit": 5}))


async def cursor_after_a_refresh(remote: Remote) -> Any:
    cursor = await cursor_of(remote)
    await refresh(remote)
    return await code(await remote.get("/participants", params={"cursor": cursor}))


async def bad_cursor(remote: Remote) -> Any:
    expired = await cursor_of(remote)
    remote.sandbox.clock.advance(DAY_S)
    codes = {await code(await remote.get("/participants", params={"cursor": each})) for each in (expired, "x")}
    return codes.pop() if len(codes) == 1 else codes


async def limits_out_of_range(remote: Remote) -> Any:
    replies = [await remote.get("/participants", params={"limit": text}) for text in ("0", "-3", "51", "x", "")]
    return [len(reply.json()["data"]) if reply.is_success else await code(reply) for reply in replies]


async def two_walks(remote: Remote) -> Any:
    """Whether two walks agree, see each row once, and how many rows they return."""
    walks = [[row["id"] for row in await remote.walk("/activities", 10)] for _ in range(2)]
    return walks[0] == walks[1], len(set(walks[0])) == len(walks[0]), len(walks[0])


async def reuse(remote: Remote) -> Any:
    first = remote.grant["refresh_token"]
    await refresh(remote)
    again = await remote.refresh(first)
    return again.is_success and again.json() == remote.grant, await code(await remote.get())


async def old_token_after_a_refresh(remote: Remote) -> Any:
    old = remote.grant["access_token"]
    fresh = await refresh(remote)
    return await code(await remote.get(token=old)), await code(await remote.get(token=fresh))


async def refresh_near_the_cap(remote: Remote) -> Any:
    for _ in range(4):
        remote.sandbox.clock.advance(80 * DAY_S)
        await refresh(remote)
    told_days = round(remote.grant["refresh_expires_in"] / DAY_S)
    remote.sandbox.clock.advance(45 * DAY_S)
    return told_days, await code(await remote.refresh(remote.grant["refresh_token"]))


async def remaining_on_a_burst_429(remote: Remote) -> Any:
    await remote.sandbox.configure(limits=Limits(100, 1, 0))
    told = [(await remote.get()).headers["x-ratelimit-remaining"] for _ in range(2)]
    remote.sandbox.clock.advance(61)
    return told, (await remote.get()).headers["x-ratelimit-remaining"]


async def what_refused_calls_cost(remote: Remote) -> Any:
    await remote.sandbox.configure(limits=Limits(100, 1, 0))
    replies = [await remote.get() for _ in range(3)]
    waits_s = [int(reply.headers["retry-after"]) for reply in replies[1:]]
    assert all(0 < wait_s <= 60 for wait_s in waits_s)
    return replies[-1].headers["x-ratelimit-remaining"]


async def budget_after_a_refresh(remote: Remote) -> Any:
    await remote.sandbox.configure(limits=Limits(1, 0, 0))
    old = remote.grant["access_token"]
    await remote.get()
    fresh = await refresh(remote)
    return [(await remote.get(token=token)).status_code for token in (old, fresh)]


async def developer_limit(remote: Remote) -> Any:
    await remote.sandbox.configure(limits=Limits(500, 30, 5))
    url = f"{remote.sandbox.api_url}/developer/integrations/int_sandbox/installations"
    replies = [await remote.http.get(url, auth=AUTH) for _ in range(11)]
    return replies[0].headers["x-ratelimit-limit"], replies[-1].status_code


async def unknown_version(remote: Remote) -> Any:
    return await code(await remote.get(headers={"Accept": "application/vnd.revento.v7+json"}))


async def nonexistent_event(remote: Remote) -> Any:
    other = remote.sandbox.event_ids[1]
    replies = [await remote.get_api(f"/events/{event_id}/roles") for event_id in ("evt_nobody", other)]
    return [await code(reply) for reply in replies]


async def a_withdrawal(remote: Remote) -> Any:
    who = remote.truth()["participants"][3]
    await remote.control("DELETE", f"/events/{remote.event_id}/participants/{who['id']}")
    left = [row for row in await remote.walk("/participants") if row["id"] == who["id"]]
    assert remote.truth()["participants"] == await remote.walk("/participants")
    return [(row["application_status"], row["updated_at"] > who["updated_at"]) for row in left]


async def what_bad_requests_cost(remote: Remote) -> Any:
    await remote.sandbox.configure(limits=Limits(10, 0, 0))
    queries = ({"limit": "0"}, {"cursor": "x"})
    return [(await remote.get("/roles" if q is None else "/participants", params=q)).headers["x-ratelimit-remaining"]
            for q in (*queries, None)]  # fmt: skip


async def conditional_request(remote: Remote) -> Any:
    first = await remote.get("/participants")
    tag = first.headers.get("etag", 'W/"none"')
    again = await remote.get("/participants", headers={"If-None-Match": f'"x", {tag}'})
    remote.sandbox.world.patch(remote.event_id, "participants", first.json()["data"][0]["id"], {"nickname": "New"})
    changed = await remote.get("/participants", headers={"If-None-Match": tag})
    assert ("etag" in first.headers) == ("etag" in changed.headers) == (again.content == b"")
    return [reply.status_code for reply in (first, again, changed)]


async def short_sign_up_lists(remote: Remote) -> Any:
    """The lengths of the lists that are shorter than their counts."""
    rows = [row for row in await remote.walk("/activities") if "signed_up_participant_ids" in row]
    pairs = [(len(row["signed_up_participant_ids"]), row["committed_signups_count"]) for row in rows]
    short = [(shown, count) for shown, count in pairs if shown < count]
    assert short
    is_cut = all(shown == min(count, 20) for shown, count in pairs)
    return is_cut, all(shown == count - (count + 1) // 3 for shown, count in short)


async def keys_of_activities(remote: Remote) -> Any:
    listed = (await remote.get("/activities", params={"limit": 1})).json()["data"][0]
    whole = (await remote.get(f"/activities/{listed['id']}")).json()
    tree = (await remote.get("/program")).json()["threads"]
    assert whole in [row for thread in tree for row in thread["activities"]]
    assert listed.items() <= whole.items()
    return len(listed) == len(whole), sorted(listed)[:4]


async def old_client_secret(remote: Remote) -> Any:
    fresh = (await remote.control("POST", "/client-secret")).json()["client_secret"]
    replies = [await remote.refresh(remote.grant["refresh_token"], grant_type="x", client_secret=secret)
               for secret in ("sandbox-secret", fresh, "wrong")]  # fmt: skip
    remote.sandbox.clock.advance(DAY_S)
    late = await remote.refresh("x")
    return [reply.json()["error"] for reply in (*replies, late)]


async def profile_without_its_scope(remote: Remote) -> Any:
    who = remote.truth()["participants"][0]["id"]
    grant = remote.sandbox.connect(remote.event_id, ("event.attendance",), participant_id=who)
    reply = await remote.get_api("/me/profile", token=grant["access_token"])
    return await code(reply), "email" in reply.json()


REFUSED_CURSOR = (400, "invalid_cursor")
OK = (200, None)
INVALID = (400, "invalid_request")
# gap -> what to look at, and what is seen there under each reading
SEEN: dict[str, tuple[Observe, dict[str, Any]]] = {
    "G1": (second_page_after_a_day_of_walking, {"cursor": OK, "walk": REFUSED_CURSOR}),
    "G2": (another_limit, {"free": OK, "bound": REFUSED_CURSOR}),
    "G3": (cursor_after_a_refresh, {"grant": OK, "token": REFUSED_CURSOR}),
    "G4": (
        bad_cursor,
        {
            "400": REFUSED_CURSOR,
            "404": (404, "resource_not_found"),
            "410": (410, "cursor_expired"),
            "422": (422, "unprocessable_request"),
        },
    ),
    "G5": (limits_out_of_range, {"refused": [INVALID] * 5, "clamped": [1, 1, 50, 25, 25]}),
    "G6": (two_walks, {"created": (True, True, 40), "arbitrary": (False, False, 40)}),
    "G7": (reuse, {"revoke": (False, (401, "token_revoked")), "grace": (True, OK)}),
    "G8": (old_token_after_a_refresh, {"lives": (OK, OK), "dies": ((401, "token_revoked"), OK)}),
    "G9": (refresh_near_the_cap, {"shortened": (45, (400, "invalid_grant")), "constant": (90, (400, "invalid_grant"))}),
    "G10": (remaining_on_a_burst_429, {"hourly": (["99", "99"], "98"), "zero": (["99", "0"], "98")}),
    "G11": (what_refused_calls_cost, {"free": "99", "counted": "97"}),
    "G12": (budget_after_a_refresh, {"installation": [429, 429], "token": [429, 200]}),
    "G13": (developer_limit, {"own": ("60", 429), "same": ("500", 200)}),
    "G17": (unknown_version, {"refused": (406, "unsupported_version"), "served": OK}),
    "G19": (
        nonexistent_event,
        {
            "403": [(403, "event_not_authorized")] * 2,
            "404": [(404, "resource_not_found"), (403, "event_not_authorized")],
        },
    ),
    "G20": (a_withdrawal, {"gone": [], "kept": [("withdrawn", True)]}),
    "G21": (what_bad_requests_cost, {"free": ["10", "10", "9"], "counted": ["9", "8", "7"]}),
    "G22": (conditional_request, {"ignored": [200, 200, 200], "honoured": [200, 304, 200]}),
    "G25": (short_sign_up_lists, {"cut": (True, False), "hidden": (False, True)}),
    "G26": (
        keys_of_activities,
        {
            "full": (True, ["activity_details", "activity_type", "capacity", "co_host_display_names"]),
            "summary": (False, ["end_time", "id", "location", "start_time"]),
        },
    ),
    "G27": (
        old_client_secret,
        {
            "dies": ["invalid_client", "unsupported_grant_type", "invalid_client", "invalid_client"],
            "overlaps": ["unsupported_grant_type", "unsupported_grant_type", "invalid_client", "invalid_client"],
        },
    ),
    "G28": (
        profile_without_its_scope,
        {"refused": ((403, "insufficient_scope"), False), "served": (OK, False)},
    ),
}


@pytest.mark.parametrize(("gap", "reading"), [(gap.id, reading) for gap in GAPS for reading in gap.readings])
async def test_each_reading_is_told_from_the_others(open_remote: Open, gap: str, reading: str) -> None:
    look, seen = SEEN[gap]
    remote = await open_remote(gaps={gap: reading}, access_token_s=400 * DAY_S)
    assert await look(remote) == seen[reading]


@pytest.mark.parametrize("gap", [gap.id for gap in GAPS])
async def test_the_first_reading_is_the_default(open_remote: Open, gap: str) -> None:
    look, seen = SEEN[gap]
    remote = await open_remote(access_token_s=400 * DAY_S)
    assert await look(remote) == next(iter(seen.values()))


def test_the_table_names_each_gap_once_and_default_first() -> None:
    assert [gap.id for gap in GAPS] == list(SEEN)
    for gap in GAPS:
        assert list(gap.readings) == list(SEEN[gap.id][1])
        assert SandboxSettings().reading(gap.id) == gap.default == next(iter(gap.readings))


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"G99": "x"}, "no gap 'G99'; there are G1, G2, "),
        ({"G3": "grand"}, "gap G3 has no reading 'grand'; it has grant, token"),
        ({"G4": 404}, "gap G4 has no reading 404; it has 400, 404, 410, 422"),
        (["G3"], "gaps are an object"),
    ],
)
async def test_what_is_no_reading_is_refused_with_what_there_is(remote: Remote, chosen: Any, says: str) -> None:
    with pytest.raises(ValueError, match="gap") as refused:
        SandboxSettings(gaps=chosen)
    assert says in str(refused.value)
    reply = await remote.control("PATCH", "/settings", {"gaps": chosen})
    assert reply.status_code == 400
    assert says in reply.json()["error"]


async def test_readings_change_while_it_runs_and_add_up(remote: Remote) -> None:
    await remote.control("PATCH", "/settings", {"gaps": {"G17": "served"}})
    shown = (await remote.control("PATCH", "/settings", {"gaps": {"G5": "clamped"}})).json()["gaps"]
    assert shown == {gap.id: gap.default for gap in GAPS} | {"G17": "served", "G5": "clamped"}
    assert await unknown_version(remote) == OK
    assert await limits_out_of_range(remote) == [1, 1, 50, 25, 25]
    await remote.control("PATCH", "/settings", {"gaps": {"G5": "refused"}})
    assert await limits_out_of_range(remote) == [INVALID] * 5


async def test_what_shapes_the_world_is_chosen_at_the_start(remote: Remote) -> None:
    assert (await remote.control("PATCH", "/settings", {"gaps": {"G25": "hidden"}})).status_code == 400
    assert (await remote.control("PATCH", "/settings", {"gaps": {"G25": "cut"}})).status_code == 200


async def test_an_arbitrary_order_shows_no_row_twice_in_one_page_and_ends(open_remote: Open) -> None:
    remote = await open_remote(gaps={"G6": "arbitrary"})
    for limit in (1, 7, 50):
        assert len(await remote.walk("/participants", limit)) == 60
    whole = [row["id"] for row in await remote.walk("/activities", 50)]
    assert sorted(whole) == sorted(row["id"] for row in remote.truth()["activities"])


async def test_life_withdraws_by_the_chosen_reading(open_remote: Open) -> None:
    for reading, statuses in (("gone", set()), ("kept", {"withdrawn"})):
        remote = await open_remote(gaps={"G20": reading}, events=1)
        while not (await remote.control("POST", "/life")).json()["change"].startswith("withdrew"):
            await asyncio.sleep(0)
        assert {row["application_status"] for row in await remote.walk("/participants")} & {"withdrawn"} == statuses
