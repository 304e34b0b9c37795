"""The list of streams, and the facts that it states about the contract (§12.1, §13)."""

from __future__ import annotations

from syncd.config_groups import ReventoFreshness
from syncd.sources import SOURCES
from syncd.sources.revento import SOURCE
from syncd.sources.revento.faults import classify
from syncd.sources.revento.tables import METADATA


def test_the_source_is_registered_under_its_name() -> None:
    assert {name: source.name for name, source in SOURCES.items()} == {"revento": "revento"}
    assert SOURCES["revento"] is SOURCE


def test_streams_with_their_scopes() -> None:
    assert [(stream.name, stream.scope) for stream in SOURCE.streams] == [
        ("event", "event.read"),
        ("roles", "participants.read"),
        ("participants", "participants.read"),
        ("threads", "program.read"),
        ("locations", "program.read"),
        ("activities", "program.read"),
        ("waves", "program.read"),
    ]


def test_every_entity_is_in_one_listing() -> None:
    """But for the event, which is no listing, and for markers, which only activities tell of."""
    entities = {table.name for table in METADATA.sorted_tables if "_syncd_hash" in table.columns}
    listed = [table.name for stream in SOURCE.streams for table in stream.tables]
    assert sorted(listed) == sorted(entities - {"events", "markers"})


def test_every_stream_has_a_promise() -> None:
    assert set(ReventoFreshness.model_fields) == {stream.name for stream in SOURCE.streams}


def test_dialect() -> None:
    dialect = SOURCE.dialect
    assert (dialect.media_type, dialect.request_id_header, dialect.classify) == (
        "application/vnd.revento.v1+json",
        "X-Revento-Request-Id",
        classify,
    )
    assert SOURCE.tables is METADATA
