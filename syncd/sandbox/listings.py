"""Paged listings: limits, cursors and order (contracts/revento.md §9) under every reading of G1 to G6."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from random import Random

from syncd.sandbox.call import Call
from syncd.sandbox.clock import Clock
from syncd.sandbox.collection import Collection, Row
from syncd.sandbox.cursors import Binding, CursorRefused, Cursors, Place
from syncd.sandbox.log import fingerprint
from syncd.sandbox.refusals import BadRequest
from syncd.sandbox.settings import SandboxSettings
from syncd.sandbox.tokens import Grant

DEFAULT_LIMIT = 25
MAX_LIMIT = 50
# The sample of the installations listing asks for 100 (C3).
MAX_DEVELOPER_LIMIT = 100
# Listings whose last page still carries a cursor, as the contract permits.
CURSOR_ON_LAST_PAGE = ("participants",)
# The code for a refused cursor under each reading of G4.
CURSOR_CODES = {
    "400": "invalid_cursor",
    "404": "resource_not_found",
    "410": "cursor_expired",
    "422": "unprocessable_request",
}

Show = Callable[[Row], bytes]


def array(rows: Iterable[Row], show: Show = lambda row: row.body) -> bytes:
    """Rows as a JSON array."""
    return b"[" + b",".join([show(row) for row in rows]) + b"]"


class Listings:
    """Cuts collections into pages; `BadRequest` for a limit or a cursor that is refused."""

    def __init__(self, cursors: Cursors, clock: Clock, settings: Callable[[], SandboxSettings]) -> None:
        self._cursors, self._clock, self._settings = cursors, clock, settings
        self._rng = Random(f"{settings().seed}/order")

    def page(self, call: Call, grant: Grant | None, rows: Collection, show: Show = lambda row: row.body) -> bytes:
        """`{"data", "next_cursor", "has_more"}`; a call without a grant is a developer's."""
        limit = _limit(call, MAX_LIMIT if grant else MAX_DEVELOPER_LIMIT, self._settings().reading("G5"))
        binding = self._binding(call, grant, limit)
        place = self._place(call, binding)
        chosen, position, more = self._choose(rows, place.position, limit)
        if call.holds_cursor:
            position, more = place.position, True
        follows = more or (position and call.path.rpartition("/")[2] in CURSOR_ON_LAST_PAGE)
        following = Place(position, place.walk_began_at)
        cursor = self._cursors.issue(binding, following, self._clock.now()) if follows else None
        tail = f',"next_cursor":{json.dumps(cursor)},"has_more":{json.dumps(more)}}}'
        return b'{"data":' + array(chosen, show) + tail.encode()

    def _binding(self, call: Call, grant: Grant | None, limit: int) -> Binding:
        settings = self._settings()
        owner = "developer" if grant is None else grant.id
        if grant is not None and settings.reading("G3") == "token":
            owner = fingerprint(call.bearer)
        return Binding(call.path, owner, limit if settings.reading("G2") == "bound" else None)

    def _place(self, call: Call, binding: Binding) -> Place:
        now, settings = self._clock.now(), self._settings()
        cursor = call.request.query.get("cursor")
        if cursor is None:
            return Place(0, now)
        try:
            return self._cursors.open(
                cursor, binding, now - settings.cursor_s, by_walk=settings.reading("G1") == "walk"
            )
        except CursorRefused as error:
            raise BadRequest(CURSOR_CODES[settings.reading("G4")], str(error)) from error

    def _choose(self, rows: Collection, position: int, limit: int) -> tuple[list[Row], int, bool]:
        """The rows of a page, the position behind them, and whether more follow. In arbitrary order a position counts
        the rows served, so that a walk ends although it never saw some of them."""
        if self._settings().reading("G6") == "arbitrary":
            left = max(0, len(rows) - position)
            chosen = self._rng.sample(list(rows), min(limit, left))
            return chosen, position + len(chosen), left > limit
        chosen, more = rows.after(position, limit)
        return chosen, chosen[-1].seq if chosen else position, more


def _limit(call: Call, most: int, reading: str) -> int:
    """The page size that is asked for; what is no number from 1 to `most` is refused or moved there (G5)."""
    text = call.request.query.get("limit", str(DEFAULT_LIMIT))
    number = int(text) if re.fullmatch(r"-?[0-9]{1,9}", text, re.ASCII) else None
    if number is not None and 1 <= number <= most:
        return number
    if reading == "refused":
        raise BadRequest("invalid_request", f"limit must be between 1 and {most}.")
    return DEFAULT_LIMIT if number is None else max(1, min(number, most))
