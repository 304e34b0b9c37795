"""The schema, the event that scopes it, and what has no column of its own."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, Table, Text

from syncd.sources import columns as c

METADATA = MetaData(schema="revento", naming_convention=c.NAMES)

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

unmapped_fields = Table(
    "unmapped_fields",
    METADATA,
    Column("entity", Text, primary_key=True, comment="Table of the row that the fields belong to"),
    c.identifier("entity_key", "Key of that row", primary_key=True),
    c.opaque("fields", "The fields that have no column, nested as received"),
    comment="What the API served and no column holds; not granted to BI, for it may hold anything",
    info={"personal": True},
)
