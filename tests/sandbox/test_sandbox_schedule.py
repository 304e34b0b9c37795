"""Changes of the world that are scheduled in mid-walk."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sandbox.conftest import Remote

PARTICIPANTS = "/events/{event_id}/participants"


async def schedule(remote: Remote, method: str, path: str, *, body: Any = None, **aim: Any) -> None:
    act = {"method": method, "path": path} | ({} if body is None else {"body": body})
    reply = await remote.control("POST", "/schedule", {"endpoint": PARTICIPANTS, "act": act, **aim})
    assert reply.status_code == 200, reply.text


async def pages(remote: Remote) -> list[list[str]]:
    """The ids of each page of a walk."""
    got, params = [], {"limit": "20"}
    while True:
        page = (await remote.get("/participants", params=params)).json()
        got.append([row["id"] for row in page["data"]])
        if not page["has_more"]:
            return got
        params["cursor"] = page["next_cursor"]


def ids(remote: Remote) -> list[str]:
    return [row["id"] for row in remote.truth()["participants"]]


@pytest.mark.fault(28)
@pytest.mark.parametrize(("when", "is_served"), [("before", False), ("after", True)])
async def test_a_row_is_deleted_right_before_or_right_after_a_page(remote: Remote, when: str, is_served: bool) -> None:
    victim = ids(remote)[25]
    await schedule(remote, "DELETE", f"/events/{remote.event_id}/participants/{victim}", nth=2, when=when)
    first, second, third = await pages(remote)
    assert (len(first), len(second), len(third)) == ((20, 20, 20) if is_served else (20, 20, 19))
    assert (victim in second, victim in ids(remote)) == (is_served, False)
    (kept,) = (await remote.control("GET", "/schedule")).json()
    assert (kept["seen"], kept["done"], kept["failed"], kept["status"], kept["reply"]) == (3, True, False, 200, {})


async def test_the_act_has_happened_when_the_client_reads_the_answer(remote: Remote) -> None:
    await schedule(remote, "PATCH", "/events/{event_id}", body={"title": "Changed"}, when="after")
    await remote.get("/participants")
    assert remote.truth()["event"]["title"] == "Changed"


@pytest.mark.fault(28)
async def test_rows_are_named_by_their_place_at_that_moment(remote: Remote) -> None:
    first, second, *_, last = ids(remote)
    for row in ("{row:0}", "{row:0}", "{row:-1}"):
        await schedule(remote, "DELETE", f"/events/{{event_id}}/participants/{row}")
    await remote.get("/participants")
    assert not {first, second, last} & set(ids(remote))
    assert len(ids(remote)) == 57


async def test_a_row_that_was_made_meanwhile_is_found(remote: Remote) -> None:
    await schedule(remote, "PATCH", "/events/{event_id}/participants/ptp%2Fnew", body={"display_name": "Late"}, nth=2)
    await remote.get("/participants")
    await remote.control("POST", f"/events/{remote.event_id}/participants", {"id": "ptp/new"})
    await remote.get("/participants")
    assert remote.truth()["participants"][-1]["display_name"] == "Late"


async def test_any_request_of_the_control_port_may_be_an_act(remote: Remote) -> None:
    await schedule(remote, "POST", "/tokens/expire", body={"event_id": "{event_id}"}, nth=2)
    await schedule(remote, "POST", "/faults", body={"status": 503})
    await schedule(remote, "POST", "/clock", body={"advance_s": 5}, when="after")
    assert [(await remote.get("/participants")).status_code for _ in range(4)] == [200, 503, 401, 401]
    assert remote.sandbox.clock.offset_s == 5


async def test_the_token_endpoint_may_be_the_time(remote: Remote) -> None:
    await schedule(remote, "POST", "/tokens/revoke", body={"event_id": "{event_id}"}, endpoint="/oauth/token")
    assert (await remote.refresh(remote.grant["refresh_token"])).json()["error"] == "invalid_grant"


async def test_only_the_calls_that_are_aimed_at_count(remote: Remote) -> None:
    await schedule(remote, "DELETE", "/events/{event_id}", event_id=remote.sandbox.event_ids[1])
    await remote.get("/participants")
    await remote.get("/participants", token="rev_install_unknown")
    assert remote.sandbox.schedule.listing()[0]["seen"] == 0
    grant = remote.sandbox.connect(remote.sandbox.event_ids[1])
    path = f"/events/{grant['event_id']}/participants"
    assert (await remote.get_api(path, token=grant["access_token"])).status_code == 404
    assert remote.sandbox.event_ids == [remote.event_id]


@pytest.mark.parametrize("row", ["ptp_none", "{row:999}", "{row:-61}"])
async def test_an_act_that_fails_is_told(remote: Remote, row: str) -> None:
    await schedule(remote, "DELETE", f"/events/{{event_id}}/participants/{row}")
    assert (await remote.get("/participants")).status_code == 200
    (kept,) = (await remote.control("GET", "/schedule")).json()
    assert (kept["done"], kept["failed"], kept["status"]) == (True, True, 404)
    assert row in kept["reply"]["error"]


async def test_what_was_scheduled_is_listed_and_cleared(remote: Remote) -> None:
    await schedule(remote, "DELETE", "/events/{event_id}", nth=2)
    (kept,) = (await remote.control("GET", "/schedule")).json()
    assert (kept["id"], kept["nth"], kept["when"], kept["done"], kept["failed"]) == (1, 2, "before", False, False)
    assert kept["act"] == {"method": "DELETE", "path": "/events/{event_id}"}
    await remote.control("DELETE", "/schedule")
    assert (await remote.control("GET", "/schedule")).json() == []
    assert [(await remote.get("/participants")).status_code for _ in range(3)] == [200, 200, 200]


@pytest.mark.parametrize(
    ("order", "clue"),
    [
        ({}, "an act is like"),
        ({"act": {"path": "/life"}}, "an act is like"),
        ({"act": {"method": "POST", "path": "/life", "when": "before"}}, "an act is like"),
        ({"act": {"method": "POST", "path": "/lives"}}, "the control port has no POST /lives"),
        ({"act": {"method": "GET", "path": "/life"}}, "the control port has no GET /life"),
        ({"act": {"method": "POST", "path": "/life"}, "when": "during"}, "when must be 'before' or 'after'"),
        ({"act": {"method": "POST", "path": "/life"}, "nth": 0}, "nth must be 1 or more"),
        ({"act": {"method": "POST", "path": "/life"}, "endpoint": "/x"}, "unknown endpoint"),
        ({"act": {"method": "POST", "path": "/life"}, "times": 2}, "unknown fields: times"),
        ({"act": {"method": "POST", "path": "/life", "body": []}}, "an act is like"),
    ],
)
async def test_orders_that_make_no_sense_are_refused_in_words(remote: Remote, order: dict[str, Any], clue: str) -> None:
    reply = await remote.control("POST", "/schedule", order)
    assert (reply.status_code, clue in reply.json()["error"]) == (400, True), reply.text
    assert remote.sandbox.schedule.listing() == []
