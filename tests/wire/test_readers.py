"""One field at a time: a value that cannot be stored costs itself, and says where it stood and why."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from syncd.wire.readers import (
    DEEPEST_NESTING,
    DEEPEST_ROW,
    LONGEST_ID_BYTES,
    BadValue,
    Fields,
    RowRejected,
    parse_row,
    parse_stamp,
    unstorable,
)

ROW = "$.data[3]"


def fields(**values: Any) -> Fields:
    return Fields(values, ROW, [])


def bad(read: Fields) -> list[tuple[str, str]]:
    return [(value.path.removeprefix(ROW), value.reason) for value in read.bad]


@pytest.mark.fault(69)
@pytest.mark.fault(71)
@pytest.mark.fault(73)
@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        ("text", "Ćma 🎲", "Ćma 🎲"),
        ("text", "", ""),
        ("text", None, None),
        ("text", "a\0b", "holds a NUL character"),
        ("text", 7, "an integer stands here"),
        ("text", {}, "an object stands here"),
        ("flag", True, True),
        ("flag", 1, "an integer stands here"),
        ("flag", "true", "a text stands here"),
        ("whole", 2**63 - 1, 2**63 - 1),
        ("whole", -(2**63), -(2**63)),
        ("whole", 2**63, "an integer of more than 64 bits"),
        ("whole", 10**400, "an integer of more than 64 bits"),
        ("whole", True, "a flag stands here"),
        ("whole", 1.0, "a number stands here"),
        ("whole", "7", "a text stands here"),
        ("real", 1, 1.0),
        ("real", 1.5, 1.5),
        ("real", math.inf, "not a finite number"),
        ("real", math.nan, "not a finite number"),
        ("real", True, "a flag stands here"),
        ("stamp", "2026-05-09T14:22:31Z", datetime(2026, 5, 9, 14, 22, 31, tzinfo=UTC)),
        ("stamp", "2026-05-09T14:22:31+02:00", datetime(2026, 5, 9, 12, 22, 31, tzinfo=UTC)),
        ("stamp", "2026-05-09T14:22:31", "not a time with an offset"),
        ("stamp", "yesterday", "not a time with an offset"),
        ("stamp", 1747000042, "an integer stands here"),
        ("ref", "ptp_1", "ptp_1"),
        ("ref", "", "not an identifier"),
        ("ref", 7, "an integer stands here"),
        ("ref", "é" * 501, f"longer than {LONGEST_ID_BYTES} bytes"),
        ("opaque", {"a": [1, None]}, {"a": [1, None]}),
        ("opaque", {"a": ["\0"]}, "holds a NUL character"),
        pytest.param("text", "a\ud800", "holds half of a surrogate pair", marks=pytest.mark.fault(70)),
        pytest.param("opaque", {"\udfff": 1}, "holds half of a surrogate pair", marks=pytest.mark.fault(70)),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_field(kind: str, value: Any, read: Any) -> None:
    it = fields(x=value)
    found = getattr(it, kind)("x")
    if isinstance(read, str) and read != value:
        assert (found, bad(it)) == (None, [(".x", read)])
        assert (
            json.loads(it.bad[0].raw.replace("1" + "0" * 400, "0")) is not None or math.isinf(value) or value != value
        )
    else:
        assert (found, bad(it)) == (read, [])
        assert type(found) is type(read)
    assert it.rest() == {}
    assert getattr(fields(), kind)("x") is None, "absent is no failure"


@pytest.mark.fault(66)
@pytest.mark.fault(68)
@pytest.mark.parametrize(
    "text",
    [
        *("2026-13-01T00:00:00Z", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"),
        *("infinity", "", "2026-05-09", "2026-05-09T14:22:31", "2016-12-31T23:59:60Z"),
    ],
)
def test_a_time_that_no_column_holds(text: str) -> None:
    assert parse_stamp(text) is None


@given(st.text(max_size=40) | st.datetimes().map(str))
def test_no_text_makes_the_reader_of_times_raise(text: str) -> None:
    stamp = parse_stamp(text)
    assert stamp is None or stamp.tzinfo is UTC


def test_the_id_names_the_row_in_every_later_path() -> None:
    it = fields(id="ptp_1", name=7)
    assert it.id() == "ptp_1"
    it.text("name")
    assert it.bad == [BadValue("$.data['ptp_1'].name", "an integer stands here", "7")]


@pytest.mark.fault(36)
@pytest.mark.parametrize("value", [None, "", 7, [], {}, "x" * 1001, "a\0b"])
def test_a_row_without_a_usable_id_is_set_aside_whole(value: Any) -> None:
    with pytest.raises(RowRejected) as rejected:
        fields(id=value, name="kept for a replay").id()
    assert rejected.value.bad.path == f"{ROW}.id"
    assert json.loads(rejected.value.bad.raw)["name"] == "kept for a replay"


def test_lists_keep_their_order_and_each_word_once() -> None:
    it = fields(ids=["b", "a", "b", 7, "", None])
    assert it.ids("ids") == ("b", "a")
    assert [path for path, _ in bad(it)] == [".ids[3]", ".ids[4]", ".ids[5]"]


@pytest.mark.fault(38)
def test_an_absent_list_is_not_an_empty_one() -> None:
    assert (fields().ids("x"), fields(x=None).ids("x"), fields(x=[]).ids("x")) == (None, None, ())


@pytest.mark.fault(37)
def test_what_nobody_asked_for_is_kept_nested_objects_too() -> None:
    it = fields(id="a", name="n", new=None, role={"id": "r", "name": "copy", "rank": 3})
    it.id()
    it.text("name")
    role = it.nested("role")
    assert role is not None
    role.ref("id")
    role.skip("name")
    assert it.rest() == {"new": None, "role": {"rank": 3}}


@pytest.mark.fault(77)
def test_a_map_loses_only_what_cannot_be_stored() -> None:
    it = fields(form={"ok": 1, "b\0d": 2, "nul": "\0", 'x"; DROP TABLE y;--': "kept"})
    assert it.mapping("form") == {"ok": 1, 'x"; DROP TABLE y;--': "kept"}
    assert {reason for _, reason in bad(it)} == {"holds a NUL character"}


@pytest.mark.fault(74)
def test_nesting_has_a_floor() -> None:
    deep: Any = "x"
    for _ in range(DEEPEST_NESTING):
        deep = [deep]
    assert unstorable(deep) is None
    assert unstorable([deep]) == f"nested more than {DEEPEST_NESTING} deep"


@pytest.mark.fault(74)
@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("key", [b"nickname", b"unmapped"])
def test_no_depth_makes_a_row_fail_half_way(key: bytes, opening: bytes) -> None:
    """What is deep costs its value, what is deeper its row; there is nothing between that breaks the reader."""
    for deep in (DEEPEST_NESTING + 1, DEEPEST_ROW - 1, DEEPEST_ROW, *range(900, 1000, 5), 5000):
        closing = (b"]" if opening == b"[" else b"}") * deep
        raw = b'{"id":"a","' + key + b'":' + opening * deep + b"1" + closing + b"}"
        bad: list[BadValue] = []
        if deep < DEEPEST_ROW:
            fields = parse_row(raw, "$", bad)
            assert (fields.id(), fields.opaque("nickname"), fields.rest(), len(bad)) == ("a", None, {}, 1)
        else:
            with pytest.raises(RowRejected, match="deep"):
                parse_row(raw, "$", bad)


@pytest.mark.fault(74)
@pytest.mark.parametrize("raw", [b"[1]", b"7", b"null", b"", b"{", b"\xff", b'{"a":' * 100_000, b"9" * 5000])
def test_a_row_that_is_no_object_is_set_aside(raw: bytes) -> None:
    with pytest.raises(RowRejected) as rejected:
        parse_row(raw, ROW, [])
    assert rejected.value.bad.path == ROW


@pytest.mark.fault(75)
def test_of_a_key_that_is_given_twice_the_last_counts() -> None:
    assert parse_row(b'{"a":1,"a":2}', ROW, []).whole("a") == 2


@pytest.mark.fault(71)
@pytest.mark.fault(73)
@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"1e131071", b"9" * 5000])
def test_a_number_beyond_all_bounds_never_becomes_infinity(number: bytes) -> None:
    it = parse_row(b'{"x":' + number + b',"keep":1}', ROW, [])
    assert (it.real("x"), it.whole("keep")) == (None, 1)
    assert bad(it) == [(".x", "a number that no column holds")]
    assert it.bad[0].raw == json.dumps(number.decode()), "as it was written"


# Halves of surrogate pairs included, which `st.text` leaves out by itself.
texts = st.text(st.characters(exclude_categories=()), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def session(postgres_server: str) -> Any:
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        yield connection


@given(value=json_values)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.fault(70)
def test_what_is_called_storable_can_be_stored(session: psycopg.Connection, value: Any) -> None:
    """Against PostgreSQL itself, text and jsonb."""
    if unstorable(value) is None:
        try:
            (stored,) = session.execute("SELECT %s::jsonb", [Jsonb(value)]).fetchone() or (...,)
        except UnicodeEncodeError:
            pytest.fail(f"not storable: {value!r}")
        assert as_floats(stored) == as_floats(value)


def as_floats(value: Any) -> Any:
    """Numbers as a JSON reader without integers has them: PostgreSQL writes 5e16 with all its zeros."""
    if isinstance(value, dict):
        return {key: as_floats(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_floats(inner) for inner in value]
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
