"""The independent comparison: what the sandbox's API serves, against every row and column of schema `revento`.

Plain code of its own, written from docs/warehouse.md and docs/contracts/revento.md: it shares nothing with the
decoders, the readers or the table definitions that it judges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, time
from typing import Any

import psycopg

Json = dict[str, Any]
Key = tuple[Any, ...]
Rows = dict[str, dict[Key, Json]]  # table -> key -> column -> value

# Entities: the columns that they are made of. Their own metadata columns are judged by `metadata_problems`.
ENTITIES: Mapping[str, str] = {
    "events": "event_id title description start_date end_date min_age access_mode publish_status visibility "
    "organization_id location_summary image_url created_at updated_at timezone",
    "roles": "role_key event_id role_id name description",
    "participants": "participant_key event_id participant_id user_id privacy_mode role_id role_key application_status "
    "last_reviewed_at last_reviewer_id last_review_action registered_at created_at updated_at",
    "threads": "thread_key event_id thread_id name description icon_name color_hex sort_order",
    "venues": "venue_key event_id venue_id name address google_maps_url center_lat center_lng sort_order",
    "buildings": "building_key event_id building_id venue_id venue_key name description lat lng position_x position_y "
    "sort_order",
    "floors": "floor_key event_id floor_id building_id building_key number name sort_order",
    "locations": "location_key event_id location_id venue_id venue_key building_id building_key floor_id floor_key "
    "name code description scope type is_schedulable capacity operating_hours opens_at closes_at position_x position_y "
    "icon_override color_hex sort_order",
    "activities": "activity_key event_id activity_id title description activity_type start_time end_time "
    "duration_minutes status thread_id thread_key location_id location_key host_id host_participant_key capacity "
    "sign_ups_enabled committed_signups_count sign_ups_list created_at updated_at",
    "markers": "marker_key event_id marker_id name color_hex",
    "registration_waves": "wave_key event_id wave_id name starts_at ends_at status",
}
PARTS: Mapping[str, str] = {
    "participant_private": "participant_key display_name nickname organisation real_name email admin_notes "
    "custom_form_fields",
    "form_fields": "form_field_key event_id field_key value_types is_sensitive",
    "location_amenities": "location_key amenity position",
    "activity_private": "activity_key host_display_name co_host_display_names details",
    "activity_hosts": "activity_key participant_key host_kind position",
    "activity_markers": "activity_key marker_key position",
    "activity_sign_ups": "activity_key participant_key event_id position is_current removed_at",
    "activity_registration_waves": "activity_key wave_key from_activity from_wave",
    "unmapped_fields": "entity entity_key fields",
}
COLUMNS = {table: columns.split() for table, columns in {**ENTITIES, **PARTS}.items()}
# How many of the leading columns identify a row, where it is not the first alone.
KEY_LENGTHS = {"location_amenities": 2, "activity_hosts": 3, "activity_markers": 2, "activity_sign_ups": 2}
KEY_LENGTHS |= {"activity_registration_waves": 2, "unmapped_fields": 2}
# What no truth of the API can say, and why.
EXCEPTIONS: Mapping[tuple[str, str], str] = {
    ("form_fields", "first_seen_at"): "when we looked",
    ("activity_sign_ups", "sign_up_id"): "a number of our own",
    ("activity_sign_ups", "first_seen_lower_bound"): "when we looked",
    ("activity_sign_ups", "first_seen_at"): "when we looked",
}
# What is no event's to say: tests/sync/test_users.py compares it with what the API shows to each person.
ELSEWHERE = {"user_applications", "user_profiles"}
METADATA = {
    "_syncd_synced_at",
    "_syncd_deleted_at",
    "_syncd_run_id",
    "_syncd_request_id",
    "_syncd_hash",
    "_syncd_is_stub",
}

# Each column that names another entity, and that entity's table.
REFERENCES = {
    "role_key": "roles",
    "participant_key": "participants",
    "host_participant_key": "participants",
    "thread_key": "threads",
    "venue_key": "venues",
    "building_key": "buildings",
    "floor_key": "floors",
    "location_key": "locations",
    "activity_key": "activities",
    "marker_key": "markers",
    "wave_key": "registration_waves",
}
# The listing that each table's rows are in; markers have none of their own.
STREAMS = {table: table for table in ("roles", "participants", "threads", "activities")}
STREAMS |= {"registration_waves": "waves", **dict.fromkeys(("venues", "buildings", "floors", "locations"), "locations")}
# How many complete walks in a row must miss a row before it is hidden.
WITNESSES = 2

# The two keys of the sandbox's forms that ask for health or access needs.
SENSITIVE = {"dietary_notes", "emergency"}
JSON_TYPES = {bool: "boolean", str: "string", int: "number", float: "number", list: "array", dict: "object"}

# The fields of contracts/revento.md §12.1 that have a column, or rows, of their own.
KNOWN = {
    "event": "title description start_date end_date min_age access_mode publish_status visibility organization_id "
    "location_summary image_url created_at updated_at",
    "role": "name description",
    "participant": "user_id display_name nickname organisation real_name email privacy_mode role application_status "
    "admin_notes custom_form_fields last_reviewed_at last_reviewer_id last_review_action registered_at created_at "
    "updated_at",
    "thread": "name description icon_name color_hex sort_order",
    "venue": "name address google_maps_url center_lat center_lng sort_order buildings locations",
    "building": "name description lat lng position_x position_y sort_order floors",
    "floor": "number name sort_order",
    "location": "name code description scope type is_schedulable capacity amenities position_x position_y "
    "icon_override color_hex operating_hours sort_order building floor",
    "activity": "title description activity_type activity_details start_time end_time duration_minutes status thread "
    "location host_id host_display_name co_host_ids co_host_display_names markers capacity sign_ups_enabled "
    "committed_signups_count signed_up_participant_ids registration_waves created_at updated_at",
    "marker": "name color_hex",
    "wave": "name starts_at ends_at status activity_ids",
}


# --- what the tables should hold ------------------------------------------------------------------------------------


class Expected:
    """The rows that one or more events amount to."""

    def __init__(self, timezone: str) -> None:
        self._timezone = timezone
        self.rows: Rows = defaultdict(dict)

    def add(self, table: str, **row: Any) -> None:
        """One row; of the same key twice within an event the first counts."""
        self.rows[table].setdefault(_key(table, row), row)

    def event(self, truth: Json) -> None:
        """Everything of one event."""
        event_id = truth["event"]["id"]
        self._entity("events", "event", event_id, truth["event"], timezone=self._timezone)
        for role in truth["roles"]:
            self._entity("roles", "role", event_id, role)
        for participant in truth["participants"]:
            self._participant(event_id, participant)
        for thread in truth["threads"]:
            self._entity("threads", "thread", event_id, thread)
        for venue in truth["locations"]["venues"]:
            self._venue(event_id, venue)
        for activity in truth["activities"]:
            self._activity(event_id, activity)
        for wave in truth["registration_waves"]:
            self._wave(event_id, wave)
        self._stubs()

    def _entity(self, table: str, kind: str, event_id: str, thing: Json, **given: Any) -> str:
        """A row with its own fields, its key, and what has no column; returns the key."""
        key = event_id if table == "events" else f"{event_id}/{thing['id']}"
        ids = {"event_id": event_id} if table == "events" else {"event_id": event_id, f"{kind}_id": thing["id"]}
        own = {f"{kind}_key": key, **ids} if table != "events" else ids
        row = {name: _value(name, thing.get(name)) for name in COLUMNS[table]} | own | given
        for name in COLUMNS[table]:
            if name.endswith("_key") and name not in own:
                source = "host_id" if name == "host_participant_key" else f"{name.removesuffix('_key')}_id"
                row[name] = None if row[source] is None else f"{event_id}/{row[source]}"
        self.add(table, **row, _syncd_is_stub=False, _syncd_deleted_at=None)
        self._unmapped(table, kind, key, thing)
        return key

    def _unmapped(self, table: str, kind: str, key: str, thing: Json) -> None:
        """What no column holds, below `role`, `thread` and `location` too; what those copy is not theirs."""
        fields = {name: value for name, value in thing.items() if name not in {*KNOWN[kind].split(), "id"}}
        for inner in ("role", "thread", "location"):
            if inner in KNOWN[kind].split() and thing.get(inner):
                known = {*KNOWN[inner].split(), "id", "venue"}
                unknown = {name: value for name, value in thing[inner].items() if name not in known}
                fields |= {inner: unknown} if unknown else {}
        if fields:
            self.add("unmapped_fields", entity=table, entity_key=key, fields=fields)

    def _participant(self, event_id: str, thing: Json) -> None:
        key = self._entity("participants", "participant", event_id, thing, role_id=_id_of(thing, "role"))
        private = {name: thing.get(name) for name in COLUMNS["participant_private"]}
        self.add("participant_private", **private | {"participant_key": key})
        for field, answer in (thing.get("custom_form_fields") or {}).items():
            field_key = f"{event_id}/{field}"
            self.add(
                "form_fields",
                form_field_key=field_key,
                event_id=event_id,
                field_key=field,
                value_types=[],
                is_sensitive=field in SENSITIVE,
            )
            types = self.rows["form_fields"][(field_key,)]["value_types"]
            types[:] = sorted({*types, JSON_TYPES.get(type(answer), "null")})

    def _venue(self, event_id: str, venue: Json) -> None:
        self._entity("venues", "venue", event_id, venue)
        for building in venue["buildings"]:
            self._entity("buildings", "building", event_id, building, venue_id=venue["id"])
            for floor in building["floors"]:
                self._entity("floors", "floor", event_id, floor, building_id=building["id"])
        for location in venue["locations"]:
            opens_at, closes_at = _opening_hours(location["operating_hours"])
            key = self._entity(
                "locations",
                "location",
                event_id,
                location,
                venue_id=venue["id"],
                building_id=_id_of(location, "building"),
                floor_id=_id_of(location, "floor"),
                opens_at=opens_at,
                closes_at=closes_at,
            )
            for position, amenity in enumerate(location["amenities"]):
                self.add("location_amenities", location_key=key, amenity=amenity, position=position)

    def _activity(self, event_id: str, thing: Json) -> None:
        listed, committed = thing.get("signed_up_participant_ids"), thing["committed_signups_count"]
        how = "absent" if listed is None else "partial" if len(listed) < committed else "whole"
        thread_id, location_id = _id_of(thing, "thread"), _id_of(thing, "location")
        key = self._entity(
            "activities", "activity", event_id, thing, thread_id=thread_id, location_id=location_id, sign_ups_list=how
        )
        self.add(
            "activity_private",
            activity_key=key,
            host_display_name=thing["host_display_name"],
            co_host_display_names=thing["co_host_display_names"],
            details=thing["activity_details"],
        )
        hosts = [("host", 0, thing["host_id"])] if thing["host_id"] else []
        hosts += [("co_host", position, person) for position, person in enumerate(thing["co_host_ids"])]
        for kind, position, person in hosts:
            person_key = f"{event_id}/{person}"
            self.add("activity_hosts", activity_key=key, participant_key=person_key, host_kind=kind, position=position)
        for position, marker in enumerate(thing["markers"]):
            marker_key = self._entity("markers", "marker", event_id, marker)
            self.add("activity_markers", activity_key=key, marker_key=marker_key, position=position)
        for position, person in enumerate(listed or ()):
            self.sign_up(key, f"{event_id}/{person}", position)
        for wave_id in thing["registration_waves"]:
            self._link(key, f"{event_id}/{wave_id}", "from_activity")

    def sign_up(self, activity_key: str, participant_key: str, position: int) -> None:
        """A person who is on a list now, or was when a list that is cut or gone was last seen."""
        self.add(
            "activity_sign_ups",
            activity_key=activity_key,
            participant_key=participant_key,
            event_id=activity_key.partition("/")[0],
            position=position,
            is_current=True,
            removed_at=None,
        )

    def _wave(self, event_id: str, thing: Json) -> None:
        key = self._entity("registration_waves", "wave", event_id, thing)
        for activity_id in thing["activity_ids"]:
            self._link(f"{event_id}/{activity_id}", key, "from_wave")

    def _link(self, activity_key: str, wave_key: str, side: str) -> None:
        self.add(
            "activity_registration_waves",
            activity_key=activity_key,
            wave_key=wave_key,
            from_activity=False,
            from_wave=False,
        )
        self.rows["activity_registration_waves"][(activity_key, wave_key)][side] = True

    def _stubs(self) -> None:
        """A row with nothing but its key for whatever is named and not served."""
        named = [
            (REFERENCES[column], value)
            for rows in list(self.rows.values())
            for row in rows.values()
            for column, value in row.items()
            if column in REFERENCES and value is not None
        ]
        for table, key in named:
            if (key,) not in self.rows[table]:
                event_id, _, own_id = key.partition("/")
                own = dict(zip(COLUMNS[table], (key, event_id, own_id), strict=False))
                empty = dict.fromkeys(COLUMNS[table])
                self.add(table, **empty | own, _syncd_is_stub=True)  # `hidden_problems` judges whether it is hidden


def _key(table: str, row: Json) -> Key:
    return tuple(row[name] for name in COLUMNS[table][: KEY_LENGTHS.get(table, 1)])


def _id_of(thing: Json, name: str) -> str | None:
    return thing[name]["id"] if thing.get(name) else None


def _value(name: str, value: Any) -> Any:
    is_stamp = name.endswith(("_at", "_date", "_time")) and isinstance(value, str)
    return datetime.fromisoformat(value) if is_stamp else value


def _opening_hours(text: str) -> tuple[time | None, time | None]:
    parts = text.split("-")
    if len(parts) != 2 or any(len(part) != 5 or part[2] != ":" for part in parts):
        return None, None
    return time.fromisoformat(parts[0]), time.fromisoformat(parts[1])


# --- what they hold -------------------------------------------------------------------------------------------------


def stored(connection: psycopg.Connection, event_ids: Collection[str]) -> Rows:
    """The rows of these events; of the sign-ups those that are current."""
    found: Rows = defaultdict(dict)
    for table, columns in COLUMNS.items():
        names = [*columns, *(("_syncd_is_stub", "_syncd_deleted_at") if table in ENTITIES else ())]
        for values in connection.execute(f"SELECT {', '.join(names)} FROM revento.{table}".encode()).fetchall():
            row = dict(zip(names, values, strict=True))
            owner = row["entity_key"] if table == "unmapped_fields" else row[columns[0]]
            if str(owner).partition("/")[0] in event_ids and row.get("is_current") is not False:
                found[table][_key(table, row)] = row
    return found


def set_hidden_aside(expected: Rows, found: Rows) -> list[str]:
    """Take out of `found` what is hidden and no longer served, and what only that names; no personal data may be left.

    What is served must be live: a hidden row of it stays in, and so does the difference.
    """
    hidden = {
        (table, key[0])
        for table in ENTITIES
        for key, row in found[table].items()
        if row["_syncd_deleted_at"] is not None and expected[table].get(key, {}).get("_syncd_is_stub", True)
    }
    left = any(table == "participants" and not found[table][(key,)]["_syncd_is_stub"] for table, key in hidden)
    lines = [f"{table} {key}: kept of a hidden row" for table, key in _personal(found) & hidden]
    named = set()
    for table in COLUMNS:
        for key in found[table].keys() - expected[table].keys():
            row = found[table][key]
            ends = {(REFERENCES[name], row[name]) for name in row.keys() & REFERENCES.keys()}
            if ends & hidden if table in PARTS else (table, key[0]) in hidden:
                named |= ends
                del found[table][key]
    for table, key in hidden:
        expected[table].pop((key,), None)
        found[table].pop((key,), None)
    for table, key in named:  # markers and stubs stay when nothing live names them any more
        row = found[table].get((key,), {})
        if (key,) not in expected[table] and (table == "markers" or row.get("_syncd_is_stub")):
            found[table].pop((key,), None)
    for key, row in found["activity_registration_waves"].items():  # what a hidden side said last
        for end, flag in ((("activities", key[0]), "from_activity"), (("registration_waves", key[1]), "from_wave")):
            if end in hidden:
                row[flag] = expected["activity_registration_waves"][key][flag]
    if left:
        _forget_old_answers(expected["form_fields"], found["form_fields"])
    return lines


def _personal(found: Rows) -> set[tuple[Any, ...]]:
    """The entities of which personal data are kept."""
    return {
        *(("participants", key) for (key,) in found["participant_private"]),
        *(("activities", key) for (key,) in found["activity_private"]),
        *found["unmapped_fields"],
    }


def _forget_old_answers(expected: dict[Key, Json], found: dict[Key, Json]) -> None:
    """The dictionary only grows: of people who are hidden their questions stay."""
    for key, row in list(found.items()):
        if key not in expected:
            del found[key]
        elif set(row["value_types"]) >= set(expected[key]["value_types"]):
            row["value_types"] = expected[key]["value_types"]


def stub_problems(connection: psycopg.Connection) -> list[str]:
    """Stubs that should be hidden by now, or not yet: by how many clean walks of their listing came after them."""
    lines = []
    for table, stream in STREAMS.items():
        key = COLUMNS[table][0]
        rows = connection.execute(
            f"""SELECT {key}, _syncd_deleted_at IS NOT NULL,
                   (SELECT count(*) FROM syncd.walks AS walk JOIN syncd.installations ON name = installation
                    WHERE stream = %s AND account = stub.event_id AND outcome = 'certified' AND generation = 1
                      AND rejected = 0 AND duplicates = 0
                      AND (started_at > _syncd_synced_at OR _syncd_deleted_at IS NOT NULL))
                FROM revento.{table} AS stub WHERE _syncd_is_stub""".encode(),
            [stream],
        ).fetchall()
        lines += [
            f"{table} {one}: hidden is {is_hidden} after {n} walks"
            for one, is_hidden, n in rows
            if is_hidden != (n >= WITNESSES)
        ]
    return lines


def metadata_problems(connection: psycopg.Connection) -> list[str]:
    """Rows whose metadata columns contradict each other: only a stub has neither a run, a request nor a hash."""
    problems = []
    for table in ENTITIES:
        broken = connection.execute(
            f"""SELECT count(*) FROM revento.{table} WHERE num_nulls(_syncd_run_id, _syncd_request_id, _syncd_hash)
                <> CASE WHEN _syncd_is_stub THEN 3 ELSE 0 END OR _syncd_synced_at IS NULL""".encode()
        ).fetchone()
        unknown = connection.execute(
            f"""SELECT count(*) FROM revento.{table} AS row LEFT JOIN syncd.requests
                ON request_id = _syncd_request_id AND run_id = _syncd_run_id
                WHERE NOT _syncd_is_stub AND request_id IS NULL""".encode()
        ).fetchone()
        if broken != (0,) or unknown != (0,):
            problems.append(
                f"{table}: {broken} rows with torn metadata, {unknown} that no request of their run brought"
            )
    return problems


def uncompared(connection: psycopg.Connection) -> set[tuple[str, str]]:
    """Columns of schema `revento` that are neither compared nor excepted, and compared ones that do not exist."""
    found = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'revento'"
    ).fetchall()
    known = {(table, column) for table, columns in COLUMNS.items() for column in columns} | EXCEPTIONS.keys()
    known |= {(table, column) for table in ENTITIES for column in METADATA}
    return known ^ {(table, column) for table, column in found if table not in ELSEWHERE}


# --- the comparison -------------------------------------------------------------------------------------------------


def differences(expected: Rows, found: Rows) -> list[str]:
    """One line for each missing row, each row too many, and each column that differs."""
    lines = []
    for table in COLUMNS:
        wanted, there = expected.get(table, {}), found.get(table, {})
        lines += [f"{table} {key}: missing" for key in sorted(wanted.keys() - there.keys())]
        lines += [f"{table} {key}: too many" for key in sorted(there.keys() - wanted.keys())]
        for key in sorted(wanted.keys() & there.keys()):
            lines += [
                f"{table} {key}.{column}: expected {value!r}, found {there[key].get(column, 'no such column')!r}"
                for column, value in wanted[key].items()
                if not _same(value, there[key].get(column, ...))
            ]
    return lines


def _same(left: Any, right: Any) -> bool:
    """Equality that tells true from 1; JSON numbers are numbers."""
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def compare(
    connection: psycopg.Connection,
    truth: Json,
    *,
    timezone: str = "Europe/Warsaw",
    event_ids: Collection[str] | None = None,
    kept_sign_ups: Collection[tuple[str, str, int]] = (),
) -> list[str]:
    """How the warehouse differs from the API, from the comparison's own completeness on; empty when in nothing.

    `kept_sign_ups` (activity key, participant key, position) were seen earlier on lists that are cut or gone by now;
    such lists cannot be rebuilt, so payloads are not compared then.
    """
    events = [one for one in truth["events"] if event_ids is None or one["event"]["id"] in event_ids]
    expected = Expected(timezone)
    for one in events:
        expected.event(one)
    for activity_key, participant_key, position in kept_sign_ups:
        expected.sign_up(activity_key, participant_key, position)
    lines = [f"{table}.{column}: not compared" for table, column in sorted(uncompared(connection))]
    lines += metadata_problems(connection) + stub_problems(connection)
    found = stored(connection, {one["event"]["id"] for one in events})
    lines += set_hidden_aside(expected.rows, found)
    lines += differences(expected.rows, found)
    return lines if lines or kept_sign_ups else payload_differences(events, found)


def assert_equal(url: str, truth: Json, **options: Any) -> None:
    """Fail with the first differences when the warehouse differs from the API."""
    with psycopg.connect(url) as connection:
        lines = compare(connection, truth, **options)
    assert not lines, "\n".join([f"{len(lines)} differences:", *lines[:20]])


# --- columns and unmapped fields make up the payload ----------------------------------------------------------------


def rebuild(rows: Rows, event_id: str) -> Json:
    """One event as the API serves it, made from the tables alone. Null and absent are one here, and links unordered."""
    return _Rebuilt(rows, event_id).event()


class _Rebuilt:
    def __init__(self, rows: Rows, event_id: str) -> None:
        self._event_id = event_id
        self._rows = {
            table: [
                row
                for row in of_table.values()
                if not row.get("_syncd_is_stub") and str(_owner(table, row)).partition("/")[0] == event_id
            ]
            for table, of_table in rows.items()
        }
        self._keyed = {table: {row[COLUMNS[table][0]]: row for row in self._rows.get(table, ())} for table in ENTITIES}
        self._extra = {
            (row["entity"], row["entity_key"]): row["fields"] for row in self._rows.get("unmapped_fields", ())
        }
        self._of: dict[tuple[str, str, str], list[Json]] = defaultdict(list)
        for table in PARTS:
            for row in self._rows.get(table, ()):
                for column in ("participant_key", "location_key", "activity_key", "wave_key"):
                    if column in row:
                        self._of[table, column, row[column]].append(row)

    def event(self) -> Json:
        """The whole event."""
        return {
            "event": self._plain("events", "event", self._keyed["events"][self._event_id]),
            "participants": self._all("participants", self._participant),
            "roles": self._all("roles", lambda row: self._plain("roles", "role", row)),
            "threads": self._all("threads", lambda row: self._plain("threads", "thread", row)),
            "activities": self._all("activities", self._activity),
            "registration_waves": self._all("registration_waves", self._wave),
            "locations": {"venues": self._all("venues", self._venue)},
        }

    def _all(self, table: str, build: Any, **where: Any) -> list[Json]:
        rows = [row for row in self._rows.get(table, ()) if all(row[name] == value for name, value in where.items())]
        return sorted((build(row) for row in rows), key=lambda thing: str(thing["id"]))

    def _plain(self, table: str, kind: str, row: Json, **more: Any) -> Json:
        own = {name: _text(row[name]) for name in KNOWN[kind].split() if name in row}
        return _merged({"id": row[f"{kind}_id"], **own, **more}, self._extra.get((table, row[COLUMNS[table][0]]), {}))

    def _participant(self, row: Json) -> Json:
        (private,) = self._of["participant_private", "participant_key", row["participant_key"]]
        return self._plain(
            "participants",
            "participant",
            {**private, **row},
            role=self._pick("roles", row["role_key"], role_id="id", name="name"),
        )

    def _venue(self, row: Json) -> Json:
        return self._plain(
            "venues",
            "venue",
            row,
            buildings=self._all("buildings", self._building, venue_key=row["venue_key"]),
            locations=self._all("locations", self._location, venue_key=row["venue_key"]),
        )

    def _building(self, row: Json) -> Json:
        def floor(its: Json) -> Json:
            return self._plain("floors", "floor", its)

        return self._plain(
            "buildings", "building", row, floors=self._all("floors", floor, building_key=row["building_key"])
        )

    def _location(self, row: Json) -> Json:
        offered = self._in_order("location_amenities", "location_key", row["location_key"])
        return self._plain(
            "locations",
            "location",
            row,
            amenities=[one["amenity"] for one in offered],
            building=self._pick("buildings", row["building_key"], building_id="id", name="name"),
            floor=self._pick("floors", row["floor_key"], floor_id="id", number="number", name="name"),
        )

    def _activity(self, row: Json) -> Json:
        key = row["activity_key"]
        (private,) = self._of["activity_private", "activity_key", key]
        hosts = self._in_order("activity_hosts", "activity_key", key)
        worn = self._in_order("activity_markers", "activity_key", key)
        listed = [_own(one["participant_key"]) for one in self._in_order("activity_sign_ups", "activity_key", key)]
        gates = self._of["activity_registration_waves", "activity_key", key]
        return self._plain(
            "activities",
            "activity",
            {**private, **row},
            activity_details=private["details"],
            thread=self._pick("threads", row["thread_key"], thread_id="id", name="name", color_hex="color_hex"),
            location=self._embedded_location(row["location_key"]),
            co_host_ids=[_own(one["participant_key"]) for one in hosts if one["host_kind"] == "co_host"],
            markers=[self._plain("markers", "marker", self._keyed["markers"][one["marker_key"]]) for one in worn],
            signed_up_participant_ids=None if row["sign_ups_list"] == "absent" else listed,
            registration_waves=sorted(_own(gate["wave_key"]) for gate in gates if gate["from_activity"]),
        )

    def _embedded_location(self, key: str | None) -> Json | None:
        if key is None:
            return None
        row = self._keyed["locations"][key]
        return self._location(row) | {"venue": self._pick("venues", row["venue_key"], venue_id="id", name="name")}

    def _wave(self, row: Json) -> Json:
        gates = self._of["activity_registration_waves", "wave_key", row["wave_key"]]
        named = sorted(_own(gate["activity_key"]) for gate in gates if gate["from_wave"])
        return self._plain("registration_waves", "wave", row, activity_ids=named)

    def _pick(self, table: str, key: str | None, **names: str) -> Json | None:
        return None if key is None else {name: self._keyed[table][key][column] for column, name in names.items()}

    def _in_order(self, table: str, column: str, key: str) -> list[Json]:
        return sorted(self._of[table, column, key], key=lambda row: row["position"])


def _owner(table: str, row: Json) -> Any:
    return row["entity_key"] if table == "unmapped_fields" else row[COLUMNS[table][0]]


def _own(key: str) -> str:
    return key.partition("/")[2]


def _text(value: Any) -> Any:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value


def _merged(thing: Json, extra: Json) -> Json:
    """Unknown fields beside the known ones; those of an embedded object go into it."""
    inner = {name: {**thing[name], **fields} for name, fields in extra.items() if isinstance(thing.get(name), dict)}
    return thing | extra | inner


def payload_differences(events: Iterable[Json], found: Rows) -> list[str]:
    """Objects that columns and unmapped fields together do not make up again."""
    lines = []
    for one in events:
        event_id = one["event"]["id"]
        rebuilt, served = _canonical(rebuild(found, event_id)), _canonical(one)
        for listing in served:
            pairs = _by_id(served[listing]), _by_id(rebuilt[listing])
            lines += [
                f"payload {event_id} {listing} {key}: served {pairs[0].get(key)!r}, rebuilt {pairs[1].get(key)!r}"
                for key in sorted(pairs[0].keys() | pairs[1].keys())
                if pairs[0].get(key) != pairs[1].get(key)
            ]
    return lines


def _by_id(listing: Any) -> dict[str, Any]:
    return {str(thing["id"]): thing for thing in listing} if isinstance(listing, list) else {"": listing}


UNORDERED = ("registration_waves", "activity_ids", "venues", "buildings", "locations", "floors")


def _sort_key(item: Any) -> str:
    return str(item["id"] if isinstance(item, dict) else item)


def _canonical(value: Any, name: str = "") -> Any:
    """Without nulls (but those inside opaque objects), and with the lists whose order no table keeps sorted."""
    if name in ("custom_form_fields", "activity_details"):
        return value
    if isinstance(value, dict):
        return {key: _canonical(inner, key) for key, inner in value.items() if inner is not None}
    if isinstance(value, list):
        items = [_canonical(item) for item in value]
        return sorted(items, key=_sort_key) if name in UNORDERED else items
    return value
