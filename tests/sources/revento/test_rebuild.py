"""Nothing is lost in typing: typed columns, parts and unmapped fields rebuild the payload (docs/warehouse.md §1, 11).

Exempt: what `COPIES` lists; a null or a missing known field, which are one; an empty list of hosts or markers, which
is a missing one; an empty nested object.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from syncd.model import Change, Content, Links, Spells
from syncd.sources.revento.decode import COPIES, Decode, Decoded
from syncd.sources.revento.decode_people import decode_participant
from syncd.sources.revento.decode_program import decode_activity
from syncd.wire.readers import BadValue, RowRejected, parse_row
from tests.sources.revento import samples
from tests.sources.scripted import EVENT_ID

JSON = dict[str, Any]

# Time limits would judge the machine, not the code.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

whole = st.integers(-(2**63), 2**63 - 1)
text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
ids = text.filter(bool)
stamps = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda stamp: stamp.isoformat()
)
anything = st.recursive(
    st.none() | st.booleans() | whole | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
unknown = st.dictionaries(text.map(lambda name: "new_" + name), anything, max_size=2)
maps = st.dictionaries(text, anything, max_size=3)


def referred(name: str) -> st.SearchStrategy[JSON]:
    """An object inside another: its id, copies of its fields, and fields nobody has heard of."""
    copies = st.fixed_dictionaries({}, optional=dict.fromkeys(COPIES[name], anything))
    return st.builds(
        lambda *parts: {k: v for p in parts for k, v in p.items()}, given_fields({"id": ids}), copies, unknown
    )


def given_fields(known: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[JSON]:
    """Each field present, null or missing."""
    return st.fixed_dictionaries({}, optional={name: st.none() | value for name, value in known.items()})


def rows_with(known: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[JSON]:
    """Rows with an id, any of the known fields, and fields nobody has heard of."""
    return st.builds(lambda row_id, row, more: {"id": row_id} | row | more, ids, given_fields(known), unknown)


participant_rows = rows_with(
    {
        **dict.fromkeys(
            ("user_id", "display_name", "nickname", "organisation", "real_name", "email", "admin_notes"), text
        ),
        **dict.fromkeys(("application_status", "last_reviewer_id", "last_review_action"), text),
        **dict.fromkeys(("last_reviewed_at", "registered_at", "created_at", "updated_at"), stamps),
        "privacy_mode": st.booleans(),
        "role": referred("role"),
        "custom_form_fields": maps,
    }
)
activity_rows = rows_with(
    {
        **dict.fromkeys(("title", "description", "activity_type", "status"), text),
        **dict.fromkeys(("host_display_name", "co_host_display_names"), text),
        **dict.fromkeys(("start_time", "end_time", "created_at", "updated_at"), stamps),
        **dict.fromkeys(("duration_minutes", "capacity", "committed_signups_count"), whole),
        **dict.fromkeys(
            ("co_host_ids", "signed_up_participant_ids", "registration_waves"), st.lists(ids, max_size=3, unique=True)
        ),
        "host_id": ids,
        "sign_ups_enabled": st.booleans(),
        "activity_details": maps,
        "thread": referred("thread"),
        "location": referred("location"),
        "markers": st.lists(
            st.builds(
                lambda marker_id, row, more: {"id": marker_id} | row | more,
                ids,
                given_fields({"name": text, "color_hex": text}),
                unknown,
            ),
            max_size=3,
            unique_by=lambda marker: str(marker["id"]),
        ),
    }
)
KNOWN = {
    "participant": [*samples.participant(), "role"],
    "activity": [*samples.activity()],
}


def decode(row: JSON, decode_row: Decode) -> tuple[Decoded, list[str]]:
    bad: list[BadValue] = []
    return decode_row(parse_row(json.dumps(row).encode(), "$", bad), EVENT_ID), [value.path for value in bad]


def expected(row: JSON, kind: str) -> JSON:
    """The payload without what is exempt."""
    kept = {name: value for name, value in row.items() if value is not None or name not in KNOWN[kind]}
    for name in ("role", "thread", "location"):
        if name in kept:
            inner = {k: v for k, v in kept.pop(name).items() if k not in COPIES[name] and (k, v) != ("id", None)}
            kept |= {name: inner} if inner else {}
    for name in ("co_host_ids", "markers"):
        if not kept.get(name, True):
            del kept[name]
    if "markers" in kept:
        kept["markers"] = [
            {k: v for k, v in m.items() if v is not None or k.startswith("new_")} for m in kept["markers"]
        ]
    return kept


def typed(row: Any, *, without: tuple[str, ...] = ()) -> JSON:
    """A row's columns as the API's fields, nulls left out."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row.items()
        if value is not None and name not in {"event_id", *without}
    }


