"""How each listing is asked for, page by page (contracts/revento.md §9, §10)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import msgspec

from syncd.errors import ApiError, CursorRefused, PageTooLarge
from syncd.logs import get_logger
from syncd.model import Api, Installation, Page
from syncd.sources.revento.decode import Batch, Decode
from syncd.sources.revento.decode_places import decode_venues
from syncd.sources.revento.decode_program import decode_event
from syncd.sources.revento.faults import breach
from syncd.sources.revento.summaries import FullActivities, Item, flaw
from syncd.sources.revento.trail import Trail
from syncd.wire.left_out import LeftOut
from syncd.wire.position import NOT_THE_CURSORS, CursorAt, Position, observe
from syncd.wire.readers import BadValue, RowRejected, parse_row
from syncd.wire.reply import Listing, Reply, read_listing, read_object

EVENT = "/events/{event_id}"
LOCATIONS = "/events/{event_id}/locations"
# contracts/revento.md §9
LARGEST_LIMIT = 50
NO_LIMIT = 0  # the listing takes none

log = get_logger(__name__)


class _Tree(msgspec.Struct):
    venues: list[msgspec.Raw]


async def walk_event(api: Api, installation: Installation, position: Position, page_size: int) -> AsyncGenerator[Page]:
    """The event object, one call. Raises ContractBreach unless it is the installation's own event."""
    reply = await api.get(EVENT)
    yield _event_page(reply, installation)


async def walk_locations(
    api: Api, installation: Installation, position: Position, page_size: int
) -> AsyncGenerator[Page]:
    """The whole venue graph, one call, one page."""
    reply = await api.get(LOCATIONS)
    yield _venues_page(reply, _read_venues(reply), installation.account)


def reread_event(reply: Reply, installation: Installation) -> Page:
    """The event, from its row alone."""
    return _event_page(reply, installation)


def reread_venue(reply: Reply, installation: Installation) -> Page:
    """One venue and all that stands in it, from its row alone."""
    return _venues_page(reply, [msgspec.Raw(reply.body)], installation.account)


def walk_list(endpoint: str, decode: Decode) -> ListingWalk:
    """A listing that is promised whole in one reply; should one say `has_more` all the same, it is followed."""
    return ListingWalk(endpoint, decode, is_paged=False)


def walk_pages(endpoint: str, decode: Decode) -> ListingWalk:
    """A paged listing, from the position to its end; the page size shrinks where the API finds a page too large.

    Raises CursorRefused, with the page size to restart at, when the listing must be walked anew; PageTooLarge when
    not even a single row fits; ListingBroken when the listing contradicts itself or never ends.
    """
    return ListingWalk(endpoint, decode, is_paged=True)


def walk_activities(endpoint: str, decode: Decode) -> ListingWalk:
    """A paged listing of activities; where it holds summaries, what is missing is read elsewhere."""
    return ListingWalk(endpoint, decode, is_paged=True, completing=lambda api: FullActivities(api).complete, flaw=flaw)


Complete = Callable[[Sequence[Item]], Awaitable[Sequence[Item]]]


async def _as_listed(items: Sequence[Item]) -> Sequence[Item]:
    return items


@dataclass(frozen=True, slots=True)
class ListingWalk:
    """The walk of one listing, and how a row of it is read that was kept as it was served."""

    endpoint: str
    decode: Decode
    is_paged: bool
    completing: Callable[[Api], Complete] = lambda _: _as_listed
    flaw: Callable[[msgspec.Raw], str] = lambda _: ""

    async def __call__(
        self, api: Api, installation: Installation, position: Position, page_size: int
    ) -> AsyncGenerator[Page]:
        """Yield each page from the position on."""
        largest = min(page_size, LARGEST_LIMIT) if self.is_paged else NO_LIMIT
        at, limit = _begin(self.endpoint, position, largest)
        trail = Trail(self.endpoint, at.cursor if at else None)
        complete = self.completing(api)
        while True:
            reply, limit = await _fetch(api, self.endpoint, at, limit, installation)
            readings = observe(at, token=reply.token_fingerprint, limit=limit, accepted=True)
            listing = read_listing(reply, paged=self.is_paged)
            trail.note(reply, listing)
            at = self._behind(listing, reply, limit, str(installation.grant_id))
            items = await complete([Item(raw, reply) for raw in listing.data])
            page = _decode_rows(reply, items, self.decode, installation.account).page(at, limit or None)
            yield replace(page, readings=readings)
            if at is None:
                return

    def reread(self, reply: Reply, installation: Installation) -> Page:
        """One row of the listing, alone."""
        row = msgspec.Raw(reply.body)
        return _decode_rows(reply, [Item(row, reply, self.flaw(row))], self.decode, installation.account).page()

    def _behind(self, listing: Listing, reply: Reply, limit: int, grant: str) -> CursorAt | None:
        if listing.has_more is not True or not listing.next_cursor:
            return None
        return CursorAt(
            listing.next_cursor, reply.received_at, self.endpoint, limit, grant, token=reply.token_fingerprint
        )


