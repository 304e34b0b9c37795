"""The event, threads, activities and waves: the contract's samples and its traps 26 to 30."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from syncd.model import Change, Content, Links, Spells
from syncd.sources.revento.decode import Decoded
from syncd.sources.revento.decode_program import decode_activity, decode_event, decode_thread, decode_wave
from syncd.sources.revento.tables import (
    activities,
    activity_registration_waves,
    activity_sign_ups,
    events,
    markers,
    registration_waves,
    threads,
)
from syncd.wire.readers import RowRejected
from tests.sources.revento.samples import ABSENT, activity, event, fields, thread, wave
from tests.sources.scripted import EVENT_ID, INSTALLATION

KEY = f"{EVENT_ID}/act_001"


def decode(row: Any) -> tuple[Decoded, list[str]]:
    """The activity decoded, and the paths of its bad values."""
    values, bad = fields(row)
    return decode_activity(values, EVENT_ID), [value.path for value in bad]


def content(change: Change, table: str) -> list[dict[str, Any]]:
    (part,) = [part for part in change.parts if isinstance(part, Content) and part.table.name == table]
    assert part.owner == "activity_key"
    assert {row["activity_key"] for row in part.rows} <= {KEY}
    return [{name: value for name, value in row.items() if name != "activity_key"} for row in part.rows]


def sign_ups(change: Change) -> Spells | None:
    return next((part for part in change.parts if isinstance(part, Spells)), None)


def links(change: Change) -> Links | None:
    return next((part for part in change.parts if isinstance(part, Links)), None)


def test_sample_of_an_activity() -> None:
    decoded, bad = decode(activity())
    assert decoded.change.table is activities
    assert decoded.change.row == {
        "event_id": EVENT_ID,
        "activity_id": "act_001",
        "title": "Opening Ceremony",
        "description": "Welcome and overview of the weekend",
        "activity_type": "rpg_session",
        "start_time": datetime(2026, 8, 15, 16, tzinfo=UTC),
        "end_time": datetime(2026, 8, 15, 17, tzinfo=UTC),
        "duration_minutes": 60,
        "status": "scheduled",
        "thread_id": "thr_main",
        "location_id": "loc_main_hall",
        "host_id": "ptp_001",
        "capacity": 8,
        "sign_ups_enabled": True,
        "committed_signups_count": 5,
        "sign_ups_list": "whole",
        "created_at": datetime(2026, 4, 20, 10, tzinfo=UTC),
        "updated_at": datetime(2026, 8, 15, 14, 30, tzinfo=UTC),
    }
    assert decoded.change.version == datetime(2026, 8, 15, 14, 30, tzinfo=UTC)
    assert (decoded.change.unmapped, bad) == ({}, [])


def test_names_and_details_of_an_activity_stand_apart() -> None:
    decoded, _ = decode(activity())
    assert content(decoded.change, "activity_private") == [
        {
            "host_display_name": "Sample Host",
            "co_host_display_names": "Co-host A, Co-host B",
            "details": {"system": "Sample", "players": {"min": 2}},
        }
    ]


@pytest.mark.fault(39)
def test_what_an_activity_says_is_never_derived() -> None:
    decoded, _ = decode(
        activity(duration_minutes=999, co_host_display_names="Doe, Jane", co_host_ids=["p"], committed_signups_count=3)
    )
    assert (decoded.change.row["duration_minutes"], decoded.change.row["committed_signups_count"]) == (999, 3)
    assert content(decoded.change, "activity_private")[0]["co_host_display_names"] == "Doe, Jane"


@pytest.mark.parametrize(
    ("host", "co_hosts", "expected"),
    [
        ("h", ["a", "b", "a"], [("h", "host", 0), ("a", "co_host", 0), ("b", "co_host", 1)]),
        ("h", ["h"], [("h", "host", 0), ("h", "co_host", 0)]),
        (None, ["a"], [("a", "co_host", 0)]),
        ("h", ABSENT, [("h", "host", 0)]),
        (ABSENT, [], []),
    ],
)
def test_hosts(host: Any, co_hosts: Any, expected: list[tuple[str, str, int]]) -> None:
    decoded, bad = decode(activity(host_id=host, co_host_ids=co_hosts))
    assert content(decoded.change, "activity_hosts") == [
        {"participant_key": f"{EVENT_ID}/{who}", "host_kind": kind, "position": position}
        for who, kind, position in expected
    ]
    assert bad == []


def test_markers_are_entities_that_the_activity_repeats() -> None:
    kids = {"id": "mkr_kids", "name": "Kids-friendly", "color_hex": "#DCA041", "icon": "k"}
    decoded, bad = decode(activity(markers=[kids, {"id": "mkr_hard"}, {"id": "mkr_kids", "name": "again"}]))
    assert decoded.shared == (
        Change(
            markers,
            {"event_id": EVENT_ID, "marker_id": "mkr_kids", "name": "Kids-friendly", "color_hex": "#DCA041"},
            unmapped={"icon": "k"},
        ),
        Change(markers, {"event_id": EVENT_ID, "marker_id": "mkr_hard", "name": None, "color_hex": None}),
    )
    assert content(decoded.change, "activity_markers") == [
        {"marker_key": f"{EVENT_ID}/mkr_kids", "position": 0},
        {"marker_key": f"{EVENT_ID}/mkr_hard", "position": 1},
    ]
    assert bad == []


@pytest.mark.fault(38)
@pytest.mark.parametrize(
    ("name", "served", "table"),
    [
        ("host_id", 7, "activity_hosts"),
        ("co_host_ids", "none", "activity_hosts"),
        ("markers", "none", "activity_markers"),
    ],
)
def test_a_list_that_cannot_be_read_says_nothing_of_who_was_on_it(name: str, served: object, table: str) -> None:
    decoded, _ = decode(activity(**{name: served}))
    assert table not in {part.table.name for part in decoded.change.parts}


@pytest.mark.case("RV-38")
@pytest.mark.fault(38)
@pytest.mark.parametrize(
    ("listed", "committed", "state", "people"),
    [
        (ABSENT, 5, "absent", None),
        (None, 5, "absent", None),
        ("ptp_1", 5, "absent", None),
        ([], 0, "whole", []),
        ([], None, "whole", []),
        ([], 2, "partial", []),
        (["a"], 2, "partial", ["a"]),
        (["a", "a"], 2, "partial", ["a"]),
        (["a", "b"], 2, "whole", ["a", "b"]),
        (["a", "b"], 1, "whole", ["a", "b"]),
        (["a", None, "b"], 2, "partial", ["a", "b"]),
        (["a", "b"], "12", "partial", ["a", "b"]),
        (["a", "b"], 12.5, "partial", ["a", "b"]),
    ],
)
def test_sign_up_list(listed: Any, committed: Any, state: str, people: list[str] | None) -> None:
    decoded, _ = decode(activity(signed_up_participant_ids=listed, committed_signups_count=committed))
    assert decoded.change.row["sign_ups_list"] == state
    spells = sign_ups(decoded.change)
    if people is None:
        assert spells is None
        return
    rows = tuple(
        {"activity_key": KEY, "participant_key": f"{EVENT_ID}/{who}", "event_id": EVENT_ID, "position": position}
        for position, who in enumerate(people)
    )
    assert spells == Spells(activity_sign_ups, "activity_key", "participant_key", rows, closes=state == "whole")


@pytest.mark.case("RV-38")
def test_unscheduled_activity() -> None:
    decoded, bad = decode(
        activity(
            status="new",
            start_time=None,
            end_time=None,
            duration_minutes=None,
            location=None,
            thread=None,
            sign_ups_enabled=False,
            signed_up_participant_ids=ABSENT,
        )
    )
    row = decoded.change.row
    assert (row["start_time"], row["end_time"], row["location_id"], row["thread_id"]) == (None, None, None, None)
    assert (row["sign_ups_list"], sign_ups(decoded.change), bad) == ("absent", None, [])


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    ("name", "value"), [("activity_type", "LARP"), ("activity_type", "karaoke"), ("status", "canceled")]
)
def test_words_are_kept_as_they_are(name: str, value: str) -> None:
    decoded, bad = decode(activity(**{name: value}))
    assert (decoded.change.row[name], bad) == (value, [])


@pytest.mark.fault(37)
def test_unknown_fields_are_kept_and_copies_are_not() -> None:
    place = activity()["location"] | {"seat_map": "A"}
    decoded, bad = decode(activity(location=place, thread={"id": "t", "name": "T", "mood": 1}, livestream=None))
    assert decoded.change.unmapped == {"location": {"seat_map": "A"}, "thread": {"mood": 1}, "livestream": None}
    assert bad == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"host_id": 5}, "$.host_id"),
        ({"host_id": ""}, "$.host_id"),
        ({"co_host_ids": ["a", 5]}, "$.co_host_ids[1]"),
        ({"co_host_ids": "a,b"}, "$.co_host_ids"),
        ({"markers": ["m"]}, "$.markers[0]"),
        ({"markers": [{"name": "no id"}]}, "$.markers[0].id"),
        ({"signed_up_participant_ids": [1]}, "$.signed_up_participant_ids[0]"),
        ({"registration_waves": [{}]}, "$.registration_waves[0]"),
        ({"thread": {"id": []}}, "$.thread.id"),
        ({"capacity": "8"}, "$.capacity"),
        ({"capacity": 8.5}, "$.capacity"),
        ({"capacity": 2**63}, "$.capacity"),
        ({"title": "a\0b"}, "$.title"),
        ({"activity_details": "free text"}, "$.activity_details"),
        ({"activity_details": {"n": 10**30}}, "$.activity_details.n"),
    ],
)
def test_unusable_values_and_references_are_left_out(change: dict[str, Any], path: str) -> None:
    decoded, bad = decode(activity(**change))
    assert bad == [path]
    assert decoded.change.row["activity_id"] == "act_001"


def test_largest_integers() -> None:
    decoded, bad = decode(activity(capacity=2**63 - 1, duration_minutes=-(2**63)))
    assert (decoded.change.row["capacity"], decoded.change.row["duration_minutes"]) == (2**63 - 1, -(2**63))
    assert bad == []


@pytest.mark.fault(38)
@pytest.mark.parametrize(("named", "expected"), [(["w2", "w1"], ["w2", "w1"]), ([], []), (None, None), (ABSENT, None)])
def test_waves_that_an_activity_names(named: Any, expected: list[str] | None) -> None:
    decoded, _ = decode(activity(registration_waves=named))
    rows = tuple({"activity_key": KEY, "wave_key": f"{EVENT_ID}/{wave_id}"} for wave_id in expected or ())
    assert links(decoded.change) == (
        None if expected is None else Links(activity_registration_waves, "activity_key", "from_activity", rows)
    )


def test_sample_of_a_wave() -> None:
    values, bad = fields(wave())
    change, _ = decode_wave(values, EVENT_ID)
    assert change.table is registration_waves
    assert change.row == {
        "event_id": EVENT_ID,
        "wave_id": "wave_a",
        "name": "Friday morning",
        "starts_at": datetime(2026, 5, 10, 8, tzinfo=UTC),
        "ends_at": datetime(2026, 5, 10, 12, tzinfo=UTC),
        "status": "scheduled",
    }
    rows = tuple(
        {"wave_key": f"{EVENT_ID}/wave_a", "activity_key": f"{EVENT_ID}/{activity_id}"}
        for activity_id in ("act_001", "act_002", "act_003")
    )
    assert change.parts == (Links(activity_registration_waves, "wave_key", "from_wave", rows),)
    assert (change.unmapped, bad) == ({}, [])


def test_sample_of_a_thread() -> None:
    values, bad = fields(thread())
    change, _ = decode_thread(values, EVENT_ID)
    assert change.table is threads
    assert change.row == {"event_id": EVENT_ID, "thread_id": "thr_main"} | {
        name: value for name, value in thread().items() if name != "id"
    }
    assert (change.unmapped, bad) == ({}, [])


def test_sample_of_an_event() -> None:
    values, bad = fields(event(theme="space"))
    change = decode_event(values, INSTALLATION)
    assert change.table is events
    assert change.row == {
        "event_id": EVENT_ID,
        "title": "Sample Convention 2026",
        "description": "Annual convention...",
        "start_date": datetime(2026, 8, 15, 16, tzinfo=UTC),
        "end_date": datetime(2026, 8, 17, 16, tzinfo=UTC),
        "min_age": "age_all",
        "access_mode": "open_approval",
        "publish_status": "published",
        "visibility": "discoverable",
        "organization_id": "org_xyz789",
        "location_summary": "Main Venue, Sample City",
        "image_url": "https://example.com/image.jpg",
        "created_at": datetime(2026, 4, 1, 10, 30, tzinfo=UTC),
        "updated_at": datetime(2026, 5, 9, 14, 22, tzinfo=UTC),
        "timezone": "Europe/Warsaw",
    }
    assert (change.version, change.unmapped, bad) == (change.row["updated_at"], {"theme": "space"}, [])


@pytest.mark.fault(36)
@pytest.mark.parametrize("bad_id", [ABSENT, None, "", 5])
@pytest.mark.parametrize(
    ("row", "decode_row"), [(activity, decode_activity), (wave, decode_wave), (thread, decode_thread)]
)
def test_row_without_a_usable_id_is_rejected(row: Any, decode_row: Any, bad_id: Any) -> None:
    values, bad = fields(row(id=bad_id))
    with pytest.raises(RowRejected):
        decode_row(values, EVENT_ID)
    assert bad == []
