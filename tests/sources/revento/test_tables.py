"""The tables: what the store may rely on, and that PostgreSQL takes them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Connection, Table, create_engine, insert, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import NullPool

from syncd.sources.columns import METADATA_COLUMNS, content
from syncd.sources.revento.tables import (
    METADATA,
    activities,
    activity_sign_ups,
    events,
    form_fields,
    participants,
    roles,
)
from tests.postgres import temporary_database

TABLES = METADATA.sorted_tables
ENTITIES = [table for table in TABLES if set(METADATA_COLUMNS) <= set(table.columns.keys())]
COLUMNS = [column for table in TABLES for column in table.columns]
PERSONAL = {"participant_private", "activity_private", "user_profiles", "unmapped_fields"}
OWN = {"_syncd_synced_at": text("now()")}


def name_of(table: Table) -> str:
    return table.name


@pytest.fixture
def connection(postgres_admin: psycopg.Connection, postgres_server: str, tables_template: str) -> Iterator[Connection]:
    """A database of the test's own with the source's tables."""
    with temporary_database(postgres_admin, postgres_server, tables_template) as url:
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
        with engine.connect() as connection:
            yield connection


@pytest.mark.parametrize("table", TABLES, ids=name_of)
def test_every_table_and_column_has_a_comment(table: Table) -> None:
    assert table.comment
    assert [column.name for column in table.columns if not column.comment] == []


@pytest.mark.parametrize("table", ENTITIES, ids=name_of)
def test_entity_has_one_key_column_and_nothing_else_that_a_stub_must_fill(table: Table) -> None:
    (key,) = table.primary_key.columns
    assert table.info["key"][-1].endswith("_id")
    assert key.name == table.info["key"][-1].removesuffix("_id") + ("_id" if table is events else "_key")
    required = {column.name for column in content(table) if not column.nullable}
    assert required == set(table.info["key"])


@pytest.mark.parametrize("table", TABLES, ids=name_of)
def test_references_are_deferred_and_point_at_entities(table: Table) -> None:
    for key in table.foreign_keys:
        assert (key.deferrable, key.initially) == (True, "DEFERRED")
        assert key.column.table in ENTITIES
        assert key.column.primary_key
        sources = key.parent.info.get("from")
        assert (key.parent.computed is None) == (sources is None)


def test_names_and_notes_of_people_stand_in_personal_tables_only() -> None:
    assert {table.name for table in TABLES if table.info.get("personal")} == PERSONAL
    telling = {"email", "real_name", "nickname", "display_name", "host_display_name", "admin_notes", "fields"}
    assert {column.table.name for column in COLUMNS if column.name in telling} == PERSONAL
    assert all(column.table.name in PERSONAL for column in COLUMNS if str(column.type) == "JSONB")


def test_postgres_makes_the_keys(connection: Connection) -> None:
    connection.execute(insert(events).values(event_id="evt_1", **OWN))
    connection.execute(insert(roles).values(event_id="evt_1", role_id="r/1", **OWN))
    with_role = {"event_id": "evt_1", "participant_id": "ptp_1", "role_id": "r/1"}
    without = {"event_id": "evt_1", "participant_id": "PTP_1"}
    connection.execute(insert(participants).values(**with_role, **OWN))
    connection.execute(insert(participants).values(**without, **OWN))
    keys = select(participants.c.participant_key, participants.c.role_key).order_by(participants.c.participant_key)
    assert connection.execute(keys).all() == [("evt_1/PTP_1", None), ("evt_1/ptp_1", "evt_1/r/1")]
    connection.commit()


def test_a_reference_is_judged_at_the_end_of_the_transaction(connection: Connection) -> None:
    connection.execute(insert(participants).values(event_id="evt_1", participant_id="p", role_id="r", **OWN))
    connection.execute(insert(events).values(event_id="evt_1", **OWN))
    with pytest.raises(DatabaseError, match="participants_role_key_fkey"):
        connection.commit()


def test_an_event_id_holds_no_slash(connection: Connection) -> None:
    with pytest.raises(DatabaseError, match="events_key_check"):
        connection.execute(insert(events).values(event_id="evt/1", **OWN))


def test_longest_ids_fit_the_index(connection: Connection) -> None:
    noise = "".join(chr(0x4E00 + (7919 * n) % 20000) for n in range(333))
    connection.execute(insert(events).values(event_id=noise, **OWN))
    connection.execute(insert(roles).values(event_id=noise, role_id=noise, **OWN))
    connection.execute(insert(form_fields).values(event_id=noise, field_key=noise, value_types=["string"]))
    connection.commit()
    assert connection.execute(select(form_fields.c.first_seen_at)).scalar_one().tzinfo


def test_one_open_spell_for_each_person_and_activity(connection: Connection) -> None:
    connection.execute(insert(events).values(event_id="e", **OWN))
    connection.execute(insert(activities).values(event_id="e", activity_id="a", **OWN))
    connection.execute(insert(participants).values(event_id="e", participant_id="p", **OWN))
    spell = insert(activity_sign_ups).values(
        activity_key="e/a", participant_key="e/p", event_id="e", first_seen_at=text("now()")
    )
    connection.execute(spell.values(removed_at=text("now()")))
    connection.execute(spell.values(removed_at=text("now()")))
    connection.execute(spell)
    current = select(activity_sign_ups.c.is_current).order_by(activity_sign_ups.c.sign_up_id)
    assert connection.execute(current).scalars().all() == [False, False, True]
    with pytest.raises(DatabaseError, match="one_open_spell"):
        connection.execute(spell)
