"""The tables of schema `revento` (docs/warehouse.md §2); what the comments call "known" may grow without notice."""

from syncd.sources.revento.tables.base import METADATA, events, unmapped_fields
from syncd.sources.revento.tables.me import user_applications, user_profiles
from syncd.sources.revento.tables.people import form_fields, participant_private, participants, roles
from syncd.sources.revento.tables.places import buildings, floors, location_amenities, locations, venues
from syncd.sources.revento.tables.program import (
    activities,
    activity_hosts,
    activity_markers,
    activity_private,
    activity_registration_waves,
    activity_sign_ups,
    markers,
    registration_waves,
    threads,
)

__all__ = [
    "METADATA",
    "activities",
    "activity_hosts",
    "activity_markers",
    "activity_private",
    "activity_registration_waves",
    "activity_sign_ups",
    "buildings",
    "events",
    "floors",
    "form_fields",
    "location_amenities",
    "locations",
    "markers",
    "participant_private",
    "participants",
    "registration_waves",
    "roles",
    "threads",
    "unmapped_fields",
    "user_applications",
    "user_profiles",
    "venues",
]
