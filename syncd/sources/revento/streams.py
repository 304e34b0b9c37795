"""Revento's listings in the order of a round: what is named comes before what names it, so that few stubs arise."""

from __future__ import annotations

from sqlalchemy import Table

from syncd.sources.base import Source, Stream
from syncd.sources.revento import tables as t
from syncd.sources.revento.admin import walk_connections
from syncd.sources.revento.decode_people import decode_participant, decode_role
from syncd.sources.revento.decode_program import decode_activity, decode_thread, decode_wave
from syncd.sources.revento.faults import DIALECT
from syncd.sources.revento.views import VIEWS
from syncd.sources.revento.walks import (
    EVENT,
    ListingWalk,
    reread_event,
    reread_venue,
    walk_activities,
    walk_event,
    walk_list,
    walk_locations,
    walk_pages,
)


def _listing(name: str, scope: str, walk: ListingWalk, table: Table) -> Stream:
    return Stream(name, scope, walk, walk.reread, (table,))


STREAMS = (
    Stream("event", "event.read", walk_event, reread_event),
    _listing("roles", "participants.read", walk_list(f"{EVENT}/roles", decode_role), t.roles),
    _listing(
        "participants", "participants.read", walk_pages(f"{EVENT}/participants", decode_participant), t.participants
    ),
    _listing("threads", "program.read", walk_list(f"{EVENT}/threads", decode_thread), t.threads),
    Stream("locations", "program.read", walk_locations, reread_venue, (t.venues, t.buildings, t.floors, t.locations)),
    _listing("activities", "program.read", walk_activities(f"{EVENT}/activities", decode_activity), t.activities),
    _listing("waves", "program.read", walk_list(f"{EVENT}/registration-waves", decode_wave), t.registration_waves),
)

SOURCE = Source(
    name="revento",
    account=("event_id",),
    consenter="organizer",
    streams=STREAMS,
    schema=t.METADATA,
    tables=tuple(table for table in t.METADATA.sorted_tables if table not in (t.user_applications, t.user_profiles)),
    dialect=DIALECT,
    views=VIEWS,
    connections=walk_connections,
)
