"""The world: documented fields, the traps of the contract, determinism, size."""

from __future__ import annotations

import re
import time
from datetime import date
from typing import Any

import pytest

from syncd.sandbox import SandboxSettings
from syncd.sandbox.world import World

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def fields(text: str) -> set[str]:
    return set(text.split())


# Key sets of the samples in the endpoint reference (contracts/revento.md §12.1).
EVENT = fields(
    """id title description start_date end_date min_age access_mode publish_status visibility organization_id
    location_summary image_url created_at updated_at"""
)
PARTICIPANT = fields(
    """id user_id display_name nickname organisation privacy_mode role application_status real_name email admin_notes
    custom_form_fields last_reviewed_at last_reviewer_id last_review_action registered_at created_at updated_at"""
)
ROLE = fields("id name description")
THREAD = fields("id name description icon_name color_hex sort_order")
ACTIVITY = fields(
    """id title description activity_type activity_details start_time end_time duration_minutes status thread location
    host_id host_display_name co_host_ids co_host_display_names markers capacity sign_ups_enabled
    committed_signups_count signed_up_participant_ids registration_waves created_at updated_at"""
)
WAVE = fields("id name starts_at ends_at status activity_ids")
VENUE = fields("id name address google_maps_url center_lat center_lng sort_order buildings locations")
BUILDING = fields("id name description lat lng position_x position_y sort_order floors")
FLOOR = fields("id number name sort_order")
LOCATION = fields(
    """id name code description scope type is_schedulable capacity amenities position_x position_y icon_override
    color_hex operating_hours sort_order building floor"""
)
# Unknown additions, on purpose.
EXTRAS = fields(
    """hashtags pronouns badge badge_color is_featured livestream max_signups_per_person heritage_listed
    evacuation_plan timezone surface"""
)
OPTIONAL = {"nickname", "organisation", "real_name", "email", "signed_up_participant_ids"}

Rows = list[dict[str, Any]]


def make_world(**changes: Any) -> World:
    settings: dict[str, Any] = {"events": 3, "participants": 60, "activities": 40, "today": date(2026, 5, 1)}
    return World(SandboxSettings(**(settings | changes)), lambda: "2026-05-01T12:00:00Z")


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return list(make_world().truth()["events"])


def nodes(events: list[dict[str, Any]]) -> dict[str, tuple[set[str], Rows]]:
    venues = [venue for event in events for venue in event["locations"]["venues"]]
    buildings = [building for venue in venues for building in venue["buildings"]]

    def all_of(listing: str) -> Rows:
        return [row for event in events for row in event[listing]]

    return {
        "event": (EVENT, [event["event"] for event in events]),
        "participant": (PARTICIPANT, all_of("participants")),
        "role": (ROLE, all_of("roles")),
        "thread": (THREAD, all_of("threads")),
        "activity": (ACTIVITY, all_of("activities")),
        "wave": (WAVE, all_of("registration_waves")),
        "venue": (VENUE, venues),
        "building": (BUILDING, buildings),
        "floor": (FLOOR, [floor for building in buildings for floor in building["floors"]]),
        "location": (LOCATION, [location for venue in venues for location in venue["locations"]]),
    }


def test_every_row_has_the_documented_fields_and_a_few_unknown_ones(events: list[dict[str, Any]]) -> None:
    for kind, (documented, rows) in nodes(events).items():
        plain = [row for row in rows if set(row) == documented]
        assert plain, kind
        for row in rows:
            assert documented - set(row) <= OPTIONAL, (kind, row)
            assert set(row) - documented <= EXTRAS, (kind, row)
        assert any(set(row) - documented for row in rows), f"no unknown field on any {kind}"


def test_embedded_objects_have_their_documented_fields(events: list[dict[str, Any]]) -> None:
    for activity in (row for event in events for row in event["activities"]):
        if activity["thread"]:
            assert set(activity["thread"]) == {"id", "name", "color_hex"}
        if activity["location"]:
            assert set(activity["location"]) - EXTRAS == LOCATION | {"venue"}
        assert all(set(marker) == {"id", "name", "color_hex"} for marker in activity["markers"])
    for participant in (row for event in events for row in event["participants"]):
        assert set(participant["role"]) == {"id", "name"}


def test_stamps_are_utc_and_some_are_equal(events: list[dict[str, Any]]) -> None:
    rows = [row for event in events for listing in ("participants", "activities") for row in event[listing]]
    stamps = [row[key] for row in rows for key in ("created_at", "updated_at")]
    assert all(STAMP.fullmatch(stamp) for stamp in stamps)
    created = [row["created_at"] for row in events[0]["participants"]]
    assert created == sorted(created)
    assert len(set(created)) < len(created)
    assert all(row["created_at"] <= row["updated_at"] for row in rows)


def test_events_start_about_two_weeks_after_today(events: list[dict[str, Any]]) -> None:
    assert [event["event"]["start_date"][:10] for event in events] == ["2026-05-15", "2026-05-16", "2026-05-17"]


