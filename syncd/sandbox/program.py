"""Threads, activities and registration waves of one event, with their traps at fixed row numbers (see `people`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import TypeVar

from syncd.sandbox import names
from syncd.sandbox.clock import iso
from syncd.sandbox.collection import Json

T = TypeVar("T")
# A longer sign-up list is cut here, under the default reading of G25.
SIGN_UPS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Stage:
    """What activities refer to: their event's start, threads, embedded locations and participants; and whether short
    sign-up lists hide single people rather than being cut (G25)."""

    start: datetime
    threads: Sequence[Json]
    locations: Sequence[Json]
    participants: Sequence[Json]
    hides_people: bool = False


def make_threads(salt: str) -> list[Json]:
    """Six threads; the last carries a field that no document mentions."""
    threads: list[Json] = [
        {
            "id": f"thr_{salt}_{n}",
            "name": name,
            "description": f"All of {name}",
            "icon_name": icon,
            "color_hex": color,
            "sort_order": n,
        }
        for n, (name, icon, color) in enumerate(names.THREADS)
    ]
    threads[-1]["is_featured"] = True
    return threads


def thread_ref(thread: Json) -> Json:
    """A thread as an activity embeds it."""
    return {key: thread[key] for key in ("id", "name", "color_hex")}


def make_activity(rng: Random, n: int, row_id: str, stage: Stage, created: datetime) -> Json:
    """One activity with times, people and sign-ups; waves are added by `make_waves`."""
    kind = "panel_show" if n % 31 == 12 else names.ACTIVITY_TYPES[n % len(names.ACTIVITY_TYPES)]
    row: Json = {
        "id": row_id,
        "title": f"{rng.choice(names.TITLES)} #{n}",
        "description": None if n % 10 == 8 else f"What **{kind}** is about, żółć 🎲",
        "activity_type": kind,
        "activity_details": _details(rng, kind),
        **_schedule(rng, n, stage),
        "thread": None if n % 17 == 7 or not stage.threads else thread_ref(rng.choice(stage.threads)),
        **_hosts(rng, n, stage.participants),
        "markers": [
            dict(zip(("id", "name", "color_hex"), mark, strict=True)) for mark in _some(rng, names.MARKERS, n % 3)
        ],
        **_sign_ups(rng, n, stage),
        "registration_waves": [],
        "created_at": iso(created),
        "updated_at": iso(created + timedelta(hours=n % 5)),
    }
    if n % 19 == 11:
        row["livestream"] = {"url": "https://example.com/live", "languages": ["pl", "en"]}
    return row


def make_waves(rng: Random, salt: str, activities: Sequence[Json], start: datetime) -> list[Json]:
    """Five waves over the sign-up activities, written into both sides, which do not always agree; the last wave also
    names an activity that does not exist."""
    waves: list[Json] = []
    for n, (name, status) in enumerate(names.WAVES):
        opens = start - timedelta(days=30 - 5 * n)
        members = [row for row in activities if row["sign_ups_enabled"] and rng.random() < 0.3]
        waves.append(make_wave(f"wave_{salt}_{n}", name, status, opens, [row["id"] for row in members]))
        for row in members[1:]:
            row["registration_waves"].append(waves[-1]["id"])
    waves[-1]["activity_ids"].append("act_of_nobody")
    waves[0]["max_signups_per_person"] = 2
    return waves


def make_wave(row_id: str, name: str, status: str, opens: datetime, activity_ids: list[str]) -> Json:
    """A wave that opens at `opens` for four hours."""
    return {
        "id": row_id,
        "name": name,
        "starts_at": iso(opens),
        "ends_at": iso(opens + timedelta(hours=4)),
        "status": status,
        "activity_ids": activity_ids,
    }


def _some(rng: Random, options: Sequence[T], count: int) -> list[T]:
    return rng.sample(options, min(count, len(options)))


def _details(rng: Random, kind: str) -> Json:
    """An object typed per activity type and event; opaque."""
    if kind in ("rpg_session", "LARP"):
        return {"system": rng.choice(("D&D 5e", "Zew Cthulhu", "Fate")), "experience": None, "safety_tools": ["x-card"]}
    if kind == "break":
        return {}
    return {"language": rng.choice(("pl", "en", "日本語")), "materials": {"provided": rng.random() < 0.5}}


def _schedule(rng: Random, n: int, stage: Stage) -> Json:
    """Status, times and location: unscheduled ones have null times and no place, cancelled ones keep theirs."""
    minutes = rng.choice((45, 60, 90, 240))
    if n % 11 == 3:
        return {"start_time": None, "end_time": None, "duration_minutes": minutes, "status": "new", "location": None}
    begins = stage.start + timedelta(minutes=15 * rng.randrange(180))
    status = "canceled" if n % 13 == 5 else "postponed" if n % 37 == 15 else "scheduled"
    return {
        "start_time": iso(begins),
        "end_time": iso(begins + timedelta(minutes=minutes)),
        "duration_minutes": None if n % 27 == 16 else minutes,
        "status": status,
        "location": rng.choice(stage.locations) if stage.locations and n % 12 != 6 else None,
    }


def _hosts(rng: Random, n: int, participants: Sequence[Json]) -> Json:
    """Hosts by id with denormalized names; number 10 is hosted by nobody that exists, 18 by nobody at all."""
    host = rng.choice(participants) if participants and n % 43 != 18 else None
    co_hosts = _some(rng, participants, 2 if n % 23 == 9 else n % 3)
    co_names = [row["display_name"] for row in co_hosts]
    if n % 23 == 9:
        co_names = [f"{name}, PhD" for name in co_names]
    return {
        "host_id": "ptp_of_nobody" if n == 10 else host and host["id"],
        "host_display_name": "Gone Host" if n == 10 else host and host["display_name"],
        "co_host_ids": [row["id"] for row in co_hosts],
        "co_host_display_names": ", ".join(co_names),
    }


def _sign_ups(rng: Random, n: int, stage: Stage) -> Json:
    """Key absent when disabled (1, 6, …), sometimes when enabled (2, 9, …); list short (4, 13, …), empty (8, 24, …)."""
    if n % 5 == 1:
        return {"capacity": None, "sign_ups_enabled": False, "committed_signups_count": 0}
    is_short = n % 9 == 4
    capacity = 60 if is_short else rng.choice((4, 6, 8, 20, 60))
    count = 0 if n % 8 == 0 else rng.randrange(SIGN_UPS_SHOWN + 1 if is_short else 2, capacity + 1)
    signed = [row["id"] for row in _some(rng, stage.participants, count)]
    fields: Json = {"capacity": capacity, "sign_ups_enabled": True, "committed_signups_count": len(signed)}
    if n % 7 == 2:
        return fields
    if is_short and stage.hides_people:
        signed = [person for n, person in enumerate(signed) if n % 3 != 1]
    elif not stage.hides_people:
        signed = signed[:SIGN_UPS_SHOWN]
    return fields | {"signed_up_participant_ids": signed}
