"""The control port and the life of the sandbox, over real sockets."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import httpx
import pytest

from syncd.sandbox import Sandbox, SandboxSettings
from tests.sandbox.conftest import Remote


async def test_the_log_tells_each_request_once_and_never_a_token(remote: Remote) -> None:
    await remote.get("/participants", params={"limit": 3}, headers={"X-Revento-Request-Id": "id-1"})
    await remote.get("/activities/act_none")
    pair = (await remote.refresh(remote.grant["refresh_token"])).json()
    reply = await remote.control("GET", "/log")
    first, second, third = reply.json()
    assert [entry["n"] for entry in (first, second, third)] == [1, 2, 3]
    assert (first["method"], first["endpoint"], first["query"]) == ("GET", "/events/{event_id}/participants", "limit=3")
    assert (first["event_id"], first["status"], first["error"]) == (remote.event_id, 200, None)
    assert (first["request_id"], first["in_flight"], first["remaining"]) == ("id-1", 1, 999_999)
    assert first["duration_ms"] > 0
    assert abs(first["at"] - remote.sandbox.clock.now()) < 60
    assert first["token"] == second["token"] != third["token"]
    assert (second["status"], second["error"]) == (404, "resource_not_found")
    assert (third["endpoint"], third["event_id"]) == ("/oauth/token", remote.event_id)
    assert (await remote.control("GET", "/log?since=2")).json() == [third]
    for secret in (*remote.grant.values(), *pair.values()):
        assert not str(secret).startswith("rev_") or str(secret) not in reply.text
    assert "sandbox-secret" not in reply.text
    assert remote.sandbox.log() == reply.json()


async def test_truth_is_what_the_api_serves(remote: Remote) -> None:
    truth = (await remote.control("GET", "/truth")).json()
    assert truth == remote.sandbox.truth()
    assert set(truth["events"][0]) == {
        "event", "participants", "roles", "threads", "activities", "locations", "registration_waves",
    }  # fmt: skip
    assert (await remote.control("GET", f"/truth/{remote.event_id}")).json() == truth["events"][0]
    assert truth["events"][0]["participants"] == await remote.walk("/participants")


async def test_the_truth_in_hand_is_a_copy(remote: Remote) -> None:
    remote.sandbox.truth()["events"][0]["participants"].clear()
    assert len(remote.truth()["participants"]) == 60


async def test_connect(remote: Remote) -> None:
    grant = (await remote.control("POST", "/connect", {"event_id": remote.event_id, "scopes": ["event.read"]})).json()
    assert grant["scope"] == "event.read"
    assert (await remote.get(token=grant["access_token"])).status_code == 200
    assert (await remote.control("POST", "/connect", {"event_id": "evt_none"})).status_code == 404
    assert (await remote.control("POST", "/connect", {})).status_code == 404


@pytest.mark.parametrize("listing", ["participants", "activities", "roles", "threads", "registration-waves"])
async def test_rows_are_created_changed_and_deleted(remote: Remote, listing: str) -> None:
    base, key = f"/events/{remote.event_id}/{listing}", listing.replace("-", "_")
    created = (await remote.control("POST", base, {"custom": "żółć"})).json()
    assert remote.truth()[key][-1] == created
    plain = remote.truth()[key][0]
    assert set(plain) - {"max_signups_per_person"} <= set(created)
    named = (await remote.control("POST", base, {"id": "x/y z"})).json()
    assert named["id"] == "x/y z"
    assert (await remote.control("POST", base, {"id": "x/y z"})).status_code == 400
    changed = (await remote.control("PATCH", f"{base}/x%2Fy%20z", {"name": "new", "$remove": ["description"]})).json()
    assert changed["name"] == "new"
    assert "description" not in changed
    assert (await remote.control("PATCH", f"{base}/x%2Fy%20z", {"id": "y"})).status_code == 400
    assert (await remote.control("DELETE", f"{base}/{created['id']}")).json() == {}
    assert [row["id"] for row in remote.truth()[key]][-1] == "x/y z"
    assert created["id"] not in {row["id"] for row in remote.truth()[key]}
    assert (await remote.control("DELETE", f"{base}/{created['id']}")).status_code == 404


async def test_a_change_bumps_updated_at_where_there_is_one_unless_given(remote: Remote) -> None:
    base = f"/events/{remote.event_id}"
    row = remote.truth()["participants"][0]
    path = f"{base}/participants/{row['id']}"
    changed = (await remote.control("PATCH", path, {"display_name": "New"})).json()
    assert changed == row | {"display_name": "New", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] > row["updated_at"]
    old = (await remote.control("PATCH", path, {"updated_at": "2020-01-01T00:00:00Z"})).json()
    assert old["updated_at"] == "2020-01-01T00:00:00Z"
    role = (await remote.control("PATCH", f"{base}/roles/role_staff", {"name": "Crew"})).json()
    assert "updated_at" not in role
    event = (await remote.control("PATCH", base, {"title": "New title"})).json()
    assert (await remote.get()).json() == event
    assert event["updated_at"] > "2026-05-01"


async def test_renames_show_in_embedding_rows_with_their_old_stamp(remote: Remote) -> None:
    before = remote.truth()
    thread = before["threads"][0]["id"]
    remote.sandbox.world.patch(remote.event_id, "roles", "role_attendee", {"name": "Guest"})
    remote.sandbox.world.patch(remote.event_id, "threads", thread, {"name": "Hall", "icon_name": "x"})
    after = remote.truth()
    assert {row["role"]["name"] for row in after["participants"] if row["role"]["id"] == "role_attendee"} == {"Guest"}
    assert {
        row["thread"]["name"] for row in after["activities"] if row["thread"] and row["thread"]["id"] == thread
    } == {"Hall"}
    for listing in ("participants", "activities"):
        assert [row["updated_at"] for row in before[listing]] == [row["updated_at"] for row in after[listing]]
    assert await remote.walk("/activities") == after["activities"]


async def test_the_venue_tree_is_replaced_whole(remote: Remote) -> None:
    tree = remote.truth()["locations"]
    tree["venues"][0]["locations"] = [{**row, "name": "Moved"} for row in tree["venues"][0]["locations"][:1]]
    assert (await remote.control("PUT", f"/events/{remote.event_id}/locations", tree)).status_code == 200
    assert (await remote.get("/locations")).json() == tree
    kept = {row["id"] for venue in tree["venues"] for row in venue["locations"]}
    places = [row["location"] for row in remote.truth()["activities"] if row["location"]]
    assert {place["id"] for place in places} <= kept
    assert (await remote.control("PUT", f"/events/{remote.event_id}/locations", {"x": 1})).status_code == 400


async def test_an_event_is_deleted(remote: Remote) -> None:
    assert (await remote.control("DELETE", f"/events/{remote.event_id}")).status_code == 200
    assert remote.event_id not in remote.sandbox.event_ids
    assert (await remote.control("GET", f"/truth/{remote.event_id}")).status_code == 404


async def test_faults_by_control(remote: Remote) -> None:
    order = {"endpoint": "/events/{event_id}", "status": 503}
    assert (await remote.control("POST", "/faults", order)).json() == {"id": 1}
    assert (await remote.get()).status_code == 503
    (fault,) = (await remote.control("GET", "/faults")).json()
    assert (fault["id"], fault["endpoint"], fault["status"], fault["fired"]) == (1, "/events/{event_id}", 503, 1)
    await remote.control("DELETE", "/faults")
    assert (await remote.control("GET", "/faults")).json() == []
    assert (await remote.control("POST", "/faults", {"nonsense": 1})).status_code == 400


async def test_clock_and_tokens_by_control(remote: Remote) -> None:
    assert (await remote.control("POST", "/clock", {"advance_s": 3600})).json()["offset_s"] == 3600
    assert (await remote.get()).json()["error"] == "token_expired"
    token = (await remote.refresh(remote.grant["refresh_token"])).json()
    assert (await remote.control("POST", "/tokens/expire", {"event_id": remote.event_id})).json() == {"grants": 1}
    assert (await remote.get(token=token["access_token"])).json()["error"] == "token_expired"
    assert (await remote.control("POST", "/tokens/revoke", {"event_id": remote.event_id})).json() == {"grants": 1}
    assert (await remote.get(token=token["access_token"])).json()["error"] == "token_revoked"
    assert (await remote.refresh(token["refresh_token"])).json()["error"] == "invalid_grant"


async def test_settings_change_while_running(remote: Remote) -> None:
    reply = await remote.control("PATCH", "/settings", {"limits": {"per_minute": 1}, "latency_s": 0.05})
    assert reply.json()["limits"] == {"per_hour": 0, "per_minute": 1, "in_flight": 0}
    assert [(await remote.get()).status_code for _ in range(2)] == [200, 429]
    assert remote.sandbox.log()[0]["duration_ms"] >= 50
    shown = (await remote.control("GET", "/settings")).json()
    assert (shown["api_url"], shown["event_ids"]) == (remote.sandbox.api_url, remote.sandbox.event_ids)
    assert shown["today"] == "2026-05-01"
    for refused in ({"port": 1}, {"nonsense": 1}, {"limits": {"per_day": 1}}, {"scopes": "event.read"}):
        assert (await remote.control("PATCH", "/settings", refused)).status_code == 400


async def test_life_goes_on_only_while_it_is_wanted(remote: Remote) -> None:
    before = remote.sandbox.truth()
    await remote.control("PATCH", "/settings", {"life_s": 0.01})
    for _ in range(200):
        await asyncio.sleep(0.01)
        if remote.sandbox.truth() != before:
            break
    await remote.control("PATCH", "/settings", {"life_s": 0})
    still = remote.sandbox.truth()
    assert still != before
    await asyncio.sleep(0.05)
    assert remote.sandbox.truth() == still
    change = (await remote.control("POST", "/life")).json()["change"]
    assert (remote.sandbox.truth() != still) == (change != "nothing")


async def test_bad_control_requests_are_answered(remote: Remote) -> None:
    assert (await remote.control("GET", "/nonsense")).status_code == 404
    assert (await remote.control("POST", "/truth")).status_code == 404
    assert (await remote.http.post(remote.sandbox.control_url + "/clock", content=b"{")).status_code == 400
    assert (await remote.control("POST", "/clock", [1])).status_code == 400
    assert (await remote.control("GET", "/log?since=x")).status_code == 400
    for path, body in (
        ("/settings", {"latency_s": "x"}),
        ("/settings", {"latency_s": -1}),
        ("/settings", {"limits": {"per_hour": -1}}),
        ("/clock", {"advance_s": 1e300}),
    ):
        method = "POST" if path == "/clock" else "PATCH"
        assert (await remote.control(method, path, body)).status_code == 400, body


async def test_nothing_is_left_behind() -> None:
    tasks = asyncio.all_tasks()
    small = SandboxSettings(events=1, participants=1, activities=1, life_s=60, latency_s=60)
    async with Sandbox(small) as sandbox, httpx.AsyncClient(trust_env=False, verify=False) as http:
        url = urlsplit(sandbox.api_url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        remote = Remote(sandbox, http, sandbox.event_ids[0], sandbox.connect(sandbox.event_ids[0]))
        waiting = asyncio.create_task(remote.get())
        await remote.arrival()
        await sandbox.__aexit__()
        with pytest.raises(httpx.TransportError):
            await waiting
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
    assert asyncio.all_tasks() == tasks
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(url.hostname, url.port)


async def test_a_taken_control_port_leaves_no_listener(remote: Remote) -> None:
    taken = urlsplit(remote.sandbox.control_url).port
    assert taken is not None
    with pytest.raises(OSError, match="in use"):
        async with Sandbox(SandboxSettings(events=1, participants=1, activities=1, control_port=taken)):
            pass


async def test_garbage_on_the_socket_only_costs_its_connection(remote: Remote) -> None:
    url = urlsplit(remote.sandbox.api_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    writer.write(b"\x00\xff garbage\r\n\r\n")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    assert (await remote.get()).status_code == 200
