"""The venue graph: one change a node, parents filled in, whatever is wrong with a node."""

from __future__ import annotations

from datetime import time
from typing import Any

import pytest

from syncd.model import Change, Content, Page
from syncd.sources.revento import SOURCE
from syncd.sources.revento.decode_places import read_opening_hours
from syncd.sources.revento.tables import location_amenities
from syncd.wire.position import Start
from tests.sources.revento.samples import ABSENT, building, location, venue
from tests.sources.scripted import EVENT_ID, INSTALLATION, ScriptedApi, pages_of, reply


async def decode(*venues: Any) -> Page:
    api = ScriptedApi(reply({"venues": venues}))
    (page,) = await pages_of(SOURCE.stream("locations").walk(api, INSTALLATION, Start(), 50))
    return page


def rows(page: Page, table: str) -> list[Any]:
    return [change.row for change in page.changes if change.table.name == table]


def amenities(change: Change) -> list[Any]:
    (part,) = change.parts
    assert isinstance(part, Content)
    assert (part.table, part.owner) == (location_amenities, "location_key")
    return [row["amenity"] for row in part.rows]


async def test_sample_of_the_graph() -> None:
    page = await decode(venue())
    assert rows(page, "venues") == [
        {
            "event_id": EVENT_ID,
            "venue_id": "ven_default",
            "name": "Main Venue",
            "address": "1 Sample Street, 12-345 Sample City",
            "google_maps_url": "https://maps.google.com/...",
            "center_lat": 52.0,
            "center_lng": 19.0,
            "sort_order": 0,
        }
    ]
    assert rows(page, "buildings") == [
        {
            "event_id": EVENT_ID,
            "building_id": "bld_main",
            "venue_id": "ven_default",
            "name": "Main Building",
            "description": "...",
            "lat": 52.0,
            "lng": 19.0,
            "position_x": 50.0,
            "position_y": 50.0,
            "sort_order": 0,
        }
    ]
    assert rows(page, "floors") == [
        {
            "event_id": EVENT_ID,
            "floor_id": "flr_0",
            "building_id": "bld_main",
            "number": 0,
            "name": "Ground Floor",
            "sort_order": 0,
        }
    ]
    assert rows(page, "locations") == [
        {
            "event_id": EVENT_ID,
            "location_id": "loc_main_hall",
            "venue_id": "ven_default",
            "building_id": "bld_main",
            "floor_id": "flr_0",
            "name": "Main Hall",
            "code": "MH-1",
            "description": "...",
            "scope": "indoor",
            "type": "room",
            "is_schedulable": True,
            "capacity": 150,
            "operating_hours": "08:00-22:00",
            "opens_at": time(8),
            "closes_at": time(22),
            "position_x": 50.0,
            "position_y": 50.0,
            "icon_override": None,
            "color_hex": None,
            "sort_order": 0,
        }
    ]
    assert amenities(page.changes[-1]) == ["projector", "wifi"]
    assert all(change.unmapped == {} for change in page.changes)
    assert (page.rejected, page.bad_values) == ((), ())


async def test_location_outdoors() -> None:
    page = await decode(venue(locations=[location(building=None, floor=ABSENT, amenities=ABSENT)]))
    (row,) = rows(page, "locations")
    assert (row["venue_id"], row["building_id"], row["floor_id"]) == ("ven_default", None, None)
    assert amenities(page.changes[-1]) == []


async def test_amenities_are_kept_once_each_in_their_order() -> None:
    page = await decode(venue(locations=[location(amenities=["wifi", "bar", "wifi", 5])]))
    assert amenities(page.changes[-1]) == ["wifi", "bar"]
    assert [bad.path for bad in page.bad_values] == ["$.venues[0].locations['loc_main_hall'].amenities[3]"]


@pytest.mark.fault(37)
async def test_unknown_fields_of_every_node_are_kept() -> None:
    page = await decode(
        venue(
            wheelchair=True,
            buildings=[building(floors=[{"id": "flr_0", "plan": "p"}], lift=2)],
            locations=[location(building={"id": "bld_main", "name": "x", "wing": "W"}, smell="pine")],
        )
    )
    assert [change.unmapped for change in page.changes] == [
        {"wheelchair": True},
        {"lift": 2},
        {"plan": "p"},
        {"building": {"wing": "W"}, "smell": "pine"},
    ]


async def test_what_stands_below_a_node_without_an_id_is_kept_without_that_parent() -> None:
    page = await decode(venue(id=None, buildings=[building(id=5)]), "no venue", venue(id="ven_2", buildings=[]))
    assert [bad.path for bad in page.rejected] == [
        "$.venues[0].id",
        "$.venues[0].buildings[0].id",
        "$.venues[1]",
    ]
    assert [row["building_id"] for row in rows(page, "floors")] == [None]
    assert [row["venue_id"] for row in rows(page, "locations")] == [None, "ven_2"]
    assert '"address"' in page.rejected[0].raw


@pytest.mark.fault(79)
async def test_what_cannot_be_read_inside_the_graph_is_told() -> None:
    """A branch that nobody can read may hold any node: it is rejected, so that the walk is no witness."""
    page = await decode(venue(buildings="none", locations=[location(capacity="many", floor=3), 7]))
    assert [bad.path for bad in page.rejected] == ["$.venues[0].buildings", "$.venues[0].locations[1]"]
    assert [bad.path for bad in page.bad_values] == [
        "$.venues[0].locations['loc_main_hall'].floor",
        "$.venues[0].locations['loc_main_hall'].capacity",
    ]
    assert len(page.changes) == 2


@pytest.mark.fault(38)
@pytest.mark.parametrize("absent", ["missing", "null"])
async def test_a_branch_that_is_not_there_is_not_an_empty_one(absent: str) -> None:
    def without(node: dict[str, Any], name: str) -> dict[str, Any]:
        return {key: value for key, value in node.items() if key != name} | ({name: None} if absent == "null" else {})

    page = await decode(without(venue(), "locations"), without(venue(id="v2"), "buildings"), venue(id="v3"))
    assert [bad.path for bad in page.rejected] == ["$.venues[0].locations", "$.venues[1].buildings"]
    floorless = await decode(venue(buildings=[without(building(), "floors")]))
    assert [bad.path for bad in floorless.rejected] == ["$.venues[0].buildings[0].floors"]
    assert (page.bad_values, floorless.bad_values) == ((), ())


async def test_event_without_places() -> None:
    page = await decode()
    assert (page.changes, page.resume_at) == ((), None)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("08:00-22:00", (time(8), time(22))),
        (" 00:00-23:59 ", (time(0), time(23, 59))),
        ("22:00-02:00", (time(22), time(2))),
        ("8:00-22:00", (None, None)),
        ("08:00-24:00", (None, None)),
        ("08:60-09:00", (None, None)),
        ("٠٨:٠٠-٢٢:٠٠", (None, None)),
        ("Mon 08:00-22:00", (None, None)),
        ("08:00-22:00, 23:00-24:00", (None, None)),
        ("always", (None, None)),
        ("", (None, None)),
        (None, (None, None)),
    ],
)
def test_opening_hours(text: str | None, hours: tuple[time | None, time | None]) -> None:
    assert read_opening_hours(text) == hours
