"""What a JSON text holds and how deep it nests, told without building it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.wire.json_text import holds_more_than, nests_deeper_than

values = st.recursive(
    st.none() | st.integers() | st.text(alphabet='a\\"[]{},:\\u00e9', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='"\\[{,', max_size=3), inner, max_size=4)
    ),
)


def separators(value: object) -> int:
    """Commas and opening brackets outside strings."""
    if isinstance(value, dict):
        return 1 + max(len(value) - 1, 0) + sum(map(separators, value.values()))
    if isinstance(value, list):
        return 1 + max(len(value) - 1, 0) + sum(map(separators, value))
    return 0


def depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@pytest.mark.fault(74)
@given(values)
def test_the_count_is_exact_whatever_stands_in_strings(value: object) -> None:
    text = json.dumps(value).encode()
    held = separators(value)
    assert not holds_more_than(held, text)
    assert held == 0 or holds_more_than(held - 1, text)


@pytest.mark.fault(74)
@given(values)
def test_the_depth_is_exact_whatever_stands_in_strings(value: object) -> None:
    text = json.dumps(value).encode()
    assert not nests_deeper_than(depth(value), text)
    assert depth(value) == 0 or nests_deeper_than(depth(value) - 1, text)


@given(st.binary(max_size=100), st.integers(0, 5))
def test_any_bytes_have_an_answer(text: bytes, most: int) -> None:
    holds_more_than(most, text)
    nests_deeper_than(most, text)


def test_broad_is_not_deep() -> None:
    assert not nests_deeper_than(2, b"[" + b"[]," * 10_000 + b"[]]")
    assert nests_deeper_than(1, b"[" + b"[]," * 10_000 + b"[]]")
