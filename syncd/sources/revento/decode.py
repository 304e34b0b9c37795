"""From one reply to one Page: each row is decoded by itself, and one that has no usable key is set aside whole.

What absence means, where the contract leaves it open: a missing or null field of a person is *no value* (what the
API no longer shows is not kept); a missing list of hosts, markers or amenities is empty; a missing list of waves or
activities says nothing of their links; a missing sign-up list says nothing of the sign-ups (contracts/revento.md
§12.1, G25).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple
from uuid import UUID

import msgspec

from syncd.model import Change, Page
from syncd.sources.columns import join_key
from syncd.sources.revento.faults import breach
from syncd.wire.left_out import LeftOut
from syncd.wire.position import Position
from syncd.wire.readers import BadValue, Fields, RowRejected, parse_row
from syncd.wire.reply import Reply

# Fields of an object inside another that repeat what the object's own listing says; they are not stored twice
# (docs/warehouse.md §1, rule 11). Fields that stand in neither list go to `unmapped_fields`.
COPIES = {
    "role": ("name",),
    "thread": ("name", "color_hex"),
    "building": ("name",),
    "floor": ("number", "name"),
    "location": (
        "name",
        "code",
        "description",
        "scope",
        "type",
        "is_schedulable",
        "capacity",
        "amenities",
        "position_x",
        "position_y",
        "icon_override",
        "color_hex",
        "operating_hours",
        "sort_order",
        "building",
        "floor",
        "venue",
    ),
}


class Decoded(NamedTuple):
    """One row of a listing, and the entities that it merely repeats."""

    change: Change
    shared: tuple[Change, ...] = ()


Decode = Callable[[Fields, str], Decoded]  # the row, the event's id; raises RowRejected


@dataclass(slots=True)
class _Served:
    """One row as it stands in a reply, and what of it cannot be stored; rows that stand inside it included."""

    raw: msgspec.Raw
    request_id: UUID | None
    key: str | None = None
    rejected: list[BadValue] = field(default_factory=list)
    bad_values: list[BadValue] = field(default_factory=list)

    def left_out(self) -> LeftOut:
        return LeftOut(bytes(self.raw), self.key, tuple(self.rejected), tuple(self.bad_values), self.request_id)


class Batch:
    """The rows of one reply on their way into a page: each is read, and added before the next one is read."""

    def __init__(self, reply: Reply, event_id: str) -> None:
        self._reply = reply
        self._event_id = event_id
        self._changes: list[Change] = []
        self._shared: list[Change] = []
        self._served: list[_Served] = []

    def read(self, raw: msgspec.Raw, path: str, reply: Reply | None = None) -> Fields | None:
        """One undecoded row; None, and noted as rejected, when it is no JSON object. `reply`: the one it stood in."""
        is_elsewhere = reply is not None and reply is not self._reply
        served = _Served(raw, UUID(reply.request_id) if reply and is_elsewhere else None)
        self._served.append(served)
        try:
            return parse_row(raw, path, served.bad_values)
        except RowRejected as rejected:
            served.rejected.append(rejected.bad)
            return None

    def reject(self, path: str, why: str) -> None:
        """Store nothing of what was read: it is kept as it is, and noted as rejected."""
        self._served[-1].rejected.append(BadValue(path, why, bytes(self._served[-1].raw).decode()))

    def rows_in(self, fields: Fields, name: str) -> list[Fields]:
        """Rows that stand inside a row. A list that is not there (docs/faults.md 38), or cannot be read, or an element
        of it, counts as a rejected row: whoever it was is not absent."""
        bad_values = self._served[-1].bad_values
        before = len(bad_values)
        found = [*fields.rows(name, required=True)]
        self._served[-1].rejected += bad_values[before:]
        del bad_values[before:]
        return found

    def add(self, fields: Fields, decode: Decode) -> Change | None:
        """Decode what was read, or what stands inside it; None, and noted as rejected, when it has no usable key.

        Raises ContractBreach when it names another event: the reply is not ours (docs/faults.md 33).
        """
        served = self._served[-1]
        if fields.ref("event_id") not in {None, self._event_id}:
            raise breach(self._reply, f"{fields.path}.event_id names another event")
        try:
            change, shared = decode(fields, self._event_id)
        except RowRejected as rejected:
            served.rejected.append(rejected.bad)
            return None
        if served.request_id is not None:
            change = replace(change, request_id=served.request_id)
            shared = tuple(replace(one, request_id=served.request_id) for one in shared)
        served.key = served.key or join_key(*(change.row[name] for name in change.table.info["key"]))
        self._changes.append(change)
        self._shared.extend(shared)
        return change

    def page(self, resume_at: Position | None = None, limit: int | None = None) -> Page:
        """What was gathered. `resume_at` None: the last page; `limit`: the page size in force."""
        return Page(
            request_id=UUID(self._reply.request_id),
            changes=tuple(self._changes),
            resume_at=resume_at,
            shared=tuple(self._shared),
            left_out=tuple(one.left_out() for one in self._served if one.rejected or one.bad_values),
            limit=limit,
        )


def read_reference(fields: Fields, name: str) -> str | None:
    """The id of an object that stands inside another, without what it copies; None when there is no object."""
    nested = fields.nested(name)
    if nested is None:
        return None
    nested.skip(*COPIES[name])
    return nested.ref("id")
