"""Roles and participants (contracts/revento.md §12.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from syncd.model import Change, Content, Dictionary, Row
from syncd.sources.columns import join_key, read_row
from syncd.sources.revento.decode import Decoded, read_reference
from syncd.sources.revento.tables import form_fields, participant_private, participants, roles
from syncd.wire.readers import LONGEST_ID_BYTES, Fields

# A form field whose key matches stays out of bi until a person says otherwise: health, belief, access needs.
SENSITIVE = re.compile(
    "diet|food|vegan|halal|kosher|allerg|health|medic|diagnos|therap|disab|access|wheelchair|pregnan|religi|emergenc",
    re.IGNORECASE,
)
_JSON_TYPES: Mapping[type, str] = {
    str: "string",
    int: "number",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
    type(None): "null",
}


def decode_role(fields: Fields, event_id: str) -> Decoded:
    """A role of the event."""
    row = read_row(fields, roles, role_id=fields.id(), event_id=event_id)
    return Decoded(Change(roles, row, unmapped=fields.rest()))


def decode_participant(fields: Fields, event_id: str) -> Decoded:
    """A participant, with the personal data and the form fields that its answers reveal."""
    participant_id = fields.id()
    key = join_key(event_id, participant_id)
    answers = fields.mapping("custom_form_fields")
    row = read_row(
        fields,
        participants,
        event_id=event_id,
        participant_id=participant_id,
        role_id=read_reference(fields, "role"),
    )
    private = read_row(fields, participant_private, participant_key=key, custom_form_fields=answers)
    parts = (
        Content(participant_private, "participant_key", (private,)),
        Dictionary(form_fields, "value_types", _form_fields(answers or {}, event_id)),
    )
    return Decoded(Change(participants, row, row["updated_at"], parts, fields.rest()))


def _form_fields(answers: Mapping[str, Any], event_id: str) -> tuple[Row, ...]:
    """One row a key; a key too long for an index stands in the answers alone."""
    return tuple(
        {
            "event_id": event_id,
            "field_key": key,
            "value_types": [_JSON_TYPES[type(value)]],
            "is_sensitive": _is_sensitive(key),
        }
        for key, value in answers.items()
        if len(key.encode()) <= LONGEST_ID_BYTES
    )


@lru_cache(maxsize=1000)  # an event's form has few fields, but each row brings them all
def _is_sensitive(key: str) -> bool:
    return bool(SENSITIVE.search(key))
