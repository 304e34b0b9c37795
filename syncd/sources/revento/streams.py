"""Revento's listings in the order of a round: what is named comes before what names it, so that few stubs arise."""

from __future__ import annotations

from syncd.model import Dialect
from syncd.sources.base import Source, Stream
from syncd.sources.revento.admin import read_standing
from syncd.sources.revento.decode_people import decode_participant, decode_role
from syncd.sources.revento.decode_program import decode_activity, decode_thread, decode_wave
from syncd.sources.revento.faults import classify
from syncd.sources.revento.tables import METADATA
from syncd.sources.revento.views import VIEWS
from syncd.sources.revento.walks import walk_activities, walk_event, walk_list, walk_locations, walk_pages

STREAMS = (
    Stream("event", "event.read", walk_event),
    Stream("roles", "participants.read", walk_list("/events/{event_id}/roles", decode_role)),
    Stream("participants", "participants.read", walk_pages("/events/{event_id}/participants", decode_participant)),
    Stream("threads", "program.read", walk_list("/events/{event_id}/threads", decode_thread)),
    Stream("locations", "program.read", walk_locations),
    Stream("activities", "program.read", walk_activities("/events/{event_id}/activities", decode_activity)),
    Stream("waves", "program.read", walk_list("/events/{event_id}/registration-waves", decode_wave)),
)

SOURCE = Source(
    name="revento",
    streams=STREAMS,
    tables=METADATA,
    dialect=Dialect("application/vnd.revento.v1+json", "X-Revento-Request-Id", classify),
    views=VIEWS,
    read_standing=read_standing,
)
