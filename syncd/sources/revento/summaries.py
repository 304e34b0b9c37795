"""Listed activities that turn out to be summaries: the whole ones are read elsewhere (contracts/revento.md G26).

A field that a summary leaves out must not be taken for one that the API no longer shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from syncd.errors import ContractBreach, NotFound, PageTooLarge
from syncd.logs import get_logger
from syncd.model import Api
from syncd.sources.revento.faults import breach
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

log = get_logger(__name__)


class Item(NamedTuple):
    """One undecoded row, and the reply that it stood in."""

    raw: msgspec.Raw
    reply: Reply


class _Branch(msgspec.Struct):
    activities: list[msgspec.Raw] = []


class _Program(msgspec.Struct):
    threads: list[_Branch]


class FullActivities:
    """Finds the whole activities of one walk: in the program, one call for all; one by one what it does not hold."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._program: Mapping[str, Item] | None = None
        self._demanded = _DOCUMENTED

    async def complete(self, listed: Sequence[Item]) -> list[Item]:
        """The same activities, each whole. One that is gone since it was listed is left out.

        Raises the ApiError of a call that fails otherwise: half an activity is never yielded.
        """
        found = [await self._whole(item) for item in listed]
        return [item for item in found if item is not None]

    async def _whole(self, item: Item) -> Item | None:
        fields = _peek(item.raw)
        activity_id = fields.get("id")
        if not isinstance(activity_id, str) or not self._demanded - fields.keys():
            return item  # whole, or of no use: the decoder says why
        in_program = await self._find_in_program(activity_id)
        if in_program is not None and self._is_whole(in_program, no_older_than=fields):
            return in_program
        return await self._ask_for(activity_id)

    def _is_whole(self, item: Item, *, no_older_than: Mapping[str, Any]) -> bool:
        fields = _peek(item.raw)
        mine, listed = _stamp(fields), _stamp(no_older_than)
        is_older = mine is not None and listed is not None and mine < listed
        return not is_older and not self._demanded - fields.keys()

    async def _find_in_program(self, activity_id: str) -> Item | None:
        if self._program is None:
            self._program = await self._read_program()
            log.warning("activities_are_summaries", in_program=len(self._program))
        return self._program.get(activity_id)

    async def _read_program(self) -> Mapping[str, Item]:
        """By id. Empty when there is no such reply that can be used: it is one page that may be too large (§10)."""
        try:
            reply = await self._api.get(PROGRAM)
            found = [Item(raw, reply) for branch in _read_branches(reply) for raw in branch.activities]
        except (PageTooLarge, NotFound, ContractBreach) as error:
            log.warning("program_not_usable", reason=str(error))
            return {}
        return {str(_peek(item.raw).get("id")): item for item in found}

    async def _ask_for(self, activity_id: str) -> Item | None:
        try:
            reply = await self._api.get(ACTIVITY, path={"activity_id": activity_id})
        except NotFound:
            return None
        item = Item(read_object(reply), reply)
        fields = _peek(item.raw)
        if fields.get("id") != activity_id:
            raise breach(reply, "$.id names another activity")
        # What an activity does not have when it is asked for alone, this API does not send.
        self._demanded &= fields.keys()
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
