"""A field that is absent, null or empty says something of itself alone: of no other column, and no part goes for its
sake that it does not name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.model import Page, Spells
from syncd.sources.revento import SOURCE
from syncd.sources.revento.decode_program import decode_activity
from syncd.sources.revento.walks import walk_list
from tests.sources.revento import samples
from tests.sources.scripted import INSTALLATION, reply

ROWS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "event": samples.event,
    "roles": samples.role,
    "participants": samples.participant,
    "threads": samples.thread,
    "activities": samples.activity,
    "waves": samples.wave,
}
KINDS = ("absent", "null", "empty")


def without(row: dict[str, Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """The row, some of whose fields are absent, null or empty."""
    changed = {name: _as(value, kinds.get(name)) for name, value in row.items()}
    return {name: value for name, value in changed.items() if value is not samples.ABSENT}


def _as(value: Any, kind: str | None) -> Any:
    match kind:
        case "absent":
            return samples.ABSENT
        case "null":
            return None
        case "empty":
            return type(value)() if isinstance(value, str | list | dict) else None
        case _:
            return value


def read(stream: str, row: dict[str, Any]) -> Page:
    """The row of this stream, decoded."""
    own = row | ({"id": INSTALLATION.account} if stream == "event" else {})
    if stream == "activities":  # which is rejected where a field is absent: what would it say, if it were not?
        return walk_list("", decode_activity).reread(reply(own), INSTALLATION)
    return SOURCE.stream(stream).reread(reply(own), INSTALLATION)


def flat(page: Page) -> dict[str, Any]:
    """All that a row says: its columns, its parts by their table, and what it merely repeats."""
    (change,) = page.changes
    said: dict[str, Any] = {f"column {name}": value for name, value in change.row.items()}
    said |= {f"part {part.table.name}": part for part in change.parts}
    said |= {f"shared {one.table.name} {sorted(one.row.items(), key=str)}": one.version for one in page.shared}
    said |= {f"unmapped {name}": value for name, value in change.unmapped.items()}
    return said | {"version": change.version}


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    """What the two say differently."""
    missing = object()
    return {name for name in one.keys() | other.keys() if one.get(name, missing) != other.get(name, missing)}


@cache
def moved_by(stream: str, name: str) -> frozenset[str]:
    """What a row says differently when this one field is absent, null or empty."""
    whole = flat(read(stream, ROWS[stream]()))
    each = (flat(read(stream, without(ROWS[stream](), {name: kind}))) for kind in KINDS)
    return frozenset().union(*(differing(whole, one) for one in each))


def fields_of(stream: str) -> list[str]:
    return [name for name in ROWS[stream]() if name != "id"]


@st.composite
def lattice(draw: st.DrawFn) -> tuple[str, dict[str, str]]:
    """A stream, and any of its fields in any of the three ways not there."""
    stream = draw(st.sampled_from(list(ROWS)))
    chosen = draw(st.sets(st.sampled_from(fields_of(stream)), min_size=1))
    return stream, {name: draw(st.sampled_from(KINDS)) for name in sorted(chosen)}


@pytest.mark.fault(38)
@given(drawn=lattice())
def test_a_field_that_is_not_there_touches_nothing_else(drawn: tuple[str, dict[str, str]]) -> None:
    stream, kinds = drawn
    page = read(stream, without(ROWS[stream](), kinds))
    assert page.rejected == ()
    moved = differing(flat(read(stream, ROWS[stream]())), flat(page))
    assert moved <= set().union(*(moved_by(stream, name) for name in kinds))


SIGN_UPS = ("sign_ups_enabled", "committed_signups_count", "signed_up_participant_ids")


@pytest.mark.fault(38)
@pytest.mark.parametrize("kinds", list(product((*KINDS, "there"), repeat=3)), ids="-".join)
def test_no_sign_up_ends_because_something_is_not_there(kinds: tuple[str, ...]) -> None:
    """Only a list that is there, and as long as the count says, tells who has left."""
    row = without(samples.activity(), dict(zip(SIGN_UPS, kinds, strict=True)))
    (change,) = read("activities", row).changes
    closes = [part.closes for part in change.parts if isinstance(part, Spells)]
    listed = row.get(SIGN_UPS[2])
    if listed is None:
        assert closes == []
    else:
        assert closes == [len(listed) >= (row.get(SIGN_UPS[1]) or 0)]


@pytest.mark.fault(38)
@pytest.mark.parametrize("stream", ROWS)
def test_each_field_moves_something_of_its_own(stream: str) -> None:
    """Or the lattice would prove nothing: every field that is not there leaves a trace, and none is the key's."""
    (change,) = read(stream, ROWS[stream]()).changes
    key = {f"column {column.name}" for column in change.table.primary_key}
    for name in fields_of(stream):
        assert moved_by(stream, name) or ROWS[stream]()[name] is None, name
        assert not key & moved_by(stream, name)
