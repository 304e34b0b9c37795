"""The list of streams, and the facts that it states about the contract (§12.1, §13)."""

from __future__ import annotations

import pytest

from syncd.config_groups import Freshness
from syncd.sources import SOURCES
from syncd.sources.base import Source
from syncd.sources.revento import SOURCE, USER_SOURCE
from syncd.sources.revento.tables import METADATA


def test_the_sources_are_registered_under_their_names() -> None:
    assert {"revento": SOURCE, "revento-user": USER_SOURCE} == SOURCES
    assert all(source.name == name for name, source in SOURCES.items())


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


def test_streams_of_a_participants_token() -> None:
    assert [(stream.name, stream.scope, stream.tables) for stream in USER_SOURCE.streams] == [
        ("application", "event.attendance", ()),
        ("profile", "profile.read", ()),
    ]


def test_each_table_is_filled_by_one_source() -> None:
    assert {*SOURCE.tables, *USER_SOURCE.tables} == set(METADATA.sorted_tables)
    assert not {*SOURCE.tables} & {*USER_SOURCE.tables}


@pytest.mark.parametrize("account", ["evt_1", "évt 1", "evt_1/usr_1"])
@pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.name)
def test_an_account_is_its_ids_joined(source: Source, account: str) -> None:
    if account.count("/") == len(source.account) - 1:
        assert "/".join(source.ids(account).values()) == account
        assert tuple(source.ids(account)) == source.account


def test_every_entity_is_in_one_listing() -> None:
    """But for single objects, the event's and a person's own, and for markers, which only activities tell of."""
    entities = {table.name for table in METADATA.sorted_tables if "_syncd_hash" in table.columns}
    listed = [table.name for stream in SOURCE.streams for table in stream.tables]
    assert sorted(listed) == sorted(entities - {"events", "markers", "user_applications", "user_profiles"})


def test_every_stream_has_a_promise() -> None:
    promised = {name.replace("_", "-"): set(type(group).model_fields) for name, group in Freshness()}
    assert promised == {name: {stream.name for stream in source.streams} for name, source in SOURCES.items()}


@pytest.mark.parametrize("source", SOURCES.values(), ids=lambda source: source.name)
def test_dialect(source: Source) -> None:
    dialect = source.dialect
    assert dialect.media_type == "application/vnd.revento.v1+json"
    assert dialect.request_id_header == "X-Revento-Request-Id"
    assert source.schema is METADATA
