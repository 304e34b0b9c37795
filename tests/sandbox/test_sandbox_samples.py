"""Each reply is held against the samples of the public documents, field by field and in both directions."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest

from syncd.sandbox import Limits
from tests.sandbox.conftest import Open, Remote
from tests.sandbox.shapes import differences, sample

AUTH = ("sandbox-client", "sandbox-secret")
API_TYPE = "application/vnd.revento.v1+json; charset=utf-8"
INSTALLATIONS = "/developer/integrations/int_sandbox/installations"


def each(prefix: str, names: str, what: str) -> set[str]:
    """`prefix.name: what` for each name."""
    return {f"{prefix}.{name}: {what}" for name in names.split()}


def location(prefix: str) -> set[str]:
    """Outdoors there is neither building nor floor; one location carries an unknown field."""
    return each(prefix, "building floor", "null") | each(prefix, "surface", "undocumented")


def activity(prefix: str) -> set[str]:
    """What an activity may lack by the document's own words, and one unknown field."""
    return (
        each(prefix, "description start_time end_time duration_minutes thread location host_id capacity", "null")
        | each(prefix, "host_display_name", "null")
        | each(prefix, "signed_up_participant_ids", "missing")
        | each(prefix, "livestream", "undocumented")
        | location(f"{prefix}.location")
    )


PARTICIPANT = (
    # "PII fields where present"; reviewed and registered only once that has happened
    each(".data[]", "nickname organisation real_name email", "missing")
    | each(".data[]", "nickname organisation real_name email", "null")
    | each(".data[]", "last_reviewed_at last_reviewer_id last_review_action registered_at", "null")
    | each(".data[]", "pronouns badge", "undocumented")
)
# path below the event -> its sample, and every way in which the sandbox departs from it, on purpose
EVENT_DATA: dict[str, tuple[str, set[str]]] = {
    "": ("event", each("", "hashtags", "undocumented") | each("", "image_url description location_summary", "null")),
    "/participants": ("participants", PARTICIPANT),
    "/roles": ("roles", each(".data[]", "badge_color", "undocumented")),
    "/threads": ("threads", each(".data[]", "is_featured", "undocumented")),
    "/registration-waves": ("registration-waves", each(".data[]", "max_signups_per_person", "undocumented")),
    "/activities": ("activities", activity(".data[]") | {".next_cursor: null"}),
    "/program": (
        "program",
        each(".threads[]", "is_featured", "undocumented")
        # an activity without a thread is in no branch
        | activity(".threads[].activities[]") - {".threads[].activities[].thread: null"},
    ),
    "/locations": (
        "locations",
        each(".venues[]", "timezone", "undocumented")
        | each(".venues[].buildings[]", "heritage_listed", "undocumented")
        | each(".venues[].buildings[].floors[]", "evacuation_plan", "undocumented")
        | location(".venues[].locations[]"),
    ),
}


async def replies(remote: Remote, path: str) -> list[httpx.Response]:
    """The replies of every event, every page of them."""
    found = []
    for event_id in remote.sandbox.event_ids:
        token = remote.sandbox.connect(event_id)["access_token"]
        params: dict[str, Any] = {}
        while True:
            found.append(await remote.get_api(f"/events/{event_id}{path}", token=token, params=params))
            page = found[-1].json()
            if not page.get("has_more"):
                break
            params = {"cursor": page["next_cursor"]}
    return found


@pytest.mark.parametrize("path", EVENT_DATA)
async def test_event_data_is_as_the_samples_have_it_but_for_the_traps(open_remote: Open, path: str) -> None:
    remote = await open_remote(events=5, activities=60)
    name, traps = EVENT_DATA[path]
    found = set()
    for reply in await replies(remote, path):
        assert (reply.status_code, reply.headers["content-type"]) == (200, API_TYPE)
        found |= set(differences(sample(name), reply.json()))
    assert found == traps


async def test_the_plain_rows_are_as_the_samples_have_them_without_exception(remote: Remote) -> None:
    rows = {path: (await remote.get(path, params={"limit": 1})).json() for path in ("/participants", "/roles")}
    assert list(differences(sample("participants"), rows["/participants"])) == []
    activities = [row for row in await remote.walk("/activities") if not list(differences(sample("activity"), row))]
    assert activities
    reply = await remote.get(f"/activities/{activities[0]['id']}")
    assert reply.json() == activities[0]


