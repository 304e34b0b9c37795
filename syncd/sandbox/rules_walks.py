"""Good conduct on a walk through pages (contracts/revento.md §9)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from syncd.sandbox.http import Reply
from syncd.sandbox.log import Entry
from syncd.sandbox.visit import Memory, Visit


@dataclass(frozen=True, slots=True)
class Issued:
    """Where a cursor was handed out, and whether on the last page."""

    path: str
    is_last: bool


class Walks:
    """A cursor is followed once, in its own listing, while there is more."""

    def __init__(self) -> None:
        self._issued: Memory[str, Issued] = Memory()
        self._asked: Memory[tuple[str, str, str | None, str | None], Entry] = Memory()

    def arrived(self, visit: Visit) -> Iterable[str]:
        """`cursor_of_another_listing`, `walked_past_the_end`, `page_asked_again`."""
        cursor = visit.request.query.get("cursor")
        if cursor is None or not visit.is_api:
            return
        issued = self._issued.get(cursor)
        if issued is not None and issued.path != visit.request.path:
            yield "cursor_of_another_listing"
        if issued is not None and issued.is_last:
            yield "walked_past_the_end"
        key = (visit.request.path, cursor, visit.request.query.get("limit"), visit.entry.token)
        if key in self._asked and self._asked[key].whole and self._asked[key].status == 200:
            yield "page_asked_again"
        self._asked[key] = visit.entry

    def served(self, visit: Visit, body: bytes) -> None:
        """Keep the cursor of a page; `body` is not compressed."""
        cursor, has_more = _paging(body)
        if isinstance(cursor, str):
            self._issued[cursor] = Issued(visit.request.path, has_more is False)

    def answered(self, visit: Visit, reply: Reply) -> Iterable[str]:
        """Nothing to add."""
        return ()


def _paging(body: bytes) -> tuple[object, object]:
    """Next cursor and has_more, read from the end of a page, where they stand; None when it is no page."""
    _, mark, tail = body.rpartition(b',"next_cursor":')
    try:
        page = json.loads(b'{"next_cursor":' + tail) if mark else {}
    except ValueError:
        page = {}
    return page.get("next_cursor"), page.get("has_more")