async def _fetch(
    api: Api, endpoint: str, at: CursorAt | None, limit: int, installation: Installation
) -> tuple[Reply, int]:
    """The reply, and the page size that it was given for: halved until the page fits (contracts/revento.md §10).

    Where the API is known to refuse a cursor at another page size it is not asked.
    """
    while True:
        try:
            return await api.get(endpoint, _query(at.cursor if at else None, limit)), limit
        except PageTooLarge as error:
            if limit <= 1:
                raise _unreadable(error, endpoint) from error
            limit //= 2
            if at is not None and installation.cursor_survives_limit is False:
                raise _refused(error, at, limit) from error
        except ApiError as error:
            if at is None or not await _is_the_cursors(error, api, endpoint, limit):
                raise
            raise _refused(error, at, limit) from error


async def _is_the_cursors(error: ApiError, api: Api, endpoint: str, limit: int) -> bool:
    """Whether a call was refused for its cursor: the refusal says so, or the same call without one is answered
    (docs/faults.md 32). Raises the ApiError of that one where it tells of something else: the token, the pace."""
    if "cursor" in (error.code or ""):
        return True
    if not 400 <= (error.status or 0) < 500 or error.status in NOT_THE_CURSORS:
        return False
    try:
        await api.get(endpoint, _query(None, limit))
    except PageTooLarge:
        return True
    except ApiError as another:
        if another.status in NOT_THE_CURSORS:
            raise
        log.info("first_page_refused_too", reason=str(another))
        return False
    return True


def _begin(endpoint: str, position: Position, limit: int) -> tuple[CursorAt | None, int]:
    match position:
        case CursorAt(query=query) if query == endpoint:
            return position, position.limit
        case _:
            return None, min(position.limit or limit, limit)


def _query(cursor: str | None, limit: int) -> Mapping[str, str | int]:
    asked: dict[str, str | int] = {"limit": limit} if limit else {}
    return asked | ({"cursor": cursor} if cursor else {})


def _decode_rows(reply: Reply, items: Iterable[Item], decode: Decode, event_id: str) -> Batch:
    batch = Batch(reply, event_id)
    for index, item in enumerate(items):
        fields = batch.read(item.raw, f"$.data[{index}]", item.reply)
        if item.flaw:
            batch.reject(f"$.data[{index}]", item.flaw)
        elif fields is not None:
            batch.add(fields, decode)
    return batch


def _venues_page(reply: Reply, venues: Iterable[msgspec.Raw], event_id: str) -> Page:
    batch = Batch(reply, event_id)
    nodes = (batch.read(raw, f"$.venues[{index}]") for index, raw in enumerate(venues))
    decode_venues(batch, (node for node in nodes if node is not None))
    return batch.page()


def _read_venues(reply: Reply) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(read_object(reply), type=_Tree).venues
    except msgspec.ValidationError as error:
        raise breach(reply, str(error)) from error


def _event_page(reply: Reply, installation: Installation) -> Page:
    raw, bad_values = read_object(reply), list[BadValue]()
    try:
        change = decode_event(parse_row(raw, "$", bad_values), installation)
    except RowRejected as error:
        raise breach(reply, str(error)) from error
    if change.row["event_id"] != installation.account:
        raise breach(reply, "$.id names another event")
    left_out = (LeftOut(bytes(raw), installation.account, (), tuple(bad_values)),) if bad_values else ()
    return Page(UUID(reply.request_id), (change,), None, left_out=left_out)


def _refused(error: ApiError, at: CursorAt, limit: int) -> CursorRefused:
    shown = observe(at, token=error.token_fingerprint, limit=limit, accepted=False)
    refused = CursorRefused(str(error), status=error.status, code=error.code, request_id=error.request_id)
    refused.limit = limit or None
    refused.by_refresh, refused.by_limit = shown.survives_refresh is False, shown.survives_limit is False
    return refused


def _unreadable(error: PageTooLarge, endpoint: str) -> PageTooLarge:
    return PageTooLarge(
        f"{endpoint} cannot be read: even its smallest page is larger than the API's 2 MB",
        status=error.status,
        code=error.code,
        request_id=error.request_id,
    )
