"""The seeded world: events with their listings, and the changes an organizer or a participant can make to them.

Pure: a function of (seed, today, sizes) and of the changes applied; the only outside thing is `stamp`, which names the
present for `created_at` and `updated_at`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any

from syncd.sandbox import names, people, program, venues
from syncd.sandbox.clock import iso
from syncd.sandbox.collection import Collection, Json, Row
from syncd.sandbox.settings import SandboxSettings

# The listings of an event, by their name in the URL.
COLLECTIONS = ("participants", "roles", "threads", "activities", "registration-waves")
ID_PREFIXES = dict(zip(COLLECTIONS, ("ptp", "role", "thr", "act", "wave"), strict=True))
# Rows of these have updated_at (§12.1); roles, threads, waves and the venue tree have no stamps.
STAMPED = ("participants", "activities")
DAYS_UNTIL_FIRST_EVENT = 14
# A PATCH may name fields to take out of the row altogether under this key.
REMOVE_KEY = "$remove"


@dataclass(slots=True)
class Event:
    """One event and everything under it."""

    row: Row
    salt: str
    rng: Random
    hides_people: bool = False
    withdrawn: dict[str, Json] = field(default_factory=dict)
    locations: Row = field(default_factory=lambda: Row(0, {"venues": []}))
    lists: dict[str, Collection] = field(default_factory=lambda: {name: Collection() for name in COLLECTIONS})

    def person(self, participant_id: str) -> Json:
        """The row of a participant, the last one if it was withdrawn; `KeyError` when there never was one."""
        row = self.lists["participants"].find(participant_id)
        return row.value if row is not None else self.withdrawn[participant_id]

    def participant(self, user_id: str | None, participant_id: str | None) -> Json:
        """The participant of these ids, one of which may be None; `KeyError` when there is none."""
        for row in self.lists["participants"]:
            if user_id in (None, row.value["user_id"]) and participant_id in (None, row.value["id"]):
                return row.value
        raise KeyError(participant_id or user_id)

    def truth(self) -> Json:
        """All objects of the event as the API serves them."""
        listings = {name.replace("-", "_"): [row.value for row in rows] for name, rows in self.lists.items()}
        return {"event": self.row.value, **listings, "locations": self.locations.value}


class World:
    """All events. Unknown ids raise `KeyError`, an id taken twice or a malformed change `ValueError`.

    `keeps_withdrawn` tells whether the row of a participant who withdraws stays (G20).
    """

    def __init__(
        self, settings: SandboxSettings, stamp: Callable[[], str], keeps_withdrawn: Callable[[], bool] = lambda: False
    ) -> None:
        self.stamp, self._keeps_withdrawn = stamp, keeps_withdrawn
        self._rng = Random(f"{settings.seed}/life")
        today = settings.today or datetime.now(UTC).date()
        noon = datetime.combine(today, time(12), UTC)
        made = [make_event(settings, n, noon) for n in range(settings.events)]
        self.events: dict[str, Event] = {event.row.value["id"]: event for event in made}

    def truth(self) -> Json:
        """`{"events": [...]}`: what a perfect copy would hold."""
        return {"events": [event.truth() for event in self.events.values()]}

    def create(self, event_id: str, collection: str, fields: Json) -> Json:
        """Append a plain row with `fields` over it; an id is made when none is given."""
        event = self.events[event_id]
        rows = event.lists[collection]
        row = _plain_row(event, collection, self.stamp()) | fields
        return rows.append(row).value

    def patch_event(self, event_id: str, fields: Json) -> Json:
        """Merge fields into the event object; `updated_at` becomes now unless given."""
        return _merge(self.events[event_id].row, fields, self.stamp())

    def patch(self, event_id: str, collection: str, row_id: str, fields: Json) -> Json:
        """Merge fields into a row; `{"$remove": [names]}` takes fields out. `updated_at`, where the resource has one,
        becomes now unless given. Rows that embed the changed one follow without a new stamp."""
        event = self.events[event_id]
        changed = _merge(event.lists[collection].get(row_id), fields, self.stamp() if collection in STAMPED else None)
        _reembed(event, collection, changed)
        return changed

    def delete_event(self, event_id: str) -> None:
        """The event disappears; its tokens then get `resource_not_found`."""
        del self.events[event_id]

    def delete(self, event_id: str, collection: str, row_id: str) -> None:
        """The row disappears from its listing; rows that name it by id keep doing so. A participant withdraws (G20)."""
        if collection == "participants" and self._keeps_withdrawn():
            self.patch(event_id, collection, row_id, {"application_status": people.WITHDRAWN})
            return
        event = self.events[event_id]
        row = event.lists[collection].remove(row_id)
        if collection == "participants":
            event.withdrawn[row_id] = row

    def put_locations(self, event_id: str, tree: Json) -> Json:
        """Replace the whole venue tree; activities whose location is gone lose it, without a new stamp."""
        if not isinstance(tree.get("venues"), list):
            raise ValueError("a location tree is an object with a list of venues")
        event = self.events[event_id]
        event.locations.value = tree
        known = venues.summaries(tree)
        for row in event.lists["activities"]:
            if row.value.get("location") is not None:
                row.value = row.value | {"location": known.get(row.value["location"]["id"])}
        return tree

    def live_once(self) -> str:
        """One small random change somewhere; returns what it was, or "nothing"."""
        if not self.events:
            return "nothing"
        event_id = self._rng.choice(list(self.events))
        return self._rng.choice(LIFE)(self, event_id, self._rng)


def make_event(settings: SandboxSettings, n: int, noon: datetime) -> Event:
    """Event number `n`, created 120 days before `noon`, starting 14 to 18 days after it."""
    rng = Random(f"{settings.seed}/event/{n}")
    salt = f"{rng.getrandbits(32):08x}"
    start = noon + timedelta(days=DAYS_UNTIL_FIRST_EVENT + n % 5, hours=4)
    event = Event(
        Row(0, _event_object(rng, n, salt, start, noon)), salt, rng, hides_people=settings.reading("G25") == "hidden"
    )
    event.locations.value = {"venues": venues.make_venues(rng, salt)}
    _fill(event, "roles", people.make_roles(rng))
    _fill(event, "threads", program.make_threads(salt))
    _fill_participants(event, settings.participants, noon)
    activities = _make_activities(event, settings.activities, start, noon)
    waves = program.make_waves(rng, salt, activities, start)
    _fill(event, "activities", activities)
    _fill(event, "registration-waves", waves)
    return event


def _event_object(rng: Random, n: int, salt: str, start: datetime, noon: datetime) -> Json:
    row: Json = {
        "id": f"evt_{salt}",
        "title": f"{names.EVENTS[n % len(names.EVENTS)]} {start.year}",
        "description": None if n % 4 == 3 else "Annual *convention* 🎲 — żółć, עברית, ภาษาไทย",
        "start_date": iso(start),
        "end_date": iso(start + timedelta(days=2)),
        "min_age": "age_18_plus" if n % 3 == 2 else "age_all",
        "access_mode": ("open_approval", "open_auto", "closed")[n % 3],
        "publish_status": "published",
        "visibility": "private" if n % 4 == 2 else "discoverable",
        "organization_id": f"org_{rng.getrandbits(32):08x}",
        "location_summary": None if n % 5 == 4 else f"Main Venue, {rng.choice(names.CITIES)}",
        "image_url": None if n % 4 == 1 else "https://example.com/image.jpg",
        "created_at": iso(noon - timedelta(days=120)),
        "updated_at": iso(noon - timedelta(days=2)),
    }
    return row | {"hashtags": ["#con", "#żółć"]} if n % 3 == 1 else row


def _fill(event: Event, collection: str, rows: list[Json]) -> None:
    for row in rows:
        event.lists[collection].append(row)


def _new_id(event: Event, collection: str, seq: int) -> str:
    """Opaque and never given twice within an event: multiplication by an odd number permutes 40 bits."""
    return f"{ID_PREFIXES[collection]}_{(seq * 0x9E3779B97F + int(event.salt, 16)) % 2**40:010x}"


def _fill_participants(event: Event, count: int, noon: datetime) -> None:
    """Sign-ups over the last 90 days, three to the second: equal stamps must not confuse anybody."""
    roles = [row.value for row in event.lists["roles"]]
    step = timedelta(days=89) / max(1, count)
    rows = event.lists["participants"]
    for n in range(count):
        created = noon - timedelta(days=90) + step * (n - n % 3)
        row_id = _new_id(event, "participants", rows.next_seq)
        rows.append(people.make_participant(event.rng, n, row_id, roles, created=created, day=noon))


def _make_activities(event: Event, count: int, start: datetime, noon: datetime) -> list[Json]:
    stage = _stage(event, start)
    first = noon - timedelta(days=100)
    return [
        program.make_activity(
            event.rng, n, _new_id(event, "activities", n + 1), stage, first + timedelta(hours=n - n % 4)
        )
        for n in range(count)
    ]


def _stage(event: Event, start: datetime) -> program.Stage:
    return program.Stage(
        start,
        [row.value for row in event.lists["threads"]],
        list(venues.summaries(event.locations.value).values()),
        [row.value for row in event.lists["participants"]],
        event.hides_people,
    )


def _plain_row(event: Event, collection: str, stamp: str) -> Json:
    """A new row without traps, complete in every documented field."""
    now = datetime.fromisoformat(stamp)
    row_id = _new_id(event, collection, event.lists[collection].next_seq)
    match collection:
        case "participants":
            roles = [row.value for row in event.lists["roles"]] or people.make_roles(event.rng)
            return people.make_participant(event.rng, 0, row_id, roles, created=now, day=now)
        case "activities":
            start = datetime.fromisoformat(event.row.value["start_date"])
            return program.make_activity(event.rng, 0, row_id, _stage(event, start), now)
        case "registration-waves":
            return program.make_wave(row_id, "New wave", "scheduled", now + timedelta(days=1), [])
        case "threads":
            return program.make_threads(event.salt)[0] | {"id": row_id, "name": "New thread"}
    return {"id": row_id, "name": "New role", "description": "Made by hand"}


def _merge(row: Row, fields: Json, stamp: str | None) -> Json:
    removed = fields.get(REMOVE_KEY, [])
    if fields.get("id", row.value["id"]) != row.value["id"] or "id" in removed:
        raise ValueError("an id never changes")
    merged = row.value | ({"updated_at": stamp} if stamp else {}) | fields
    row.value = {key: value for key, value in merged.items() if key != REMOVE_KEY and key not in removed}
    return row.value


def _reembed(event: Event, collection: str, changed: Json) -> None:
    """Roles live on in participants and threads in activities: a rename shows there too, with the old `updated_at`."""
    if collection == "roles":
        _replace_ref(event.lists["participants"], "role", {"id": changed["id"], "name": changed["name"]})
    elif collection == "threads":
        _replace_ref(event.lists["activities"], "thread", program.thread_ref(changed))


def _replace_ref(rows: Collection, key: str, ref: Json) -> None:
    for row in rows:
        if row.value.get(key) is not None and row.value[key]["id"] == ref["id"] and row.value[key] != ref:
            row.value = row.value | {key: ref}


def _random_id(world: World, event_id: str, collection: str, rng: Random) -> str | None:
    ids = world.events[event_id].lists[collection].ids()
    return rng.choice(ids) if ids else None


def _register(world: World, event_id: str, _rng: Random) -> str:
    return f"registered {world.create(event_id, 'participants', {})['id']}"


def _withdraw(world: World, event_id: str, rng: Random) -> str:
    if (row_id := _random_id(world, event_id, "participants", rng)) is None:
        return "nothing"
    world.delete(event_id, "participants", row_id)
    return f"withdrew {row_id}"


def _review(world: World, event_id: str, rng: Random) -> str:
    if (row_id := _random_id(world, event_id, "participants", rng)) is None:
        return "nothing"
    verdict = rng.choice(("approved", "rejected", "revision_requested"))
    review: dict[str, Any] = {"application_status": verdict, "last_review_action": verdict}
    world.patch(event_id, "participants", row_id, review | {"last_reviewed_at": world.stamp()})
    return f"{verdict} {row_id}"


def _reschedule(world: World, event_id: str, rng: Random) -> str:
    if (row_id := _random_id(world, event_id, "activities", rng)) is None:
        return "nothing"
    world.patch(event_id, "activities", row_id, {"title": f"{rng.choice(names.TITLES)} (moved)", "status": "scheduled"})
    return f"moved {row_id}"


# What happens by itself while the world is alive; a review is the commonest.
LIFE: tuple[Callable[[World, str, Random], str], ...] = (_register, _review, _review, _review, _withdraw, _reschedule)
