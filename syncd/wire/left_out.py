"""What of a served row cannot be stored."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from syncd.wire.readers import BadValue


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One row as the API served it, of which not everything can be stored: some values, or all of it.

    `key` is its entity's, None where nobody can tell. `request_id` names the call that brought it, where that is
    another than its page's.
    """

    raw: bytes
    key: str | None
    rejected: tuple[BadValue, ...]
    bad_values: tuple[BadValue, ...]
    request_id: UUID | None = None
