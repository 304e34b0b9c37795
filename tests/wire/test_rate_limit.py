"""What the headers of a reply say of the budget: read exactly, or not at all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.wire.rate_limit import MAX_RETRY_AFTER_S, Headroom, read_headroom, read_retry_after

NOW = datetime(2026, 5, 9, 14, 22, 31, tzinfo=UTC)


def retry_after(text: str | None, **more: str) -> float | None:
    headers = {} if text is None else {"retry-after": text}
    return read_retry_after(headers | more, received_at=NOW)


@pytest.mark.fault(58)
@pytest.mark.fault(59)
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("42", 42.0),
        (" 42 ", 42.0),
        ("0", 0.0),
        ("3600", 3600.0),
        ("3601", MAX_RETRY_AFTER_S),
        ("1000000000", MAX_RETRY_AFTER_S),
        ("-1", None),
        ("+5", None),
        ("1_000", None),
        ("1.5", None),
        ("1e3", None),
        ("nan", None),
        ("inf", None),
        ("٤٢", None),
        ("", None),
        ("soon", None),
        ("9" * 5000, None),
        ("42, soon", 42.0),
        ("Sat, 09 May 2026 14:23:31 GMT", 60.0),
        ("Sat, 09 May 2026 14:23:31 -0000", 60.0),
        ("Saturday, 09-May-26 14:23:31 GMT", 60.0),
        ("Sat May  9 14:23:31 2026", 60.0),
        ("Sat, 09 May 2026 14:21:31 GMT", 0.0),
        ("Sat, 09 May 2099 14:21:31 GMT", MAX_RETRY_AFTER_S),
        ("Sat, 32 May 2026 14:21:31 GMT", None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text) == seconds


@pytest.mark.fault(58)
def test_a_date_is_held_against_the_servers_own_clock() -> None:
    """Ten minutes apart from ours: what counts is the distance between its two headers (RV-17)."""
    assert retry_after("Sat, 09 May 2026 14:33:31 GMT", date="Sat, 09 May 2026 14:32:31 GMT") == 60.0
    assert retry_after("Sat, 09 May 2026 14:23:31 GMT", date="garbage") == 60.0


@given(st.text(max_size=40))
@pytest.mark.fault(59)
def test_no_header_makes_the_reader_raise_or_wait_too_long(text: str) -> None:
    seconds = retry_after(text, date=text)
    assert seconds is None or 0 <= seconds <= MAX_RETRY_AFTER_S
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    assert isinstance(read_headroom(dict.fromkeys(names, text), received_at=NOW), Headroom)


@given(st.integers(0, 9_999_999_999))
def test_any_whole_number_of_ten_digits_is_read(number: int) -> None:
    headroom = read_headroom({"x-ratelimit-remaining": str(number)}, received_at=NOW)
    assert headroom == Headroom(remaining=number)


@pytest.mark.fault(61)
@pytest.mark.parametrize(
    ("text", "reset_at"),
    [
        (str(round(NOW.timestamp()) + 42), NOW + timedelta(seconds=42)),
        (str(round(NOW.timestamp()) - 42), NOW - timedelta(seconds=42)),
        ("42", NOW + timedelta(seconds=42)),
        ("99999999", None),
        ("1747000042", None),
        ("9999999999", None),
        ("0", NOW),
        ("-5", None),
        ("never", None),
        ("99999999999", None),
        (None, None),
    ],
)
def test_reset_is_an_epoch_or_a_delta(text: str | None, reset_at: datetime | None) -> None:
    headers = {"x-ratelimit-limit": "500", "x-ratelimit-remaining": "0"}
    headers |= {} if text is None else {"x-ratelimit-reset": text}
    assert read_headroom(headers, received_at=NOW) == Headroom(500, 0, reset_at)


@pytest.mark.fault(62)
def test_a_reply_without_headers_says_nothing() -> None:
    assert read_headroom({}, received_at=NOW) == Headroom(None, None, None)


@pytest.mark.fault(61)
@pytest.mark.parametrize("skew_s", [-7200, 0, 7200])
@pytest.mark.parametrize("is_epoch", [True, False])
def test_a_reset_is_held_against_the_servers_own_clock(skew_s: int, is_epoch: bool) -> None:
    """A server whose clock is hours wrong: an epoch is on that clock, and a delta on none."""
    theirs = NOW + timedelta(seconds=skew_s)
    headers = {
        "date": f"{theirs:%a, %d %b %Y %H:%M:%S} GMT",
        "x-ratelimit-reset": str(round(theirs.timestamp()) + 42) if is_epoch else "42",
    }
    assert read_headroom(headers, received_at=NOW).reset_at == NOW + timedelta(seconds=42)


@pytest.mark.fault(60)
@pytest.mark.parametrize(
    "texts",
    [
        ("42", "60"),
        ("60", "42"),
        ("42", "Sat, 09 May 2026 14:23:31 GMT"),
        ("Sat, 09 May 2026 14:23:31 GMT", "42"),
        ("Sat, 09 May 2026 14:22:41 GMT", "Saturday, 09-May-26 14:23:31 GMT"),
        ("Sat May  9 14:23:31 2026", "7"),
        ("60", "soon"),
    ],
)
def test_of_several_waits_the_longest_counts(texts: tuple[str, str]) -> None:
    """Several headers arrive as one, joined by a comma."""
    assert retry_after(", ".join(texts)) == retry_after(",".join(texts)) == 60.0
