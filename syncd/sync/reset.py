"""Forgetting where streams go on, so that their next walks begin at the first page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from syncd.model import Lease
from syncd.sources.base import Stream
from syncd.store.database import Database, Transaction
from syncd.store.walks import abandon_open_walk, find_open_walk, load_position
from syncd.wire.position import CursorAt, Start


@dataclass(frozen=True, slots=True)
class GivenUp:
    """What a reset forgot of a stream: a walk, with the pages that it had stored, or a smaller page size alone."""

    stream: str
    walk_id: UUID | None
    pages: int
    had_cursor: bool
    limit: int | None


async def reset(database: Database, lease: Lease, streams: Iterable[Stream]) -> list[GivenUp]:
    """Abandon the open walks of these streams and forget their positions; rows stay. Raises LeaseLost, DatabaseError.

    A stream that begins at the first page anyway is left alone.
    """
    given_up = []
    for stream in streams:
        async with database.begin(lease, None, stream.name) as tx:
            found = await _given_up(tx)
            if found is not None:
                await abandon_open_walk(tx, "its position was reset by hand")
                given_up.append(found)
    return given_up


async def _given_up(tx: Transaction) -> GivenUp | None:
    position = await load_position(tx)
    walk = await find_open_walk(tx, position)
    pages = walk.page_number if walk else 0
    if position == Start() and pages == 0:
        return None
    walk_id = walk.walk_id if walk else None
    return GivenUp(tx.stream.stream, walk_id, pages, isinstance(position, CursorAt), position.limit)
