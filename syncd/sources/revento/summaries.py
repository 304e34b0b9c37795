"""Listed activities that turn out to be summaries: the whole ones are read elsewhere (contracts/revento.md G26).

A field that a reply leaves out must not be taken for one that the API no longer shows: an activity that is whole
nowhere is rejected, and what is stored of it stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from syncd.errors import UNUSABLE_ID, ContractBreach, NotFound, PageTooLarge, Transient
from syncd.logs import get_logger
from syncd.model import Api
from syncd.sources.revento.faults import GONE, breach
from syncd.wire.readers import RowRejected, decode_row, parse_stamp
from syncd.wire.reply import Reply, read_object

PROGRAM = "/events/{event_id}/program"
ACTIVITY = "/events/{event_id}/activities/{activity_id}"
# What every activity has that is stored (contracts/revento.md §12.1); the sign-up list is not always there.
_DOCUMENTED = frozenset(
    (
        *("title", "description", "activity_type", "activity_details", "start_time", "end_time", "duration_minutes"),
        *("status", "thread", "location", "host_id", "co_host_ids", "markers", "capacity", "sign_ups_enabled"),
        *("committed_signups_count", "registration_waves", "created_at", "updated_at"),
    )
)

GONE_ALONE = "the listing names it, and the API knows no such activity when it is asked for"
HALF = "not the whole activity: documented fields are missing, and it is found whole nowhere"

# A few fields may be sent by no reply at all; an API that sent fewer would be another one.
MOST_UNSENT = 3
# So many activities that are asked for alone must agree on it.
WITNESSES = 2

log = get_logger(__name__)


class Item(NamedTuple):
    """One undecoded row, and the reply that it stood in. `flaw`: why it must not be stored."""

    raw: msgspec.Raw
    reply: Reply
    flaw: str = ""


def flaw(raw: msgspec.Raw) -> str:
    """Whether documented fields of an activity are missing. What can be read by nobody is for the decoder to refuse."""
    return HALF if _missing(raw) else ""


def _missing(raw: msgspec.Raw) -> frozenset[str]:
    fields = _peek(raw)
    return _DOCUMENTED - fields.keys() if isinstance(fields.get("id"), str) else frozenset()


class _Branch(msgspec.Struct):
    activities: list[msgspec.Raw] = []


class _Program(msgspec.Struct):
    threads: list[_Branch]


class FullActivities:
    """Finds the whole activities of one walk: in the program, one call for all; one by one what it does not hold."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._program: Mapping[str, Item] | None = None
        self._lacking = Counter[str]()  # by how many activities that were asked for alone
        self._sent = set[str]()  # by any of them

    async def complete(self, listed: Sequence[Item]) -> list[Item]:
        """The same activities, each whole or with its flaw.

        Raises the ApiError of a call that fails otherwise, a 404 that is not the API's own included.
        """
        found = [await self._whole(item) for item in listed]
        return [item._replace(flaw=item.flaw or (HALF if self._is_half(item) else "")) for item in found]

    def _is_half(self, item: Item) -> bool:
        unsent = {name for name, times in self._lacking.items() if times >= WITNESSES and name not in self._sent}
        return bool(_missing(item.raw) - (unsent if len(unsent) <= MOST_UNSENT else set()))

    async def _whole(self, item: Item) -> Item:
        if not self._is_half(item):
            return item
        fields = _peek(item.raw)
        activity_id = str(fields["id"])
        in_program = await self._find_in_program(activity_id)
        if in_program is not None and self._is_whole(in_program, no_older_than=fields):
            return in_program
        return await self._ask_for(activity_id, item)

    def _is_whole(self, item: Item, *, no_older_than: Mapping[str, Any]) -> bool:
        fields = _peek(item.raw)
        mine, listed = _stamp(fields), _stamp(no_older_than)
        is_older = mine is not None and listed is not None and mine < listed
        return not is_older and not self._is_half(item)

    async def _find_in_program(self, activity_id: str) -> Item | None:
        if self._program is None:
            self._program = await self._read_program()
            log.warning("activities_are_summaries", in_program=len(self._program))
        return self._program.get(activity_id)

    async def _read_program(self) -> Mapping[str, Item]:
        """By id. Empty when there is no such reply that can be used: it is one page that may be too large (§10), and
        what only this call breaks at the server need not be done without."""
        try:
            reply = await self._api.get(PROGRAM)
            found = [Item(raw, reply) for branch in _read_branches(reply) for raw in branch.activities]
        except (PageTooLarge, NotFound, ContractBreach, Transient) as error:
            if isinstance(error, Transient) and (error.status or 0) < 500:
                raise
            log.warning("program_not_usable", reason=str(error))
            return {}
        return {str(_peek(item.raw).get("id")): item for item in found}

    async def _ask_for(self, activity_id: str, listed: Item) -> Item:
        try:
            reply = await self._api.get(ACTIVITY, path={"activity_id": activity_id})
        except NotFound as error:
            if error.code == UNUSABLE_ID:
                return listed._replace(flaw=HALF)
            if error.code != GONE:
                raise
            return listed._replace(flaw=GONE_ALONE)
        item = Item(read_object(reply), reply)
        fields = _peek(item.raw)
        if fields.get("id") != activity_id:
            raise breach(reply, "$.id names another activity")
        self._lacking.update(_missing(item.raw))
        self._sent |= fields.keys()
        return item


def _read_branches(reply: Reply) -> list[_Branch]:
    try:
        return msgspec.json.decode(read_object(reply), type=_Program).threads
    except msgspec.ValidationError as error:
        raise breach(reply, str(error)) from error


def _peek(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        return decode_row(raw, "$")
    except RowRejected:
        return {}


def _stamp(fields: Mapping[str, Any]) -> datetime | None:
    text = fields.get("updated_at")
    return parse_stamp(text) if isinstance(text, str) else None
