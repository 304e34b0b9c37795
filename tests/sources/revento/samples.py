"""The samples of the contract (docs/contracts/revento.md §12.1), each fresh, with what the test changes."""

from __future__ import annotations

import json
from typing import Any

from syncd.wire.readers import BadValue, Fields, parse_row

ABSENT = object()  # as a change: the key is not there at all


def event(**changes: Any) -> dict[str, Any]:
    return _changed(
        {
            "id": "evt_abc123",
            "title": "Sample Convention 2026",
            "description": "Annual convention...",
            "start_date": "2026-08-15T16:00:00Z",
            "end_date": "2026-08-17T16:00:00Z",
            "min_age": "age_all",
            "access_mode": "open_approval",
            "publish_status": "published",
            "visibility": "discoverable",
            "organization_id": "org_xyz789",
            "location_summary": "Main Venue, Sample City",
            "image_url": "https://example.com/image.jpg",
            "created_at": "2026-04-01T10:30:00Z",
            "updated_at": "2026-05-09T14:22:00Z",
        },
        changes,
    )


def application(**changes: Any) -> dict[str, Any]:
    return _changed(
        {
            "id": "app_xyz",
            "event_id": "evt_abc123",
            "status": "approved",
            "submitted_at": "2026-04-29T14:00:00Z",
            "last_reviewed_at": "2026-05-02T09:14:00Z",
            "last_review_action": "approved",
        },
        changes,
    )


def profile(**changes: Any) -> dict[str, Any]:
    return _changed(
        {
            "user_id": "usr_def456",
            "display_name": "Sample Name",
            "email": "sample@example.com",
            "locale": "pl",
            "event_id": "evt_abc123",
        },
        changes,
    )


def role(**changes: Any) -> dict[str, Any]:
    return _changed({"id": "role_attendee", "name": "Attendee", "description": "..."}, changes)


def participant(**changes: Any) -> dict[str, Any]:
    return _changed(
        {
            "id": "ptp_001",
            "user_id": "usr_def456",
            "display_name": "Sample Name",
            "nickname": "Sample",
            "organisation": "Sample Org",
            "privacy_mode": False,
            "role": {"id": "role_attendee", "name": "Attendee"},
            "application_status": "approved",
            "real_name": "Sample Real Name",
            "email": "sample@example.com",
            "admin_notes": None,
            "custom_form_fields": {
                "favorite_track": "RPG",
                "dietary_notes": "Vegetarian",
                "arrival_day": "Friday",
            },
            "last_reviewed_at": "2026-05-02T09:14:00Z",
            "last_reviewer_id": "usr_org_123",
            "last_review_action": "approved",
            "registered_at": "2026-05-02T09:14:00Z",
            "created_at": "2026-04-29T14:00:00Z",
            "updated_at": "2026-05-02T09:14:00Z",
        },
        changes,
    )


def thread(**changes: Any) -> dict[str, Any]:
    return _changed(
        {
            "id": "thr_main",
            "name": "Main Hall",
            "description": "All headline activities",
            "icon_name": "auditorium",
            "color_hex": "#2ED75A",
            "sort_order": 0,
        },
        changes,
    )


def activity(**changes: Any) -> dict[str, Any]:
    return _changed(
        {
            "id": "act_001",
            "title": "Opening Ceremony",
            "description": "Welcome and overview of the weekend",
            "activity_type": "rpg_session",
            "activity_details": {"system": "Sample", "players": {"min": 2}},
            "start_time": "2026-08-15T16:00:00Z",
            "end_time": "2026-08-15T17:00:00Z",
            "duration_minutes": 60,
            "status": "scheduled",
            "thread": {"id": "thr_main", "name": "Main Hall", "color_hex": "#2ED75A"},
            "location": location(venue={"id": "ven_default", "name": "Main Venue"}),
            "host_id": "ptp_001",
            "host_display_name": "Sample Host",
            "co_host_ids": ["ptp_002", "ptp_003"],
            "co_host_display_names": "Co-host A, Co-host B",
            "markers": [{"id": "mkr_kids", "name": "Kids-friendly", "color_hex": "#DCA041"}],
            "capacity": 8,
            "sign_ups_enabled": True,
            "committed_signups_count": 5,
            "signed_up_participant_ids": ["ptp_010", "ptp_011", "ptp_012", "ptp_013", "ptp_014"],
            "registration_waves": ["wave_a"],
            "created_at": "2026-04-20T10:00:00Z",
            "updated_at": "2026-08-15T14:30:00Z",
        },
        changes,
    )


def wave(**changes: Any) -> dict[str, Any]:
    return _changed(
        {
            "id": "wave_a",
            "name": "Friday morning",
            "starts_at": "2026-05-10T08:00:00Z",
            "ends_at": "2026-05-10T12:00:00Z",
            "status": "scheduled",
            "activity_ids": ["act_001", "act_002", "act_003"],
        },
        changes,
    )


def location(**changes: Any) -> dict[str, Any]:
    return _changed(
        {
            "id": "loc_main_hall",
            "name": "Main Hall",
            "code": "MH-1",
            "description": "...",
            "scope": "indoor",
            "type": "room",
            "is_schedulable": True,
            "capacity": 150,
            "amenities": ["projector", "wifi"],
            "position_x": 50.0,
            "position_y": 50.0,
            "icon_override": None,
            "color_hex": None,
            "operating_hours": "08:00-22:00",
            "sort_order": 0,
            "building": {"id": "bld_main", "name": "Main Building"},
            "floor": {"id": "flr_0", "number": 0, "name": "Ground Floor"},
        },
        changes,
    )


def building(**changes: Any) -> dict[str, Any]:
    return _changed(
        {
            "id": "bld_main",
            "name": "Main Building",
            "description": "...",
            "lat": 52.0,
            "lng": 19.0,
            "position_x": 50.0,
            "position_y": 50.0,
            "sort_order": 0,
            "floors": [{"id": "flr_0", "number": 0, "name": "Ground Floor", "sort_order": 0}],
        },
        changes,
    )


def venue(**changes: Any) -> dict[str, Any]:
    return _changed(
        {
            "id": "ven_default",
            "name": "Main Venue",
            "address": "1 Sample Street, 12-345 Sample City",
            "google_maps_url": "https://maps.google.com/...",
            "center_lat": 52.0,
            "center_lng": 19.0,
            "sort_order": 0,
            "buildings": [building()],
            "locations": [location()],
        },
        changes,
    )


def fields(row: Any) -> tuple[Fields, list[BadValue]]:
    """A row as it comes off the wire, and the list in which its bad values will stand."""
    bad: list[BadValue] = []
    raw = row if isinstance(row, bytes) else json.dumps(row).encode()
    return parse_row(raw, "$", bad), bad


def _changed(sample: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (sample | changes).items() if value is not ABSENT}
