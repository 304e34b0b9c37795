"""The BI views on a real PostgreSQL: their columns, and what they show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from syncd.model import View
from syncd.sources.revento.tables import METADATA
from syncd.sources.revento.views import VIEWS
from tests.postgres import temporary_database

ROWS = """
INSERT INTO revento.events (event_id, timezone, _syncd_synced_at) VALUES ('e', 'Europe/Warsaw', now());
INSERT INTO revento.roles (event_id, role_id, name, _syncd_synced_at) VALUES ('e', 'staff', 'Staff', now());
INSERT INTO revento.participants
    (event_id, participant_id, role_id, privacy_mode, _syncd_synced_at, _syncd_deleted_at, _syncd_is_stub)
VALUES ('e', 'live', 'staff', true, now(), NULL, false), ('e', 'gone', NULL, false, now(), now(), false),
    ('e', 'stub', NULL, NULL, now(), NULL, true);
INSERT INTO revento.venues (event_id, venue_id, name, _syncd_synced_at) VALUES ('e', 'v', 'Venue', now());
INSERT INTO revento.buildings (event_id, building_id, venue_id, name, _syncd_synced_at)
VALUES ('e', 'b', 'v', 'Building', now());
INSERT INTO revento.floors (event_id, floor_id, building_id, name, number, _syncd_synced_at)
VALUES ('e', 'f', 'b', 'Ground', 0, now());
INSERT INTO revento.locations (event_id, location_id, venue_id, building_id, floor_id, name, opens_at, _syncd_synced_at)
VALUES ('e', 'room', 'v', 'b', 'f', 'Room', '08:00', now()), ('e', 'meadow', 'v', NULL, NULL, 'Meadow', NULL, now());
INSERT INTO revento.activities
    (event_id, activity_id, title, start_time, location_id, host_id, capacity, committed_signups_count,
     sign_ups_list, _syncd_synced_at, _syncd_deleted_at, _syncd_is_stub)
VALUES
    ('e', 'full', 'Late show', '2026-08-15T22:30:00Z', 'room', 'live', 8, 6, 'partial', now(), NULL, false),
    ('e', 'zero', 'No seats', NULL, NULL, NULL, 0, 3, 'absent', now(), NULL, false),
    ('e', 'open', 'No limit', NULL, NULL, NULL, NULL, NULL, 'whole', now(), NULL, false),
    ('e', 'gone', 'Removed', NULL, NULL, NULL, 1, 1, 'whole', now(), now(), false),
    ('e', 'stub', NULL, NULL, NULL, NULL, NULL, NULL, NULL, now(), NULL, true);
INSERT INTO revento.activity_sign_ups (activity_key, participant_key, event_id, first_seen_at, removed_at)
VALUES ('e/full', 'e/live', 'e', now(), NULL), ('e/full', 'e/gone', 'e', now(), now()),
    ('e/zero', 'e/live', 'e', now(), NULL);
"""


@pytest.fixture(scope="module")
def filled_database_url(
    postgres_admin: psycopg.Connection, postgres_server: str, tables_template: str
) -> Iterator[str]:
    """A database with the tables, the views and a few rows, which no test changes."""
    with temporary_database(postgres_admin, postgres_server, tables_template) as url:
        with psycopg.connect(url) as connection:
            connection.execute(ROWS)
            connection.execute("CREATE SCHEMA bi")
            for view in VIEWS:
                connection.execute(f"CREATE VIEW bi.{view.name} WITH (security_barrier) AS {view.select}".encode())
        yield url


@pytest.fixture
def rows(filled_database_url: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection to that database."""
    with psycopg.connect(filled_database_url, row_factory=dict_row) as connection:
        yield connection


def read(rows: psycopg.Connection[dict[str, Any]], view: str, key: str) -> dict[str, dict[str, Any]]:
    return {row[key]: row for row in rows.execute(f"SELECT * FROM bi.{view} ORDER BY 1".encode())}


def test_every_column_has_its_comment_and_none_a_bare_name(rows: psycopg.Connection[dict[str, Any]]) -> None:
    for view in VIEWS:
        served = rows.execute(f"SELECT * FROM bi.{view.name} LIMIT 0".encode()).description or ()
        assert [column.name for column in served] == list(view.columns)
        assert view.comment
        assert all(view.columns.values())
        assert not {"id", "name", "type", "status"} & view.columns.keys()


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_no_view_reads_personal_data(view: View) -> None:
    personal = [table.name for table in METADATA.sorted_tables if table.info.get("personal")]
    read_from = re.findall(r"revento\.(\w+)", view.select)
    assert read_from
    assert not set(personal) & set(read_from)


def test_participants(rows: psycopg.Connection[dict[str, Any]]) -> None:
    shown = read(rows, "dim_participants", "participant_id")
    assert list(shown) == ["live"]
    assert (shown["live"]["role_name"], shown["live"]["is_private"]) == ("Staff", True)


def test_activities(rows: psycopg.Connection[dict[str, Any]]) -> None:
    shown = read(rows, "dim_activities", "activity_id")
    assert sorted(shown) == ["full", "open", "zero"]
    late = shown["full"]
    assert late["starts_at"] == datetime(2026, 8, 15, 22, 30, tzinfo=UTC)
    assert late["starts_at_local"] == datetime(2026, 8, 16, 0, 30)  # noqa: DTZ001 - the event's own clock
    assert late["event_day"] == date(2026, 8, 16)
    assert (late["location_name"], late["building_name"], late["venue_name"]) == ("Room", "Building", "Venue")
    assert late["host_participant_key"] == "e/live"
    measures = {
        name: (row["committed_sign_ups"], row["listed_sign_ups"], row["fill_rate"]) for name, row in shown.items()
    }
    assert measures == {"full": (6, 1, 0.75), "zero": (3, None, None), "open": (None, 0, None)}


def test_first_temporal_of_an_activity_is_its_start(rows: psycopg.Connection[dict[str, Any]]) -> None:
    served = rows.execute("SELECT * FROM bi.dim_activities LIMIT 0").description or ()
    temporal = [column.name for column in served if column.type_display.startswith(("timestamp", "date", "time"))]
    assert temporal[:2] == ["starts_at", "ends_at"]


def test_locations(rows: psycopg.Connection[dict[str, Any]]) -> None:
    shown = read(rows, "dim_locations", "location_id")
    assert (shown["room"]["venue_name"], shown["room"]["floor_name"], shown["room"]["floor_number"]) == (
        "Venue",
        "Ground",
        0,
    )
    assert (shown["meadow"]["venue_name"], shown["meadow"]["building_name"]) == ("Venue", None)
