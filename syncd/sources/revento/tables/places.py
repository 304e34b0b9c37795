"""The venue graph: venues, buildings, floors, and the locations that activities take place in."""

from __future__ import annotations

from sqlalchemy import Table

from syncd.sources import columns as c
from syncd.sources.revento.tables.base import METADATA, events

venues = c.entity(
    METADATA,
    "venues",
    "venue",
    events,
    c.text("name", "Display name (name)"),
    c.text("address", "Postal address (address)"),
    c.text("google_maps_url", "Link to the map (google_maps_url)"),
    c.real("center_lat", "Latitude of the centre, degrees north (center_lat)"),
    c.real("center_lng", "Longitude of the centre, degrees east (center_lng)"),
    c.whole("sort_order", "Place among the event's venues, from 0 (sort_order)"),
    comment="Venues of an event (GET /events/{id}/locations)",
)

buildings = c.entity(
    METADATA,
    "buildings",
    "building",
    events,
    c.identifier("venue_id", "The venue that the building stands under; null: that one has no usable id"),
    c.parent("venue_key", venues),
    c.text("name", "Display name (name)"),
    c.text("description", "Null: none (description)"),
    c.real("lat", "Latitude, degrees north (lat)"),
    c.real("lng", "Longitude, degrees east (lng)"),
    c.real("position_x", "Place on the venue's plan, left to right (position_x)"),
    c.real("position_y", "Place on the venue's plan, top to bottom (position_y)"),
    c.whole("sort_order", "Place among the venue's buildings, from 0 (sort_order)"),
    comment="Buildings of a venue (GET /events/{id}/locations)",
)

floors = c.entity(
    METADATA,
    "floors",
    "floor",
    events,
    c.identifier("building_id", "The building that the floor stands under; null: that one has no usable id"),
    c.parent("building_key", buildings),
    c.whole("number", "Storey; 0 = ground floor (number)"),
    c.text("name", "Display name (name)"),
    c.whole("sort_order", "Place among the building's floors, from 0 (sort_order)"),
    comment="Floors of a building (GET /events/{id}/locations)",
)

locations = c.entity(
    METADATA,
    "locations",
    "location",
    events,
    c.identifier("venue_id", "The venue that the location stands under; null: that one has no usable id"),
    c.parent("venue_key", venues),
    c.identifier("building_id", "Null: outdoors, or not said (building.id)"),
    c.parent("building_key", buildings),
    c.identifier("floor_id", "Null: outdoors, or not said (floor.id)"),
    c.parent("floor_key", floors),
    c.text("name", "Display name (name)"),
    c.text("code", "Short sign, such as MH-1 (code)"),
    c.text("description", "Null: none (description)"),
    c.text("scope", "Known: indoor, outdoor (scope)"),
    c.text(
        "type",
        "Known: room, stage, expo, food, restroom, entrance, info, parking, rest_area, first_aid, smoking_area, "
        "other (type)",
    ),
    c.flag("is_schedulable", "True: activities can be placed here (is_schedulable)"),
    c.whole("capacity", "People that fit in; null: not said (capacity)"),
    c.text("operating_hours", "Opening hours as typed by the organizer, free text (operating_hours)"),
    c.day_time("opens_at", "Local opening time; null: operating_hours is not of the form 08:00-22:00"),
    c.day_time("closes_at", "Local closing time; null: operating_hours is not of the form 08:00-22:00"),
    c.real("position_x", "Place on the plan, left to right (position_x)"),
    c.real("position_y", "Place on the plan, top to bottom (position_y)"),
    c.text("icon_override", "Icon shown in place of the type's own; null: none (icon_override)"),
    c.text("color_hex", "Display colour, #RRGGBB; null: none (color_hex)"),
    c.whole("sort_order", "Place among the venue's locations, from 0 (sort_order)"),
    comment="Rooms and spots that activities take place in (GET /events/{id}/locations)",
)

location_amenities = Table(
    "location_amenities",
    METADATA,
    c.plain_parent(locations, primary_key=True),
    c.identifier("amenity", "Such as projector, wifi; an open vocabulary", primary_key=True),
    c.whole("position", "Place in the API's list, from 0"),
    comment="What a location offers (locations.amenities)",
)
