"""The venue graph of one event: two venues, their buildings, floors and locations of every type."""

from __future__ import annotations

from random import Random

from syncd.sandbox import names
from syncd.sandbox.collection import Json

INDOOR_TYPES = ("room", "room", "room", "stage", "expo", "food", "restroom", "entrance", "info", "first_aid", "other")
OUTDOOR_TYPES = ("parking", "rest_area", "smoking_area", "stage", "food", "other")


def make_venues(rng: Random, salt: str) -> list[Json]:
    """Two venues. Floor ids repeat between events but are unique inside one; all other ids carry `salt`."""
    main = _building(rng, f"bld_{salt}_main", "Main Building", "main", 3)
    annex = _building(rng, f"bld_{salt}_annex", "Aneks „Północ”", "annex", 2)
    camp = _building(rng, f"bld_{salt}_camp", "Barn", "camp", 1)
    annex["heritage_listed"] = True
    main["floors"][1]["evacuation_plan"] = "https://example.com/plan.pdf"
    venues = [
        _venue(rng, salt, 0, "Main Venue", [main, annex]),
        _venue(rng, salt, 1, "Obóz Leśny 🌲", [camp]),
    ]
    venues[1]["timezone"] = "Europe/Warsaw"
    return venues


def summary(location: Json, venue: Json) -> Json:
    """The location as an activity embeds it: full, with its building, floor and venue (§12.1)."""
    return {**location, "venue": {"id": venue["id"], "name": venue["name"]}}


def summaries(tree: Json) -> dict[str, Json]:
    """Every location of a `{"venues": [...]}` tree as activities embed it, by id."""
    return {
        location["id"]: summary(location, venue)
        for venue in tree.get("venues", [])
        for location in venue.get("locations", [])
    }


def _venue(rng: Random, salt: str, n: int, name: str, buildings: list[Json]) -> Json:
    lat, lng = round(rng.uniform(49.0, 54.5), 6), round(rng.uniform(14.1, 24.1), 6)
    return {
        "id": f"ven_{salt}_{n}",
        "name": name,
        "address": f"{rng.randrange(1, 99)} Sample Street, 12-345 {rng.choice(names.CITIES)}",
        "google_maps_url": f"https://maps.google.com/?q={lat},{lng}",
        "center_lat": lat,
        "center_lng": lng,
        "sort_order": n,
        "buildings": buildings,
        "locations": _locations(rng, f"loc_{salt}_{n}", buildings),
    }


def _building(rng: Random, row_id: str, name: str, floor_key: str, floors: int) -> Json:
    return {
        "id": row_id,
        "name": name,
        "description": f"{name}, {floors} floors",
        "lat": round(rng.uniform(49.0, 54.5), 6),
        "lng": round(rng.uniform(14.1, 24.1), 6),
        "position_x": round(rng.uniform(0, 100), 1),
        "position_y": 50.0,
        "sort_order": 0,
        "floors": [
            {
                "id": f"flr_{floor_key}_{n}",
                "number": n,
                "name": "Ground Floor" if n == 0 else f"Piętro {n}",
                "sort_order": n,
            }
            for n in range(floors)
        ],
    }


def _locations(rng: Random, prefix: str, buildings: list[Json]) -> list[Json]:
    indoor = [
        _location(rng, f"{prefix}_{n:02d}", n, kind, rng.choice(buildings)) for n, kind in enumerate(INDOOR_TYPES)
    ]
    first = len(indoor)
    outdoor = [_location(rng, f"{prefix}_{n:02d}", n, kind, None) for n, kind in enumerate(OUTDOOR_TYPES, first)]
    outdoor[-1]["surface"] = "grass"
    return indoor + outdoor


def _location(rng: Random, row_id: str, n: int, kind: str, building: Json | None) -> Json:
    """One location; outdoors it has neither building nor floor."""
    floor = rng.choice(building["floors"]) if building else None
    return {
        "id": row_id,
        "name": f"{kind.replace('_', ' ').title()} {n}",
        "code": f"{kind[:2].upper()}-{n}",
        "description": f"Where the {kind} is",
        "scope": "indoor" if building else "outdoor",
        "type": kind,
        "is_schedulable": kind in ("room", "stage", "expo", "other"),
        "capacity": rng.choice((8, 20, 60, 150, 900)),
        "amenities": rng.sample(names.AMENITIES, rng.randrange(4)),
        "position_x": round(rng.uniform(0, 100), 1),
        "position_y": round(rng.uniform(0, 100), 1),
        "icon_override": "flag" if n % 7 == 3 else None,
        "color_hex": "#2ED75A" if n % 5 == 2 else None,
        "operating_hours": names.OPERATING_HOURS[n % len(names.OPERATING_HOURS)],
        "sort_order": n,
        "building": {"id": building["id"], "name": building["name"]} if building else None,
        "floor": {key: floor[key] for key in ("id", "number", "name")} if floor else None,
    }
