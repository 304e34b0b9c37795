"""The list of streams, and the facts that it states about the contract (§12.1, §13)."""

from __future__ import annotations

from datetime import timedelta

from syncd.sources import SOURCES
from syncd.sources.revento import SOURCE
from syncd.sources.revento.faults import classify
from syncd.sources.revento.tables import METADATA


def test_the_source_is_registered_under_its_name() -> None:
    assert {name: source.name for name, source in SOURCES.items()} == {"revento": "revento"}
    assert SOURCES["revento"] is SOURCE


def test_streams_with_their_scopes_and_promises() -> None:
    soon, seldom = timedelta(minutes=15), timedelta(hours=6)
    assert [(stream.name, stream.scope, stream.fresh_within) for stream in SOURCE.streams] == [
        ("event", "event.read", seldom),
        ("roles", "participants.read", seldom),
        ("participants", "participants.read", soon),
        ("threads", "program.read", seldom),
        ("locations", "program.read", seldom),
        ("activities", "program.read", soon),
        ("waves", "program.read", seldom),
    ]


def test_dialect() -> None:
    dialect = SOURCE.dialect
    assert (dialect.media_type, dialect.request_id_header, dialect.classify) == (
        "application/vnd.revento.v1+json",
        "X-Revento-Request-Id",
        classify,
    )
    assert SOURCE.tables is METADATA
