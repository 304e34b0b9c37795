"""The endpoints of one participant, for user tokens (contracts/revento.md §12.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncd.sandbox.call import Call, Endpoint
from syncd.sandbox.collection import Json, dump
from syncd.sandbox.people import WITHDRAWN
from syncd.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from syncd.sandbox.api import Api
    from syncd.sandbox.tokens import Grant
    from syncd.sandbox.world import Event

LOCALES = ("pl", "en", "de")


def _read_profile(_api: Api, _call: Call, grant: Grant, event: Event) -> bytes:
    """The account of the signed-in person, which outlives a withdrawal; `email` only if profile.read was granted."""
    person = event.person(grant.participant_id or "")
    user_id = str(grant.user_id)
    profile: Json = {"user_id": user_id, "display_name": person.get("display_name")}
    if "profile.read" in grant.scopes:
        profile["email"] = person.get("email") or f"{user_id}@example.com"
    return dump(profile | {"locale": LOCALES[sum(user_id.encode()) % len(LOCALES)], "event_id": grant.event_id})


def _read_application(_api: Api, _call: Call, grant: Grant, event: Event) -> bytes:
    """The one application of the person for the token's event; 404 once it was withdrawn."""
    person = event.lists["participants"].find(grant.participant_id or "")
    if person is None or person.value.get("application_status") == WITHDRAWN:
        raise Refusal("resource_not_found")
    row = person.value
    return dump(
        {
            "id": f"app_{row['id'].rpartition('_')[2]}",
            "event_id": grant.event_id,
            "status": row.get("application_status"),
            "submitted_at": row.get("created_at"),
            "last_reviewed_at": row.get("last_reviewed_at"),
            "last_review_action": row.get("last_review_action"),
        }
    )


ENDPOINTS: dict[str, Endpoint] = {
    "/me/profile": Endpoint("profile.read", _read_profile),
    "/me/application": Endpoint("event.attendance", _read_application),
}
