"""Where a walk stands: stored whole, and worth nothing as soon as there is a doubt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.wire.position import CURSOR_LIFE, CursorAt, Position, Start, decode, encode, usable

NOW = datetime(2026, 5, 9, 14, 22, 31, tzinfo=UTC)
AT = CursorAt(cursor="c2F5=", issued_at=NOW, query="/events/{event_id}/participants", limit=25, grant="g1")

positions: st.SearchStrategy[Position] = st.builds(Start, st.none() | st.integers(1, 50)) | st.builds(
    CursorAt,
    cursor=st.text(min_size=1),
    issued_at=st.datetimes(timezones=st.just(UTC)),
    query=st.text(),
    limit=st.integers(0, 50),
    grant=st.text(),
)


@given(positions)
def test_a_position_survives_its_storage(position: Position) -> None:
    assert decode(encode(position)) == position


@pytest.mark.fault(103)
@pytest.mark.parametrize(
    "document",
    [
        *("", "null", "{}", "[]", "garbage", '{"type":"cursor"}', '{"type":"cursor","cursor":7}'),
        '{"type":"window","from":"2026-05-01"}',
        encode(AT).replace('"limit":25', '"limit":"many"'),
        encode(AT)[:-1],
    ],
)
def test_a_form_that_is_not_known_starts_anew(document: str) -> None:
    assert decode(document) == Start()


@given(st.text())
def test_no_document_makes_the_reader_raise(document: str) -> None:
    decode(document)


@pytest.mark.fault(31)
@pytest.mark.parametrize(
    ("age", "is_usable"),
    [
        (timedelta(0), True),
        (CURSOR_LIFE - timedelta(seconds=1), True),
        (CURSOR_LIFE, False),
        (timedelta(days=400), False),
        (timedelta(minutes=-29), True),  # the database's clock may stand behind ours
        (timedelta(minutes=-31), False),
    ],
)
def test_a_cursor_ages(age: timedelta, is_usable: bool) -> None:
    assert usable(AT, now=NOW + age, grant="g1") == (AT if is_usable else Start(limit=25))


@pytest.mark.case("RV-05")
def test_a_cursor_belongs_to_its_grant() -> None:
    assert usable(AT, now=NOW, grant="g2") == Start(limit=25)
    assert usable(Start(limit=6), now=NOW, grant="g2") == Start(limit=6)


def test_the_life_of_a_cursor_leaves_an_hour_of_the_day_that_is_promised() -> None:
    assert timedelta(hours=23) == CURSOR_LIFE
