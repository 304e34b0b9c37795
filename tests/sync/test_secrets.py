"""No secret anywhere: each byte of the log, of the errors, of the process list and of the database is searched."""

from __future__ import annotations

import asyncio
import base64
import io
import logging
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
import pytest
import structlog
from psycopg import sql

from syncd import logs
from tests.harness import CLIENT_SECRET, KEYS, PARTICIPANTS, Bench, OpenBench

PREFIXES = re.compile("rev_(install|refresh|user)_")
PIECE = 16


def forms(secret: str) -> list[bytes]:
    """A secret as it might leak: in pieces of some length, whole in base64, whole in hexadecimal."""
    raw, own = secret.encode(), PREFIXES.sub("", secret).encode()
    pieces = [own[start : start + PIECE] for start in range(0, len(own) - PIECE + 1, PIECE // 2)]
    return [*pieces, base64.b64encode(raw).rstrip(b"=")[:-1], raw.hex().encode()]


def hits(haystacks: Iterable[tuple[str, bytes]], secrets: Iterable[str]) -> list[str]:
    """Where a secret was found."""
    needles = [(number, form) for number, secret in enumerate(secrets) for form in forms(secret)]
    found = (f"secret {number} in {place}" for place, hay in haystacks for number, needle in needles if needle in hay)
    return list(dict.fromkeys(found))


def database_cells(url: str) -> Iterator[tuple[str, bytes]]:
    """Every column of every table, whatever its type, as the bytes of its values."""
    with psycopg.connect(url) as connection:
        columns = connection.execute(
            """SELECT table_schema, table_name, column_name, data_type = 'bytea' FROM information_schema.columns
               WHERE table_schema IN ('syncd', 'revento', 'bi', 'public')"""
        ).fetchall()
        assert len({table for _, table, _, _ in columns}) > 30
        for schema, table, column, is_bytes in columns:
            name = sql.Identifier(column)
            value = sql.SQL("{}").format(name) if is_bytes else sql.SQL("convert_to({}::text, 'UTF8')").format(name)
            query = sql.SQL("SELECT {} FROM {} WHERE {} IS NOT NULL").format(value, sql.Identifier(schema, table), name)
            for (cell,) in connection.execute(query).fetchall():
                yield f"{schema}.{table}.{column}", bytes(cell)


def arguments() -> Iterator[tuple[str, bytes]]:
    """The command lines of all processes."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield f"arguments of {process.name}", (process / "cmdline").read_bytes()
        except OSError:
            continue


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, at the level that says most."""
    stream = io.StringIO()
    logs.configure("json", "debug", stream)
    yield stream
    structlog.reset_defaults()
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one.formatter, structlog.stdlib.ProcessorFormatter)]:
        root.removeHandler(handler)


def all_secrets(bench: Bench) -> list[str]:
    """Every token that was ever issued, the client's secret, and the vault's key."""
    issued = bench.sandbox.tokens
    return [*issued._by_access, *issued._by_refresh, CLIENT_SECRET, KEYS.partition(":")[2]]


async def troubled(bench: Bench) -> list[str]:
    """Rounds with a refresh in mid-walk, with every kind of failure, and the text of every error."""
    texts: list[str] = []
    faults = bench.sandbox.faults
    bench.hurry()
    for order in (
        {"endpoint": PARTICIPANTS, "error": "token_expired"},
        {"endpoint": PARTICIPANTS, "status": 500, "times": None},
        {"endpoint": PARTICIPANTS, "drop": True, "times": None},
        {"endpoint": PARTICIPANTS, "body": "[[", "content_type": "application/vnd.revento.v1+json"},
        {"endpoint": "/oauth/token", "drop": True, "times": None},
        {"endpoint": "/oauth/token", "error": "invalid_client", "times": None},
        {"endpoint": PARTICIPANTS, "error": "token_revoked"},
    ):
        faults.clear()
        faults.add(order)
        if order["endpoint"] == "/oauth/token":
            bench.sandbox.tokens.expire_event(bench.event_id)
        try:
            result = await bench.sync()
            texts += [f"{one.reason} {one.error_code}" for one in result.streams]
        except Exception as error:
            texts += ["".join(traceback.format_exception(error)), repr(error), str(getattr(error, "hint", ""))]
            structlog.get_logger("test").error("failed", exc_info=True)
    return texts


@pytest.mark.fault(117)
async def test_no_secret_leaks_from_troubled_rounds(open_bench: OpenBench, log: io.StringIO) -> None:
    bench = await open_bench()
    await bench.add()
    person = await bench.add_user(bench.sandbox.truth()["events"][0]["participants"][0]["id"])
    texts = await troubled(bench)
    texts += [str(one.reason) for one in (await bench.sync(person)).streams]
    secrets = all_secrets(bench)
    assert len(secrets) >= 6
    assert "token_refreshed" in log.getvalue()
    assert log.getvalue().count("\n") > 100
    places = [("the log", log.getvalue().encode()), *(("an error", text.encode()) for text in texts)]
    assert hits([*places, *arguments(), *database_cells(bench.url)], secrets) == []


@pytest.mark.fault(117)
@pytest.mark.leaks("plants a leak of each kind")
async def test_the_search_finds_what_is_planted(bench: Bench, log: io.StringIO) -> None:
    """The same search, with a leak of each kind."""
    secret = next(iter(bench.sandbox.tokens._by_refresh))
    await bench.sync()
    assert hits([*arguments(), *database_cells(bench.url), ("the log", log.getvalue().encode())], [secret]) == []
    logging.getLogger("careless").handlers = [logging.StreamHandler(log)]
    logging.getLogger("careless").warning("it was %s", secret)
    logging.getLogger("careless").handlers = []
    bench.execute("UPDATE revento.roles SET description = %s WHERE role_id = 'role_staff'", f"<{secret}>")
    bench.execute("UPDATE syncd.credentials SET access_token = %s", secret.encode())
    bench.execute(
        "UPDATE revento.participant_private SET custom_form_fields = jsonb_build_object('a', %s::text)", secret
    )
    bench.execute("UPDATE syncd.runs SET owner = %s", base64.b64encode(secret.encode()).decode())
    found = {hit.partition(" in ")[2] for hit in hits(database_cells(bench.url), [secret])}
    assert {place for place in found if not place.startswith("bi.")} == {
        "revento.roles.description",
        "syncd.credentials.access_token",
        "revento.participant_private.custom_form_fields",
        "syncd.runs.owner",
    }
    assert hits([("the log", log.getvalue().encode())], [secret]) == ["secret 0 in the log"]
    argv = (sys.executable, "-c", "input()", secret)
    careless = await asyncio.create_subprocess_exec(*argv, stdin=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(30):
            while not hits(arguments(), [secret]):
                await asyncio.sleep(0.01)
    finally:
        careless.kill()
        await careless.wait()