def merged(rebuilt: JSON, unmapped: Any) -> JSON:
    """Unmapped fields put back, those of nested objects into them."""
    for name, value in unmapped.items():
        nested = name in ("role", "thread", "location")
        rebuilt[name] = rebuilt.get(name, {}) | value if nested else value
    return rebuilt


def bare(key: str) -> str:
    return key.removeprefix(f"{EVENT_ID}/")


def rebuilt_participant(change: Change) -> JSON:
    row = change.row
    private = change.parts[0]
    assert isinstance(private, Content)
    payload = typed(row, without=("participant_id", "role_id")) | typed(private.rows[0], without=("participant_key",))
    payload["id"] = row["participant_id"]
    if row["role_id"] is not None:
        payload["role"] = {"id": row["role_id"]}
    return merged(payload, change.unmapped)


def rebuilt_activity(change: Change, shared: tuple[Change, ...]) -> JSON:
    row = change.row
    payload = typed(row, without=("activity_id", "thread_id", "location_id", "sign_ups_list"))
    payload["id"] = row["activity_id"]
    for name in ("thread", "location"):
        if row[f"{name}_id"] is not None:
            payload[name] = {"id": row[f"{name}_id"]}
    for part in change.parts:
        match part:
            case Content(table, _, rows) if table.name == "activity_private":
                details = typed(rows[0], without=("activity_key",))
                payload |= {"activity_details": details.pop("details")} if "details" in details else {}
                payload |= details
            case Content(table, _, rows) if table.name == "activity_hosts":
                co_hosts = [bare(host["participant_key"]) for host in rows if host["host_kind"] == "co_host"]
                payload |= {"co_host_ids": co_hosts} if co_hosts else {}
            case Spells(rows=rows):
                payload["signed_up_participant_ids"] = [bare(spell["participant_key"]) for spell in rows]
            case Links(rows=rows):
                payload["registration_waves"] = [bare(link["wave_key"]) for link in rows]
    if shared:
        payload["markers"] = [
            typed(marker.row, without=("marker_id",)) | {"id": marker.row["marker_id"]} | dict(marker.unmapped)
            for marker in shared
        ]
    return merged(payload, change.unmapped)


@unhurried
@given(participant_rows)
def test_participant_is_rebuilt(row: JSON) -> None:
    (change, _), bad = decode(row, decode_participant)
    assert bad == []
    assert rebuilt_participant(change) == expected(row, "participant")


@unhurried
@given(activity_rows)
def test_activity_is_rebuilt(row: JSON) -> None:
    (change, shared), bad = decode(row, decode_activity)
    assert bad == []
    assert rebuilt_activity(change, shared) == expected(row, "activity")


wild = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.fault(78)
@pytest.mark.parametrize(
    ("sample", "decode_row"), [(samples.participant(), decode_participant), (samples.activity(), decode_activity)]
)
@unhurried
@given(data=st.data())
def test_whatever_stands_in_a_field_the_row_is_kept_or_rejected(data: Any, sample: JSON, decode_row: Decode) -> None:
    row = sample | data.draw(st.dictionaries(st.sampled_from(sorted(sample)), wild, max_size=4))
    bad: list[BadValue] = []
    values = parse_row(json.dumps(row).encode(), "$", bad)
    try:
        change, _ = decode_row(values, EVENT_ID)
    except RowRejected:
        assert not isinstance(row["id"], str) or not row["id"] or "\0" in row["id"]
    else:
        assert row["id"] in change.row.values()
        assert all(value.path.startswith("$.") for value in bad)
