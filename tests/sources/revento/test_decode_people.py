"""Roles and participants: the contract's samples, and what may be wrong with a row."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from syncd.model import Content, Dictionary
from syncd.sources.revento.decode import Decoded
from syncd.sources.revento.decode_people import decode_participant, decode_role
from syncd.sources.revento.tables import participant_private, participants, roles
from syncd.wire.readers import RowRejected
from tests.sources.revento.samples import ABSENT, fields, participant, role

EVENT = "evt_abc123"


def decode(row: Any) -> tuple[Decoded, list[str]]:
    """The row decoded, and the paths of its bad values."""
    values, bad = fields(row)
    return decode_participant(values, EVENT), [value.path for value in bad]


def private(decoded: Decoded) -> dict[str, Any]:
    content = decoded.change.parts[0]
    assert isinstance(content, Content)
    (row,) = content.rows
    return dict(row)


def form_fields(decoded: Decoded) -> dict[str, Any]:
    dictionary = decoded.change.parts[1]
    assert isinstance(dictionary, Dictionary)
    return {row["field_key"]: row for row in dictionary.rows}


def test_sample_of_a_participant() -> None:
    decoded, bad = decode(participant())
    reviewed_at = datetime(2026, 5, 2, 9, 14, tzinfo=UTC)
    assert decoded.change.table is participants
    assert decoded.change.row == {
        "event_id": EVENT,
        "participant_id": "ptp_001",
        "user_id": "usr_def456",
        "privacy_mode": False,
        "role_id": "role_attendee",
        "application_status": "approved",
        "last_reviewed_at": reviewed_at,
        "last_reviewer_id": "usr_org_123",
        "last_review_action": "approved",
        "registered_at": reviewed_at,
        "created_at": datetime(2026, 4, 29, 14, tzinfo=UTC),
        "updated_at": reviewed_at,
    }
    assert (decoded.change.version, decoded.change.unmapped, decoded.shared, bad) == (reviewed_at, {}, (), [])


def test_personal_data_stands_apart() -> None:
    decoded, _ = decode(participant())
    assert decoded.change.parts[0] == Content(participant_private, "participant_key", (private(decoded),))
    assert private(decoded) == {
        "participant_key": f"{EVENT}/ptp_001",
        "display_name": "Sample Name",
        "nickname": "Sample",
        "organisation": "Sample Org",
        "real_name": "Sample Real Name",
        "email": "sample@example.com",
        "admin_notes": None,
        "custom_form_fields": participant()["custom_form_fields"],
    }
    shown = json.dumps(dict(decoded.change.row), default=str)
    assert "sample@example.com" not in shown
    assert "Sample" not in shown


@pytest.mark.fault(38)
@pytest.mark.parametrize("missing", [ABSENT, None])
@pytest.mark.parametrize("name", ["email", "real_name", "nickname", "organisation", "admin_notes"])
def test_personal_data_that_is_not_shown_is_not_kept(name: str, missing: Any) -> None:
    decoded, bad = decode(participant(**{name: missing}))
    assert (private(decoded)[name], bad) == (None, [])


@pytest.mark.fault(38)
def test_absent_null_and_empty_answers() -> None:
    given: list[Any] = [{}, None, ABSENT]
    kept = [private(decode(participant(custom_form_fields=answers))[0])["custom_form_fields"] for answers in given]
    assert kept == [{}, None, None]


@pytest.mark.fault(77)
def test_answers_are_kept_as_received_whatever_their_keys() -> None:
    answers = {'"; DROP TABLE x; --': "a", "Ünï.code/ slash": [1, {"b": None}], "": "empty key", "K": 1, "k": 2}
    decoded, bad = decode(participant(custom_form_fields=answers))
    assert (private(decoded)["custom_form_fields"], bad) == (answers, [])
    assert form_fields(decoded).keys() == answers.keys()


@pytest.mark.parametrize(
    ("value", "json_type"),
    [
        ("x", "string"),
        (1, "number"),
        (1.5, "number"),
        (True, "boolean"),
        ([1], "array"),
        ({}, "object"),
        (None, "null"),
    ],
)
def test_dictionary_of_form_fields_gathers_json_types(value: Any, json_type: str) -> None:
    decoded, _ = decode(participant(custom_form_fields={"field": value}))
    assert form_fields(decoded) == {
        "field": {"event_id": EVENT, "field_key": "field", "value_types": [json_type], "is_sensitive": False}
    }


@pytest.mark.parametrize(
    ("key", "is_sensitive"),
    [
        ("dietary_notes", True),
        ("Allergies", True),
        ("HEALTH", True),
        ("access_needs", True),
        ("medication", True),
        ("disability", True),
        ("favorite_track", False),
        ("arrival_day", False),
    ],
)
def test_sensitive_form_fields_are_told_by_their_key(key: str, is_sensitive: bool) -> None:
    decoded, _ = decode(participant(custom_form_fields={key: "x"}))
    assert form_fields(decoded)[key]["is_sensitive"] is is_sensitive


@pytest.mark.fault(76)
def test_key_that_fits_no_index_stays_in_the_answers() -> None:
    answers = {"k" * 5000: "x", "short": "y"}
    decoded, _ = decode(participant(custom_form_fields=answers))
    assert private(decoded)["custom_form_fields"] == answers
    assert list(form_fields(decoded)) == ["short"]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param("\0", marks=pytest.mark.fault(69)),
        pytest.param(2**63, marks=pytest.mark.fault(71)),
        pytest.param(json.loads("[" * 150 + "]" * 150), marks=pytest.mark.fault(74)),
    ],
)
def test_answer_that_cannot_be_stored_leaves_the_other_answers(answer: Any) -> None:
    decoded, bad = decode(participant(custom_form_fields={"good": 1, "bad": answer}))
    assert private(decoded)["custom_form_fields"] == {"good": 1}
    assert bad == ["$.custom_form_fields.bad"]


@pytest.mark.fault(78)
@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"user_id": 5}, "$.user_id"),
        ({"user_id": "a\0b"}, "$.user_id"),
        ({"privacy_mode": "false"}, "$.privacy_mode"),
        ({"privacy_mode": 0}, "$.privacy_mode"),
        ({"created_at": "yesterday"}, "$.created_at"),
        ({"updated_at": "2026-05-02T09:14:00"}, "$.updated_at"),
        ({"registered_at": "+12026-05-02T09:14:00Z"}, "$.registered_at"),
        ({"role": "role_attendee"}, "$.role"),
        ({"role": {"id": 7}}, "$.role.id"),
        ({"email": ["a@example.com"]}, "$.email"),
        ({"custom_form_fields": ["x"]}, "$.custom_form_fields"),
        ({"surprise": "\0"}, "$.surprise"),
    ],
)
def test_bad_value_is_left_out_and_the_row_kept(change: dict[str, Any], path: str) -> None:
    decoded, bad = decode(participant(**change))
    assert bad == [path]
    assert decoded.change.row["participant_id"] == "ptp_001"


@pytest.mark.fault(36)
@pytest.mark.parametrize("bad_id", [ABSENT, None, "", 17, True, {"id": 1}, "p" * 1001, "a\0b"])
def test_row_without_a_usable_id_is_rejected(bad_id: Any) -> None:
    with pytest.raises(RowRejected) as rejected:
        decode(participant(id=bad_id))
    assert rejected.value.bad.path == "$.id"
    assert "sample@example.com" in rejected.value.bad.raw


@pytest.mark.fault(36)
@pytest.mark.parametrize("odd_id", ["PTP_001", "a/b", " x ", "é", "e\u0301", "p" * 1000])
def test_odd_ids_are_taken_byte_by_byte(odd_id: str) -> None:
    decoded, _ = decode(participant(id=odd_id))
    assert decoded.change.row["participant_id"] == odd_id
    assert private(decoded)["participant_key"] == f"{EVENT}/{odd_id}"


@pytest.mark.fault(37)
def test_unknown_fields_and_values_are_kept() -> None:
    decoded, bad = decode(
        participant(application_status="waitlisted", badge={"n": [1]}, role={"id": "r", "name": "R", "rank": 3})
    )
    assert decoded.change.row["application_status"] == "waitlisted"
    assert decoded.change.unmapped == {"badge": {"n": [1]}, "role": {"rank": 3}}
    assert bad == []


@pytest.mark.fault(75)
def test_of_duplicate_keys_the_last_wins() -> None:
    decoded, _ = decode(b'{"id": "ptp_1", "user_id": "first", "user_id": "last"}')
    assert decoded.change.row["user_id"] == "last"


def test_sparse_participant() -> None:
    decoded, bad = decode({"id": "ptp_1"})
    assert {name for name, value in decoded.change.row.items() if value is not None} == {"event_id", "participant_id"}
    assert (decoded.change.version, bad) == (None, [])


def test_sample_of_a_role() -> None:
    values, bad = fields(role(color="red"))
    change, shared = decode_role(values, EVENT)
    assert change.table is roles
    assert change.row == {"event_id": EVENT, "role_id": "role_attendee", "name": "Attendee", "description": "..."}
    assert (change.version, change.unmapped, shared, bad) == (None, {"color": "red"}, (), [])
