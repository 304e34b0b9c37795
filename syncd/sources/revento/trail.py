"""What a reply says of its own listing: that it goes in circles, or is another one (docs/faults.md 25, 27, 33)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Set

import msgspec

from syncd.errors import ListingBroken
from syncd.sources.revento.faults import breach
from syncd.wire.reply import Listing, Reply

# An empty page may have successors, but a listing that brings nobody new for this long never ends.
MOST_BARREN_PAGES = 20
# What the rows of one listing have and those of no other (contracts/revento.md §12.1). Roles have nothing of the kind.
_MARKS = {
    "participants": frozenset(("application_status", "privacy_mode", "custom_form_fields", "registered_at")),
    "activities": frozenset(("activity_type", "start_time", "sign_ups_enabled", "committed_signups_count")),
    "threads": frozenset(("icon_name", "color_hex", "sort_order")),
    "registration-waves": frozenset(("starts_at", "ends_at", "activity_ids")),
}


class _Identified(msgspec.Struct):
    id: str


class Trail:
    """What a walk of one listing has met, to notice that it leads nowhere."""

    def __init__(self, endpoint: str, cursor: str | None) -> None:
        self._listing = endpoint.rpartition("/")[2]
        self._cursors = {cursor}
        self._rows = set[Hashable]()
        self._barren_pages = 0

    def note(self, reply: Reply, listing: Listing) -> None:
        """Raises ContractBreach where a row is another listing's; ListingBroken when the next page is one that was
        already asked for, or no new row has come for long: to go on from there in a later round would lead there again.
        """
        self._require_own(reply, listing.data)
        if listing.has_more is not True:
            return
        if listing.next_cursor in self._cursors:
            what = "$.next_cursor leads back to a page that was already read (a cursor loop)"
            raise breach(reply, what, ListingBroken)
        rows = {_identity(raw) for raw in listing.data}
        self._barren_pages = 0 if rows - self._rows else self._barren_pages + 1
        if self._barren_pages > MOST_BARREN_PAGES:
            what = f"{self._barren_pages} pages in a row brought nothing new, and still $.has_more is true"
            raise breach(reply, what, ListingBroken)
        self._cursors.add(listing.next_cursor)
        self._rows |= rows

    def _require_own(self, reply: Reply, rows: Iterable[msgspec.Raw]) -> None:
        own = _MARKS.get(self._listing)
        if own is None:
            return
        for raw in rows:
            names = _names(raw)
            others = [name for name, marks in _MARKS.items() if marks <= names]
            if others and not own & names:
                raise breach(reply, f"$.data holds {others[0]} in place of {self._listing}")


def _names(raw: msgspec.Raw) -> Set[str]:
    try:
        return msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).keys()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return frozenset()


def _identity(raw: msgspec.Raw) -> Hashable:
    try:
        return msgspec.json.decode(raw, type=_Identified).id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return hash(bytes(raw))
