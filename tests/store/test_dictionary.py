"""The schema as its definitions have it: the SQL makes the very database that the migrations make."""

from __future__ import annotations

import psycopg
import pytest

from syncd import main
from syncd.store.dictionary import Entry, entries, markdown, script
from tests.store.test_migrations import catalogue

EVERYTHING = entries(main.TABLES, main.VIEWS)


def details(url: str) -> list[tuple[object, ...]]:
    """What `catalogue` leaves out: defaults, generated columns, identities, collations and view options."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            """SELECT attrelid::regclass::text, attname, attidentity::text, attgenerated::text, attcollation,
                      pg_get_expr(adbin, adrelid), reloptions
               FROM pg_attribute JOIN pg_class AS rel ON rel.oid = attrelid
               LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
               WHERE relnamespace IN ('syncd'::regnamespace, 'revento'::regnamespace, 'bi'::regnamespace)
                 AND attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'v') ORDER BY 1, 2"""
        ).fetchall()


def test_the_sql_makes_what_the_migrations_make(empty_database_url: str, database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(script(EVERYTHING).encode())
    for look in (catalogue, details):
        migrated = [row for row in look(database_url) if "alembic_version" not in f"{row[0]}{row[1]}"]
        made = look(empty_database_url)
        assert len(made) > 200
        assert made == migrated


def test_one_table_alone_is_sql_too(empty_database_url: str) -> None:
    (events,) = [entry for entry in EVERYTHING if entry.full_name == "revento.events"]
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(script([events]).encode())
        assert connection.execute("SELECT count(*) FROM revento.events").fetchone() == (0,)


def test_every_table_and_view_of_the_markdown_says_what_it_is() -> None:
    text = markdown(EVERYTHING)
    assert f"\n{text}".count("\n## ") == len(EVERYTHING)
    assert text.count("\n| `") == sum(len(entry.columns) for entry in EVERYTHING)
    for row in (
        "| `participant_key` | text | key |  | participants.participant_key | revento.participants.participant_key |",
        "| `role_key` | text, generated |  | null | roles.role_key; null when role_id is | revento.roles.role_key |",
        "| `sign_up_id` | bigint, generated | key |  | Number of the spell |  |",
        "| `starts_at_local` | When the activity starts, on the event's own clock; null: not scheduled yet |",
    ):
        assert row in text


@pytest.mark.parametrize("entry", EVERYTHING, ids=lambda entry: entry.full_name)
def test_personal_data_is_marked_in_both_forms(entry: Entry) -> None:
    private = {"participant_private", "activity_private"}
    personal = private | {"user_profiles", "unmapped_fields", "quarantined_rows", "quarantined_values"}
    assert entry.is_personal == (entry.name in personal)
    assert ("-- personal data: not granted to BI\nCREATE TABLE" in script([entry])) == entry.is_personal
    assert ("**⊘ personal data: not granted to BI**" in markdown([entry])) == entry.is_personal
