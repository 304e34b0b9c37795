"""The endpoints of event data, for installation tokens (contracts/revento.md §12.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.sandbox.call import Call, Endpoint
from syncd.sandbox.collection import Row, dump
from syncd.sandbox.listings import array
from syncd.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from syncd.sandbox.api import Api
    from syncd.sandbox.tokens import Grant
    from syncd.sandbox.world import Event

# What an item of /activities has under the other reading of G26.
SUMMARY = ("id", "title", "status", "start_time", "end_time", "thread", "location")


def _read_event(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    return event.row.body


def _list_participants(api: Api, call: Call, grant: Grant, event: Event) -> bytes:
    return api.listings.page(call, grant, event.lists["participants"])


def _list_activities(api: Api, call: Call, grant: Grant, event: Event) -> bytes:
    activities = event.lists["activities"]
    if api.settings().reading("G26") == "summary":
        return api.listings.page(call, grant, activities, _summary)
    return api.listings.page(call, grant, activities)


def _summary(row: Row) -> bytes:
    return dump({key: row.value[key] for key in SUMMARY if key in row.value})


def _read_activity(_api: Api, call: Call, _grant: Grant, event: Event) -> bytes:
    activities = event.lists["activities"]
    if call.activity_id is None or call.activity_id not in activities:
        raise Refusal("resource_not_found")
    return activities.get(call.activity_id).body


def _list_roles(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    return b'{"data":' + array(event.lists["roles"]) + b"}"


def _list_threads(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    return b'{"data":' + array(event.lists["threads"]) + b"}"


def _list_waves(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    return b'{"data":' + array(event.lists["registration-waves"]) + b"}"


def _read_locations(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    return event.locations.body


def _read_program(_api: Api, _call: Call, _grant: Grant, event: Event) -> bytes:
    """Threads with their activities; an activity without a thread is in no branch of this tree."""
    branches: dict[str, list[Row]] = {row.value["id"]: [] for row in event.lists["threads"]}
    for row in event.lists["activities"]:
        thread = row.value.get("thread")
        if thread is not None and thread["id"] in branches:
            branches[thread["id"]].append(row)
    threads = [
        row.body[:-1] + b',"activities":' + array(branches[row.value["id"]]) + b"}" for row in event.lists["threads"]
    ]
    return b'{"threads":[' + b",".join(threads) + b"]}"


ENDPOINTS: dict[str, Endpoint] = {
    "/events/{event_id}": Endpoint("event.read", _read_event),
    "/events/{event_id}/participants": Endpoint("participants.read", _list_participants),
    "/events/{event_id}/roles": Endpoint("participants.read", _list_roles),
    "/events/{event_id}/program": Endpoint("program.read", _read_program),
    "/events/{event_id}/activities": Endpoint("program.read", _list_activities),
    "/events/{event_id}/activities/{activity_id}": Endpoint("program.read", _read_activity),
    "/events/{event_id}/locations": Endpoint("program.read", _read_locations),
    "/events/{event_id}/threads": Endpoint("program.read", _list_threads),
    "/events/{event_id}/registration-waves": Endpoint("program.read", _list_waves),
}