async def test_a_person_is_as_the_samples_have_one(remote: Remote) -> None:
    who = remote.truth()["participants"][0]["id"]
    token = remote.sandbox.connect(remote.event_id, participant_id=who)["access_token"]
    for name in ("profile", "application"):
        reply = await remote.get_api(f"/me/{name}", token=token)
        assert reply.headers["content-type"] == API_TYPE
        assert list(differences(sample(name), reply.json())) == []


async def test_installations_are_as_the_sample_has_them(remote: Remote) -> None:
    await remote.get()
    reply = await remote.http.get(remote.sandbox.api_url + INSTALLATIONS, params={"limit": 100}, auth=AUTH)
    assert reply.headers["content-type"] == API_TYPE
    assert list(differences(sample("installations"), reply.json())) == []
    assert reply.json()["next_cursor"] is sample("installations")["next_cursor"] is None
    remote.sandbox.connect(remote.sandbox.event_ids[1])
    reply = await remote.http.get(remote.sandbox.api_url + INSTALLATIONS, auth=AUTH)
    unused = list(differences(sample("installations"), reply.json()))
    assert unused == [".data[].last_used_at: null"], "before the first call"


async def test_token_responses_are_as_the_sample_has_them(remote: Remote) -> None:
    reply = await remote.refresh(remote.grant["refresh_token"])
    assert reply.headers["content-type"] == "application/json"
    assert list(differences(sample("token"), reply.json())) == []
    assert reply.json().keys() == sample("token").keys()
    same = ("token_type", "expires_in", "refresh_expires_in", "scope")
    assert [reply.json()[name] for name in same] == [sample("token")[name] for name in same]
    user = remote.sandbox.connect(remote.event_id, participant_id=remote.truth()["participants"][0]["id"])
    assert list(differences(sample("token"), user)) == [".user_id: undocumented"]


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/participants", {"params": {"limit": "0"}}, 400),
        ("", {"token": "rev_install_unknown"}, 401),
        ("/../evt_other", {}, 403),
        ("/activities/act_none", {}, 404),
        ("", {"headers": {"Accept": "text/html"}}, 406),
        ("/participants", {}, 413),
        ("/roles", {}, 429),
    ],
)
async def test_errors_are_as_the_sample_has_them(
    open_remote: Open, path: str, options: dict[str, Any], status: int
) -> None:
    remote = await open_remote(response_cap_bytes=2_000)
    if status == 429:
        await remote.sandbox.configure(limits=Limits(1, 0, 0))
        await remote.get()
    reply = await remote.get(path, **options)
    assert reply.status_code == status
    assert list(differences(sample("error"), reply.json())) == []
    assert uuid.UUID(reply.json()["request_id"]) == uuid.UUID(reply.headers["x-revento-request-id"])
    assert reply.headers["content-type"] == ("application/json" if status == 429 else API_TYPE)
    for name in ("limit", "remaining", "reset"):
        assert int(reply.headers[f"x-ratelimit-{name}"]) >= 0


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"id": "ptp_1", "at": "2026-05-01T00:00:00Z", "n": 1, "list": [{"url": "https://x"}]}, []),
        ({"id": "usr_1", "at": "2026-05-01", "n": True, "list": {}}, ["at: no stamp", "id: no ptp_ id", "list: no list",
                                                                      "n: no int"]),
        ({"id": None, "at": "2026-05-01T00:00:00+00:00", "n": 1.0, "list": [{}], "x": 1},
         ["at: no stamp", "id: null", "list[].url: missing", "n: no int", "x: undocumented"]),
    ],
)  # fmt: skip
def test_what_departs_from_a_sample_is_told(value: Any, told: list[str]) -> None:
    documented = {"id": "ptp_001", "at": "2026-08-15T16:00:00Z", "n": 5, "list": [{"url": "https://example.com"}]}
    assert sorted(differences(documented, value)) == [f".{each}" for each in told]
