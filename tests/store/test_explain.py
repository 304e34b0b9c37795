"""What the database's errors are turned into: a sentence and a next step, and no value of a row."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from syncd.errors import DatabaseError
from syncd.store.database import translated
from syncd.store.explain import _BY_STATE

CANARY = "ada@example.org"


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def told(connection: psycopg.Connection, statement: str | sql.Composed) -> DatabaseError:
    """What becomes of the statement's error."""
    with pytest.raises(DatabaseError) as raised, translated():
        connection.execute(statement.encode() if isinstance(statement, str) else statement)
    return raised.value


@pytest.mark.parametrize("state", _BY_STATE)
def test_each_sqlstate_of_the_table_has_a_sentence_and_a_next_step(connection: psycopg.Connection, state: str) -> None:
    raises = sql.SQL("DO $$ BEGIN RAISE 'as the server puts it' USING ERRCODE = {}, DETAIL = {}; END $$").format(
        sql.Literal(state), sql.Literal(CANARY)
    )
    error = told(connection, raises)
    assert str(error).endswith(f" (as the server puts it, SQLSTATE {state})")
    assert error.hint
    assert CANARY not in str(error) + error.hint


@pytest.mark.fault(93)
@pytest.mark.parametrize(
    ("statement", "state"),
    [
        (f"SELECT '{CANARY}'::int", "22P02"),
        (f"DO $$ BEGIN RAISE 'a trigger says {CANARY}'; END $$", "P0001"),
        ("CREATE TEMP TABLE t (a text UNIQUE); " + f"INSERT INTO t VALUES ('{CANARY}'); " * 2, "23505"),
        (f"CREATE TEMP TABLE t (a text CHECK (a = '')); INSERT INTO t VALUES ('{CANARY}')", "23514"),
        (f"CREATE TEMP TABLE t (a text, b int NOT NULL); INSERT INTO t VALUES ('{CANARY}')", "23502"),
    ],
)
def test_no_value_of_a_row_is_repeated(connection: psycopg.Connection, statement: str, state: str) -> None:
    error = told(connection, statement)
    assert f"SQLSTATE {state}" in str(error)
    assert error.hint
    assert CANARY not in str(error) + error.hint


@pytest.mark.fault(81)
def test_a_connection_that_was_ended_is_told_as_that(connection: psycopg.Connection, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    error = told(connection, "SELECT 1")
    assert str(error).startswith("an administrator ended the connection to the database")
    assert "the next sync goes on" in str(error.hint)
