"""What participants show of themselves under tokens of their own: one row a person and event."""

from __future__ import annotations

from syncd.sources import columns as c
from syncd.sources.revento.tables.base import METADATA, events

_USER_ID = "The person's account, the same across events; participants.user_id"

user_applications = c.entity(
    METADATA,
    "user_applications",
    "user",
    events,
    c.identifier("application_id", "The API's id of the application (id)"),
    c.text("status", "Known: pending, approved, rejected, revision_requested (status)"),
    c.stamp("submitted_at", "When the person applied, in UTC (submitted_at)"),
    c.stamp("last_reviewed_at", "When the application was last reviewed, in UTC; null: never (last_reviewed_at)"),
    c.text(
        "last_review_action",
        "Known: approved, rejected, revision_requested; null: never reviewed (last_review_action)",
    ),
    c.stamp(
        "withdrawn_at",
        "When syncd first found the application withdrawn, in UTC; the other columns are as last seen before; "
        "null: not withdrawn",
    ),
    comment="Applications of the people who signed in with Revento, by their own tokens (GET /me/application)",
    id_comment=_USER_ID,
)

user_profiles = c.entity(
    METADATA,
    "user_profiles",
    "user",
    events,
    c.text("display_name", "Name shown in the event (display_name)"),
    c.text("email", "Address of the account (email)"),
    c.text("locale", "Language of the account, such as pl (locale)"),
    comment="Accounts of the people who signed in with Revento and granted profile.read (GET /me/profile); "
    "not granted to BI",
    id_comment=_USER_ID,
    personal=True,
)
