"""Roles, participants, and the form that they filled in."""

from __future__ import annotations

from sqlalchemy import Index, Table, func

from syncd.sources import columns as c
from syncd.sources.revento.tables.base import METADATA, events

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
    info={"personal": True},
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

# The people of one event; all other lookups go by a primary key.
Index(None, participants.c.event_id)
