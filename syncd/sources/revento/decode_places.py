"""The tree of venues, buildings, floors and locations, flattened (contracts/revento.md §12.1)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import time
from functools import partial
from typing import Any

from sqlalchemy import Table

from syncd.model import Change, Content
from syncd.sources.columns import join_key, read_row
from syncd.sources.revento.decode import Batch, Decoded, read_reference
from syncd.sources.revento.tables import buildings, floors, location_amenities, locations, venues
from syncd.wire.readers import Fields

_TIME = r"((?:[01][0-9]|2[0-3]):[0-5][0-9])"
_OPENING_HOURS = re.compile(f"{_TIME}-{_TIME}")


def decode_venues(batch: Batch, tree: Iterable[Fields]) -> None:
    """Every node of the tree becomes a row; what stands below a node without a usable id has no parent."""
    for venue in tree:
        its_buildings, its_locations = batch.rows_in(venue, "buildings"), batch.rows_in(venue, "locations")
        venue_id = _id_of(batch.add(venue, _decode_venue), "venue_id")
        for building in its_buildings:
            _decode_building(batch, building, venue_id)
        for location in its_locations:
            batch.add(location, partial(_decode_location, venue_id=venue_id))


def _decode_building(batch: Batch, building: Fields, venue_id: str | None) -> None:
    its_floors = batch.rows_in(building, "floors")
    change = batch.add(building, partial(_decode_node, buildings, "building_id", venue_id=venue_id))
    building_id = _id_of(change, "building_id")
    for floor in its_floors:
        batch.add(floor, partial(_decode_node, floors, "floor_id", building_id=building_id))


def _decode_node(table: Table, id_column: str, fields: Fields, event_id: str, **parent_ids: str | None) -> Decoded:
    row = read_row(fields, table, **{id_column: fields.id()}, event_id=event_id, **parent_ids)
    return Decoded(Change(table, row, unmapped=fields.rest()))


_decode_venue = partial(_decode_node, venues, "venue_id")


def _decode_location(fields: Fields, event_id: str, *, venue_id: str | None) -> Decoded:
    location_id = fields.id()
    key = join_key(event_id, location_id)
    amenities = fields.ids("amenities") or ()
    operating_hours = fields.text("operating_hours")
    opens_at, closes_at = read_opening_hours(operating_hours)
    row: dict[str, Any] = read_row(
        fields,
        locations,
        event_id=event_id,
        location_id=location_id,
        venue_id=venue_id,
        building_id=read_reference(fields, "building"),
        floor_id=read_reference(fields, "floor"),
        operating_hours=operating_hours,
        opens_at=opens_at,
        closes_at=closes_at,
    )
    offered = tuple({"location_key": key, "amenity": name, "position": n} for n, name in enumerate(amenities))
    parts = (Content(location_amenities, "location_key", offered),)
    return Decoded(Change(locations, row, parts=parts, unmapped=fields.rest()))


def read_opening_hours(text: str | None) -> tuple[time | None, time | None]:
    """Opening and closing time of "08:00-22:00"; the API's field is free text, and anything else is (None, None)."""
    match = _OPENING_HOURS.fullmatch(text.strip()) if text else None
    return (time.fromisoformat(match[1]), time.fromisoformat(match[2])) if match else (None, None)


def _id_of(change: Change | None, column: str) -> str | None:
    return None if change is None else change.row[column]
