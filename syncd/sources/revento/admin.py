"""What the integration itself can ask, under its client credentials (contracts/revento.md §12.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from syncd.model import Api
from syncd.sources.revento.faults import breach
from syncd.wire.reply import read_listing

INSTALLATIONS = "/developer/integrations/{integration_id}/installations"
# The documented sample asks for so many (contracts/revento.md C3).
LISTING_LIMIT = 100
# Ten thousand connected events; a listing that goes on behind that goes in circles.
MOST_PAGES = 100
# An event that was connected anew stands there more than once: what still works counts.
_BEST_FIRST = ("active", "suspended", "revoked")


class Connection(msgspec.Struct):
    """One connected event, as the integration's listing has it; the listing also shows what is no longer active."""

    event_id: str
    status: str


async def read_standing(api: Api, event_id: str) -> str | None:
    """`active`, `suspended` or `revoked`; None when the listing does not know the event. Raises ApiError."""
    found = {each.status async for each in walk_connections(api) if each.event_id == event_id}
    return next((status for status in _BEST_FIRST if status in found), None)


async def walk_connections(api: Api) -> AsyncIterator[Connection]:
    """Every connection of the integration. Raises ApiError, ContractBreach when the listing never ends."""
    query: dict[str, str | int] = {"limit": LISTING_LIMIT}
    for _ in range(MOST_PAGES):
        reply = await api.get(INSTALLATIONS, query)
        listing = read_listing(reply, paged=True)
        try:
            rows = [msgspec.json.decode(row, type=Connection) for row in listing.data]
        except msgspec.ValidationError as error:
            raise breach(reply, str(error)) from error
        for row in rows:
            yield row
        if listing.has_more is not True:
            return
        query["cursor"] = listing.next_cursor or ""
    raise breach(reply, f"the listing of installations goes on behind page {MOST_PAGES}")
