"""What a test run must not produce: a token, a secret or an e-mail address where it has no place.

Everything that the sandbox gives out is a canary: its tokens and its guests' addresses have forms of their own. Every
test is held to it, by what it logged and printed and did not read itself, the errors of ours that it raised, the
processes that it started, and the database of its own that it leaves. `@pytest.mark.leaks`: it leaks on purpose.
"""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from syncd.errors import SyncdError
from tests.harness import CLIENT_SECRET, KEYS

_PREFIXES = ("rev_install_", "rev_refresh_", "rev_user_")
# Issued tokens only: a test may well name one that nobody has issued, to see it redacted.
_ISSUED = rf"(?:{'|'.join(_PREFIXES)})[A-Za-z0-9_-]{{43}}"
_ADDRESS = r"guest[0-9]+\.[0-9a-f]{5}@example\.com"
# Three bytes are four letters of base64: a prefix looks the same wherever the value begins with it.
_CODED = [
    form for prefix in _PREFIXES for form in (prefix.encode().hex(), base64.b64encode(prefix[:9].encode()).decode())
]
_SECRETS = "|".join([_ISSUED, *_CODED, CLIENT_SECRET, re.escape(KEYS.partition(":")[2])])
_IN_SQL = f"{_SECRETS}|{_ADDRESS}"
# One of these stands in everything that is found; plain texts are found much sooner than a pattern.
_MARKS = (*_PREFIXES, *_CODED, CLIENT_SECRET, KEYS.partition(":")[2], "@example.com")
FORBIDDEN = re.compile(f"(?P<secret>{_SECRETS})|(?P<address>{_ADDRESS})")

# Where people are described; no other column may hold an address.
DESCRIBES_PEOPLE = {
    "revento.participant_private": ("email", "custom_form_fields", "admin_notes"),
    "revento.user_profiles": ("email",),
    "revento.unmapped_fields": ("fields",),
    "syncd.quarantined_rows": ("payload",),
    "syncd.quarantined_values": ("raw",),
}


class Leaks:
    """What was found since the last look."""

    def __init__(self) -> None:
        self._found: list[str] = []

    def look(self, place: str, text: str) -> None:
        """Search the text, and remember where it came from; never what was found."""
        if not any(mark in text for mark in _MARKS):
            return
        kinds = {found.lastgroup for found in FORBIDDEN.finditer(text)}
        self._found += [f"{kind} in {place}" for kind in sorted(filter(None, kinds))]

    def taken(self) -> list[str]:
        """What was found so far, which is forgotten."""
        found, self._found = self._found, []
        return list(dict.fromkeys(found))


LEAKS = Leaks()


@contextmanager
def watched() -> Iterator[None]:
    """Have every error of ours and every command line looked at."""
    is_watching, raised = True, SyncdError.__init__

    def note_error(self: SyncdError, message: str, *, hint: str | None = None) -> None:
        LEAKS.look("an error", f"{message} {hint}")
        raised(self, message, hint=hint)

    def note_process(event: str, arguments: tuple[object, ...]) -> None:
        if is_watching and event == "subprocess.Popen":
            LEAKS.look("a command line", str(arguments[1]))

    setattr(SyncdError, "__init__", note_error)  # noqa: B010 - a method
    sys.addaudithook(note_process)  # there is no way to take it away
    try:
        yield
    finally:
        is_watching = False
        setattr(SyncdError, "__init__", raised)  # noqa: B010


def look_at_processes() -> None:
    """All processes that have come from ours, as anybody on the machine can list them."""
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            parents[int(process.name)] = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    for process_id in parents:
        ancestor = process_id
        while ancestor := parents.get(ancestor, 0):
            if ancestor == os.getpid():
                with suppress(OSError):
                    arguments = Path(f"/proc/{process_id}/cmdline").read_bytes()
                    LEAKS.look("the arguments of a process", arguments.decode(errors="replace"))


def look_at_database(url: str) -> None:
    """Every table of ours that has rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        tables = connection.execute(
            """SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname IN ('syncd', 'revento', 'public') AND c.relkind = 'r' AND pg_relation_size(c.oid) > 0
               ORDER BY 1, 2"""
        ).fetchall()
        if not tables:
            return
        rows = sql.SQL(" UNION ALL ").join(_rows(schema, table) for schema, table in tables)
        for place, text in connection.execute(rows, {"secret": _SECRETS, "any": _IN_SQL}).fetchall():
            LEAKS.look(place, text)


def _rows(schema: str, table: str) -> sql.Composed:
    """The table's rows in which something is found; columns that describe people may hold addresses, but no secret."""
    place = f"{schema}.{table}"
    personal = DESCRIBES_PEOPLE.get(place)
    row = sql.SQL("t::text") if personal is None else sql.SQL("(to_jsonb(t) - {}::text[])::text").format(list(personal))
    found = sql.SQL("SELECT {}, {} FROM {} t WHERE {} ~ %(any)s").format(place, row, sql.Identifier(schema, table), row)
    if personal is None:
        return found
    secrets = sql.SQL("SELECT {}, substring(t::text FROM %(secret)s) FROM {} t WHERE t::text ~ %(secret)s")
    return found + sql.SQL(" UNION ALL ") + secrets.format(place, sql.Identifier(schema, table))


@pytest.fixture(autouse=True)
def no_leak(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing was let out by the end of the test."""
    LEAKS.taken()
    yield
    found = LEAKS.taken()
    assert found == [] or request.node.get_closest_marker("leaks"), found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What was printed and logged is known when a report is made."""
    report = yield
    if report.when == "teardown" and not item.get_closest_marker("leaks"):
        LEAKS.taken()
        for name, text in report.sections:
            LEAKS.look(f"what is {name.lower()}", text)
        if (found := LEAKS.taken()) and report.passed:
            report.outcome, report.longrepr = "failed", f"let out: {found}"
    return report
