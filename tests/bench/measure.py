"""One phase of one contender, and its figures."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.bench.contenders import Contender
from tests.bench.processes import BenchFailed, Ended, children, cpu_s, run
from tests.bench.remote import Remote

# A backend ends within milliseconds of its connection.
QUIET_TIMEOUT_S = 10.0

Figures = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Costs:
    """What has been spent so far: CPU seconds, and bytes of WAL."""

    server_cpu_s: float
    wal_bytes: int


class Meter:
    """Reads what a phase costs the PostgreSQL server, while nobody but us and the contender works on it."""

    def __init__(self, postmaster: int, admin: psycopg.Connection) -> None:
        self._postmaster, self._admin = postmaster, admin
        self._residents = children(postmaster)

    def checkpoint(self) -> None:
        """Let each page's first change write the whole page to the WAL, whatever the last phase has left."""
        self._admin.execute("CHECKPOINT")

    def costs(self) -> Costs:
        """The costs of all backends that have ended."""
        self._wait_until_quiet()
        return Costs(cpu_s(self._postmaster), int(_row(self._admin, "SELECT pg_current_wal_insert_lsn() - '0/0'")[0]))

    def replaced(self, url: str) -> Mapping[bool, int]:
        """How many row versions were replaced or deleted so far, in the data (False) and in our control tables (True).

        Each has left a dead tuple. Backends that have ended have handed in their counts.
        """
        self._wait_until_quiet()
        counts = """
            SELECT coalesce(sum(n_tup_upd + n_tup_del) FILTER (WHERE schemaname <> 'syncd'), 0),
                   coalesce(sum(n_tup_upd + n_tup_del) FILTER (WHERE schemaname = 'syncd'), 0)
            FROM pg_stat_user_tables
        """
        with psycopg.connect(url, autocommit=True) as connection:
            data, control = _row(connection, counts)
        return {False: int(data), True: int(control)}

    def _wait_until_quiet(self) -> None:
        deadline = time.monotonic() + QUIET_TIMEOUT_S
        while not children(self._postmaster) <= self._residents:
            if time.monotonic() > deadline:
                raise BenchFailed("somebody else works on the bench's PostgreSQL server")
            time.sleep(0.005)


def measured(contender: Contender, meter: Meter, url: str, remote: Remote, *, rows: int, new: int) -> Figures:
    """Run one phase. Raises BenchFailed unless the contender met `rows` rows, `new` of them new."""
    command = contender.command(url, remote)
    replaced, calls = meter.replaced(url), remote.calls()
    meter.checkpoint()
    costs, sandbox_cpu_s = meter.costs(), cpu_s(remote.pid)
    ended = run(command)
    spent, sandbox_spent_s = meter.costs(), cpu_s(remote.pid) - sandbox_cpu_s
    contender.check(ended, rows=rows, new=new)
    figures = _whole(ended)
    if not rows:
        return figures
    now_replaced = meter.replaced(url)
    return {
        **figures,
        "rows_per_s": rows / ended.wall_s,
        "client_cpu_ms": per_thousand_ms(ended.cpu_s, rows),
        "server_cpu_ms": per_thousand_ms(spent.server_cpu_s - costs.server_cpu_s, rows),
        "sandbox_cpu_ms": per_thousand_ms(sandbox_spent_s, rows),
        "wal_bytes": (spent.wal_bytes - costs.wal_bytes) / rows,
        "calls": remote.calls(since=calls),
        "replaced_data": now_replaced[False] - replaced[False],
        "replaced_control": now_replaced[True] - replaced[True],
    }


def stored(contender: Contender, url: str, remote: Remote) -> tuple[int, str]:
    """How many rows the contender has stored, and their digest."""
    with psycopg.connect(url, autocommit=True) as connection:
        count, digest = _row(connection, contender.stored, remote.event_id)
    return count, digest


def per_thousand_ms(seconds: float, rows: int) -> float:
    """Seconds for all rows as milliseconds per 1,000 rows."""
    return seconds * 1e6 / rows


def _whole(ended: Ended) -> dict[str, float]:
    return {
        "wall_s": ended.wall_s,
        "client_cpu_s": ended.cpu_s,
        "peak_rss_mb": ended.peak_rss_bytes / 1e6,
    }


def _row(connection: psycopg.Connection, query: str, *values: object) -> tuple[Any, ...]:
    row = connection.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return row
