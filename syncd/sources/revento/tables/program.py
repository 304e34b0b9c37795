"""Threads, activities and everything that belongs to an activity."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Computed, Identity, Index, Table, false

from syncd.sources import columns as c
from syncd.sources.revento.tables.base import METADATA, events
from syncd.sources.revento.tables.people import participants
from syncd.sources.revento.tables.places import locations

threads = c.entity(
    METADATA,
    "threads",
    "thread",
    events,
    c.text("name", "Display name (name)"),
    c.text("description", "Null: none (description)"),
    c.text("icon_name", "Icon in Revento's own set (icon_name)"),
    c.text("color_hex", "Display colour, #RRGGBB (color_hex)"),
    c.whole("sort_order", "Place among the event's threads, from 0 (sort_order)"),
    comment="Program threads, the tracks of an event (GET /events/{id}/threads)",
)

activities = c.entity(
    METADATA,
    "activities",
    "activity",
    events,
    c.text("title", "Display title (title)"),
    c.text("description", "Markdown; null: none (description)"),
    c.text(
        "activity_type",
        "Known: rpg_session, lecture, workshop, competition, discussion, LARP, other, break (activity_type)",
    ),
    c.stamp("start_time", "When it starts, in UTC; null: not scheduled yet (start_time)"),
    c.stamp("end_time", "When it ends, in UTC; null: not scheduled yet (end_time)"),
    c.whole("duration_minutes", "As given, not computed from the times; null: not said (duration_minutes)"),
    c.text("status", "Known: new, scheduled, canceled (status)"),
    c.identifier("thread_id", "Program thread; null: none (thread.id)"),
    c.parent("thread_key", threads),
    c.identifier("location_id", "Where it takes place; null: not assigned yet (location.id)"),
    c.parent("location_key", locations),
    c.identifier("host_id", "The host, a participant id; null: none (host_id)"),
    c.parent("host_participant_key", participants, "host_id"),
    c.whole("capacity", "Seats; null: not limited, or not said (capacity)"),
    c.flag("sign_ups_enabled", "True: participants can sign up (sign_ups_enabled)"),
    c.whole("committed_signups_count", "People who have committed, as given by the API (committed_signups_count)"),
    c.text(
        "sign_ups_list",
        "How much of the sign-up list the API last showed: absent, partial (shorter than the count), whole",
    ),
    c.stamp("created_at", "When the activity was created, in UTC (created_at)"),
    c.stamp("updated_at", "When the activity last changed, in UTC (updated_at)"),
    comment="Program activities (GET /events/{id}/activities)",
)

activity_private = Table(
    "activity_private",
    METADATA,
    c.plain_parent(activities, primary_key=True),
    c.text("host_display_name", "The host's name as shown (host_display_name)"),
    c.text(
        "co_host_display_names",
        "The co-hosts' names as one text; names may hold commas, so it is never split (co_host_display_names)",
    ),
    c.opaque("details", "Per activity type and event, as received (activity_details)"),
    comment="Names and free-form details of activities; not granted to BI",
    info={"personal": True},
)

activity_hosts = Table(
    "activity_hosts",
    METADATA,
    c.plain_parent(activities, primary_key=True),
    c.plain_parent(participants, primary_key=True, index=True),
    c.identifier("host_kind", "host or co_host", primary_key=True),
    c.whole("position", "0 for the host; for co-hosts the place in the API's list, from 0"),
    comment="Who hosts an activity (activities.host_id, activities.co_host_ids)",
)

activity_sign_ups = Table(
    "activity_sign_ups",
    METADATA,
    Column("sign_up_id", BigInteger, Identity(always=True), primary_key=True, comment="Number of the spell"),
    c.plain_parent(activities),
    c.plain_parent(participants, index=True),
    c.plain_parent(events),
    c.whole("position", "Place in the API's list when last seen, from 0; null: not known"),
    c.stamp(
        "first_seen_lower_bound",
        "When the list was last seen without the person, in UTC; null: there at first sight. "
        "The sign-up lies between this and first_seen_at",
    ),
    c.stamp("first_seen_at", "When syncd first saw the person on the list, in UTC", nullable=False),
    c.stamp("removed_at", "When syncd first saw a whole list without the person, in UTC; null: still on it"),
    Column("is_current", Boolean, Computed("removed_at IS NULL", persisted=True), comment="True: on the list now"),
    comment="Spells of a participant on an activity's sign-up list, as observed (activities.signed_up_participant_ids)",
    info={"whole_when": ("sign_ups_list", "whole")},
)

markers = c.entity(
    METADATA,
    "markers",
    "marker",
    events,
    c.text("name", "Display name, such as Kids-friendly (name)"),
    c.text("color_hex", "Display colour, #RRGGBB (color_hex)"),
    comment="Badges that activities carry; known only from the activities that carry them",
)

activity_markers = Table(
    "activity_markers",
    METADATA,
    c.plain_parent(activities, primary_key=True),
    c.plain_parent(markers, primary_key=True),
    c.whole("position", "Place in the API's list, from 0"),
    comment="Badges of an activity (activities.markers)",
)

registration_waves = c.entity(
    METADATA,
    "registration_waves",
    "wave",
    events,
    c.text("name", "Display name (name)"),
    c.stamp("starts_at", "When sign-ups open, in UTC (starts_at)"),
    c.stamp("ends_at", "When sign-ups close, in UTC (ends_at)"),
    c.text("status", "Known: scheduled, started, finished, canceled (status)"),
    comment="Time windows in which activity sign-ups are open (GET /events/{id}/registration-waves)",
)

activity_registration_waves = Table(
    "activity_registration_waves",
    METADATA,
    c.plain_parent(activities, primary_key=True),
    c.plain_parent(registration_waves, primary_key=True, index=True),
    c.flag("from_activity", "True: the activity names the wave", nullable=False, server_default=false()),
    c.flag("from_wave", "True: the wave names the activity", nullable=False, server_default=false()),
    comment="Which wave gates which activity, and which side of the API says so",
)

# The activities of one event, room or host; all other lookups go by a primary key.
Index(None, activities.c.event_id)
Index(None, activities.c.location_key)
Index(None, activities.c.host_participant_key)
Index(
    "activity_sign_ups_one_open_spell",
    activity_sign_ups.c.activity_key,
    activity_sign_ups.c.participant_key,
    unique=True,
    postgresql_where=activity_sign_ups.c.removed_at.is_(None),
)
