"""The event itself, its threads, activities and registration waves (contracts/revento.md §12.1)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import Table

from syncd.model import Change, Content, Installation, Links, Part, Row, Spells
from syncd.sources.columns import join_key, read_row
from syncd.sources.revento.decode import Decoded, read_reference
from syncd.sources.revento.tables import (
    activities,
    activity_hosts,
    activity_markers,
    activity_private,
    activity_registration_waves,
    activity_sign_ups,
    events,
    markers,
    registration_waves,
    threads,
)
from syncd.wire.readers import Fields, RowRejected


def decode_event(fields: Fields, installation: Installation) -> Change:
    """The event, in the zone that the installation names. Raises RowRejected when it has no usable id."""
    row = read_row(fields, events, event_id=fields.id(), timezone=installation.timezone)
    return Change(events, row, row["updated_at"], unmapped=fields.rest())


def decode_thread(fields: Fields, event_id: str) -> Decoded:
    """A program thread."""
    row = read_row(fields, threads, thread_id=fields.id(), event_id=event_id)
    return Decoded(Change(threads, row, unmapped=fields.rest()))


def decode_wave(fields: Fields, event_id: str) -> Decoded:
    """A registration wave and the activities that it says it gates."""
    row = read_row(fields, registration_waves, wave_id=fields.id(), event_id=event_id)
    key = join_key(event_id, row["wave_id"])
    gated = fields.ids("activity_ids")
    links = _links(key, event_id, gated, owner="wave_key", flag="from_wave", member="activity_key")
    return Decoded(Change(registration_waves, row, parts=links, unmapped=fields.rest()))


def decode_activity(fields: Fields, event_id: str) -> Decoded:
    """An activity, with its hosts, markers, waves and sign-ups."""
    activity_id = fields.id()
    key = join_key(event_id, activity_id)
    committed, is_counted = fields.unspoilt(lambda: fields.whole("committed_signups_count"))
    sign_ups_list, signed_up = _read_sign_ups(fields, committed, is_counted=is_counted)
    carried, has_markers = fields.unspoilt(lambda: _read_markers(fields, event_id))
    (host_id, co_host_ids), has_hosts = fields.unspoilt(lambda: _read_hosts(fields))
    row = read_row(
        fields,
        activities,
        event_id=event_id,
        activity_id=activity_id,
        thread_id=read_reference(fields, "thread"),
        location_id=read_reference(fields, "location"),
        host_id=host_id,
        committed_signups_count=committed,
        sign_ups_list=sign_ups_list,
    )
    details = fields.mapping("activity_details")
    gating = fields.ids("registration_waves")
    parts = (
        _owned(activity_private, key, [read_row(fields, activity_private, activity_key=key, details=details)]),
        # a list that cannot be read says nothing of who was on it
        *([_owned(activity_hosts, key, _hosts(host_id, co_host_ids, event_id))] if has_hosts else []),
        *([_owned(activity_markers, key, _marker_links(carried, event_id))] if has_markers else []),
        *_sign_ups(sign_ups_list, signed_up, key, event_id),
        *_links(key, event_id, gating, owner="activity_key", flag="from_activity", member="wave_key"),
    )
    return Decoded(Change(activities, row, row["updated_at"], parts, fields.rest()), carried)


def _owned(table: Table, activity_key: str, rows: Iterable[Row]) -> Content:
    return Content(table, "activity_key", tuple({"activity_key": activity_key, **row} for row in rows))


def _read_hosts(fields: Fields) -> tuple[str | None, Sequence[str]]:
    return fields.ref("host_id"), fields.ids("co_host_ids") or ()


def _hosts(host_id: str | None, co_host_ids: Sequence[str], event_id: str) -> Iterator[Row]:
    named = [("host", 0, host_id)] if host_id else []
    named += [("co_host", position, co_host_id) for position, co_host_id in enumerate(co_host_ids)]
    for host_kind, position, participant_id in named:
        yield {
            "participant_key": join_key(event_id, participant_id),
            "host_kind": host_kind,
            "position": position,
        }


def _read_markers(fields: Fields, event_id: str) -> tuple[Change, ...]:
    """Each marker once, in the order given; one without a usable id is a bad value of the activity."""
    found: dict[str, Change] = {}
    for marker in fields.rows("markers"):
        try:
            marker_id = marker.id()
        except RowRejected as rejected:
            fields.bad.append(rejected.bad)
        else:
            row = read_row(marker, markers, event_id=event_id, marker_id=marker_id)
            found.setdefault(marker_id, Change(markers, row, unmapped=marker.rest()))
    return tuple(found.values())


def _marker_links(carried: Sequence[Change], event_id: str) -> Iterator[Row]:
    for position, marker in enumerate(carried):
        yield {"marker_key": join_key(event_id, marker.row["marker_id"]), "position": position}


def _read_sign_ups(fields: Fields, committed: int | None, *, is_counted: bool) -> tuple[str, tuple[str, ...]]:
    """How much of the list is there, and who is on it.

    A list that is shorter than the count of committed people was cut, and so is one of which an entry could not
    be read, or whose count could not: it shows who is in, never who is out (contracts/revento.md G25).
    """
    listed, is_readable = fields.unspoilt(lambda: fields.ids("signed_up_participant_ids"))
    if listed is None:
        return "absent", ()
    is_cut = not (is_counted and is_readable) or len(listed) < (committed or 0)
    return "partial" if is_cut else "whole", listed


def _sign_ups(sign_ups_list: str, listed: Sequence[str], activity_key: str, event_id: str) -> Iterator[Part]:
    if sign_ups_list == "absent":
        return
    rows = tuple(
        {
            "activity_key": activity_key,
            "participant_key": join_key(event_id, participant_id),
            "event_id": event_id,
            "position": position,
        }
        for position, participant_id in enumerate(listed)
    )
    yield Spells(activity_sign_ups, "activity_key", "participant_key", rows, closes=sign_ups_list == "whole")


def _links(
    owner_key: str, event_id: str, member_ids: Sequence[str] | None, *, owner: str, flag: str, member: str
) -> tuple[Part, ...]:
    """The links that this side reports; a side that reports none at all, not even an empty list, has no say."""
    if member_ids is None:
        return ()
    rows = tuple({owner: owner_key, member: join_key(event_id, member_id)} for member_id in member_ids)
    return (Links(activity_registration_waves, owner, flag, rows),)