def test_participants_carry_the_traps(events: list[dict[str, Any]]) -> None:
    rows: Rows = events[0]["participants"]
    for key in ("email", "real_name", "nickname", "organisation"):
        assert any(key not in row for row in rows), key
        assert any(row.get(key, "") is None for row in rows), key
    statuses = {row["application_status"] for row in rows}
    assert statuses == {"pending", "approved", "rejected", "revision_requested", "waitlisted"}
    assert {row["privacy_mode"] for row in rows} == {True, False}
    assert any(row["role"]["id"].startswith("role_custom") for event in events for row in event["participants"])
    forms = [row["custom_form_fields"] for row in rows]
    assert {} in forms
    values = [value for form in forms for value in form.values()]
    assert {type(value) for value in values} == {str, int, float, bool, type(None), list, dict}
    text = "".join(row["display_name"] for event in events for row in event["participants"])
    for first, last in (("Ā", "ſ"), ("א", "ת"), ("؀", "ۿ"), ("一", "鿿"), ("ก", "๛"), ("̀", "ͯ"), ("🀀", "🧿")):
        assert any(first <= char <= last for char in text), first


def test_activities_carry_the_traps(events: list[dict[str, Any]]) -> None:
    rows: Rows = events[0]["activities"]
    known = {row["id"] for row in events[0]["participants"]}
    enabled = [row for row in rows if row["sign_ups_enabled"]]
    lists = [row for row in enabled if "signed_up_participant_ids" in row]
    assert all("signed_up_participant_ids" not in row for row in rows if not row["sign_ups_enabled"])
    assert 0 < len(lists) < len(enabled)
    assert any(len(row["signed_up_participant_ids"]) < row["committed_signups_count"] for row in lists)
    assert any(row["signed_up_participant_ids"] == [] for row in lists)
    assert any(row["start_time"] is None and row["status"] == "new" for row in rows)
    assert {row["status"] for row in rows} == {"new", "scheduled", "canceled", "postponed"}
    assert {"LARP", "panel_show"} <= {row["activity_type"] for row in rows}
    assert any(row["thread"] is None for row in rows)
    assert any(row["location"] is None for row in rows)
    assert any(len(row["co_host_display_names"].split(", ")) > len(row["co_host_ids"]) for row in rows)
    assert [row["host_id"] for row in rows if row["host_id"] not in known] == ["ptp_of_nobody", None]
    assert {signed for row in lists for signed in row["signed_up_participant_ids"]} <= known


def test_waves_have_all_statuses_and_do_not_always_agree_with_activities(events: list[dict[str, Any]]) -> None:
    waves: Rows = events[0]["registration_waves"]
    assert {wave["status"] for wave in waves} == {"scheduled", "started", "finished", "canceled"}
    from_waves = {(wave["id"], key) for wave in waves for key in wave["activity_ids"]}
    from_activities = {(key, row["id"]) for row in events[0]["activities"] for key in row["registration_waves"]}
    assert from_waves & from_activities
    assert from_waves - from_activities
    assert any(key == "act_of_nobody" for _, key in from_waves)


def test_the_venue_graph_is_full(events: list[dict[str, Any]]) -> None:
    rows = nodes(events[:1])["location"][1]
    types = "room stage expo food restroom entrance info parking rest_area first_aid smoking_area other"
    assert {row["type"] for row in rows} == set(types.split())
    assert {row["scope"] for row in rows} == {"indoor", "outdoor"}
    assert all((row["building"] is None) == (row["floor"] is None) == (row["scope"] == "outdoor") for row in rows)
    assert {"24/7", "by appointment"} <= {row["operating_hours"] for row in rows}


def test_ids_are_unique_in_an_event_and_role_and_floor_ids_repeat_between_events(events: list[dict[str, Any]]) -> None:
    per_event = [nodes([event]) for event in events]
    for kinds in per_event:
        for kind, (_, rows) in kinds.items():
            ids = [row["id"] for row in rows]
            assert len(set(ids)) == len(ids), kind
    for kind in nodes(events):
        first, second = ({row["id"] for row in kinds[kind][1]} for kinds in per_event[:2])
        assert bool(first & second) == (kind in ("role", "floor")), kind


def test_the_same_seed_makes_the_same_world_and_another_does_not() -> None:
    assert make_world().truth() == make_world().truth()
    assert make_world(seed=2).truth() != make_world().truth()


def test_an_event_does_not_depend_on_how_many_others_there_are() -> None:
    assert make_world(events=1).truth()["events"][0] == make_world(events=3).truth()["events"][0]


@pytest.mark.parametrize(("participants", "activities"), [(0, 0), (0, 5), (1, 1), (7, 0)])
def test_tiny_worlds_are_possible(participants: int, activities: int) -> None:
    (event,) = make_world(events=1, participants=participants, activities=activities).truth()["events"]
    assert (len(event["participants"]), len(event["activities"])) == (participants, activities)


def test_ten_thousand_participants_are_made_quickly() -> None:
    started = time.perf_counter()
    world = make_world(events=1, participants=10_000)
    assert time.perf_counter() - started < 5
    (event,) = world.events.values()
    assert len(event.lists["participants"]) == 10_000


def test_life_changes_the_world_a_little_and_repeatably() -> None:
    one, two = make_world(), make_world()
    assert [one.live_once() for _ in range(30)] == [two.live_once() for _ in range(30)]
    assert one.truth() == two.truth() != make_world().truth()
