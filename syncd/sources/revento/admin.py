"""What the integration itself can ask, under its client credentials (contracts/revento.md §12.3)."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from syncd.model import Api
from syncd.sources.base import Connection
from syncd.sources.revento.faults import breach
from syncd.wire.reply import read_listing

INSTALLATIONS = "/developer/integrations/{integration_id}/installations"
# The documented sample asks for so many (contracts/revento.md C3).
LISTING_LIMIT = 100
# Ten thousand connected events; a listing that goes on behind that goes in circles.
MOST_PAGES = 100


class _Row(msgspec.Struct):
    """One connected event; the listing also shows what is no longer active."""

    event_id: str
    status: str
    scopes: list[str] = []


async def walk_connections(api: Api) -> AsyncIterator[Connection]:
    """Every connection of the integration. Raises ApiError, ContractBreach when the listing never ends."""
    query: dict[str, str | int] = {"limit": LISTING_LIMIT}
    for _ in range(MOST_PAGES):
        reply = await api.get(INSTALLATIONS, query)
        listing = read_listing(reply, paged=True)
        try:
            rows = [msgspec.json.decode(row, type=_Row) for row in listing.data]
        except msgspec.ValidationError as error:
            raise breach(reply, str(error)) from error
        for row in rows:
            yield Connection(row.event_id, row.status, tuple(row.scopes))
        if listing.has_more is not True:
            return
        query["cursor"] = listing.next_cursor or ""
    raise breach(reply, f"the listing of installations goes on behind page {MOST_PAGES}")
