"""The tables of schema `revento` (docs/warehouse.md §2); what the comments call "known" may grow without notice."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Computed, Identity, Index, MetaData, Table, Text, false, func

from syncd.sources import columns as c

METADATA = MetaData(schema="revento", naming_convention=c.NAMES)
_PERSONAL = {"personal": True}

events = c.root(
    METADATA,
    "events",
    "event",
    c.text("title", "Display title (title)"),
    c.text("description", "Markdown; null: none (description)"),
    c.stamp("start_date", "When the event starts, in UTC (start_date)"),
    c.stamp("end_date", "When the event ends, in UTC (end_date)"),
    c.text("min_age", "Known: age_all, age_18_plus (min_age)"),
    c.text("access_mode", "Known: closed, open_approval, open_auto (access_mode)"),
    c.text("publish_status", "Known: draft, published (publish_status)"),
    c.text("visibility", "Known: private, discoverable (visibility)"),
    c.text("organization_id", "The organization that owns the event (organization_id)"),
    c.text("location_summary", "Headline location, free text; null: none (location_summary)"),
    c.text("image_url", "Cover image; null: none (image_url)"),
    c.stamp("created_at", "When the event was created, in UTC (created_at)"),
    c.stamp("updated_at", "When the event last changed, in UTC (updated_at)"),
    c.text("timezone", "IANA zone that local times are given in; from syncd's installation, not from the API"),
    comment="Events, one per connected installation (GET /events/{id})",
)

roles = c.entity(
    METADATA,
    "roles",
    "role",
    events,
    c.text("name", "Display name; each event defines its own roles (name)"),
    c.text("description", "What the role is for; null: none (description)"),
    comment="Roles that participants can have (GET /events/{id}/roles)",
)

participants = c.entity(
    METADATA,
    "participants",
    "participant",
    events,
    c.identifier("user_id", "The person's account across events (user_id)"),
    c.flag("privacy_mode", "True: the person asked not to be shown by name (privacy_mode)"),
    c.identifier("role_id", "Role in the event; null: none (role.id)"),
    c.parent("role_key", roles),
    c.text("application_status", "Known: pending, approved, rejected, revision_requested (application_status)"),
    c.stamp("last_reviewed_at", "When the application was last reviewed, in UTC; null: never (last_reviewed_at)"),
    c.identifier("last_reviewer_id", "Account of the last reviewer; null: never reviewed (last_reviewer_id)"),
    c.text(
        "last_review_action",
        "Known: approved, rejected, revision_requested; null: never reviewed (last_review_action)",
    ),
    c.stamp("registered_at", "When the person became registered, in UTC; null: not registered (registered_at)"),
    c.stamp("created_at", "When the participant was created, in UTC (created_at)"),
    c.stamp("updated_at", "When the participant last changed, in UTC (updated_at)"),
    comment="Participants and their applications, without personal data (GET /events/{id}/participants)",
)

participant_private = Table(
    "participant_private",
    METADATA,
    c.plain_parent(participants, primary_key=True),
    c.text("display_name", "Name shown in the event (display_name)"),
    c.text("nickname", "Null: none, or not shown to us (nickname)"),
    c.text("organisation", "Organisation the person belongs to; null: none, or not shown to us (organisation)"),
    c.text("real_name", "Null: none, or not shown to us (real_name)"),
    c.text("email", "Null: none, or not shown to us (email)"),
    c.text("admin_notes", "Organizers' notes on the person; null: none (admin_notes)"),
    c.opaque("custom_form_fields", "Answers to the event's own form, key by key, as received (custom_form_fields)"),
    comment="Personal data of participants; not granted to BI",
    info=_PERSONAL,
)

form_fields = Table(
    "form_fields",
    METADATA,
    c.generated_key("form_field_key", "event_id", "field_key"),
    c.plain_parent(events),
    c.identifier("field_key", "Key in custom_form_fields", nullable=False),
    c.texts("value_types", "JSON types seen so far: string, number, boolean, array, object, null"),
    c.stamp(
        "first_seen_at",
        "When syncd first met the field, in UTC",
        nullable=False,
        server_default=func.statement_timestamp(),
    ),
    c.flag("is_sensitive", "True: looks like health, diet, belief or access needs, and is kept out of bi"),
    comment="The fields of each event's application form, gathered from the answers; the API gives no list",
    info={"key": ("event_id", "field_key")},
)

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
    info=_PERSONAL,
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

unmapped_fields = Table(
    "unmapped_fields",
    METADATA,
    Column("entity", Text, primary_key=True, comment="Table of the row that the fields belong to"),
    c.identifier("entity_key", "Key of that row", primary_key=True),
    c.opaque("fields", "The fields that have no column, nested as received"),
    comment="What the API served and no column holds; not granted to BI, for it may hold anything",
    info=_PERSONAL,
)

# An event's rows, newest in view; a person's or a place's rows. All other lookups go by a primary key.
Index(None, participants.c.event_id)
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
