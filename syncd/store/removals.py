"""Rows that walks no longer meet: absence as the ledger tells it, rows that are hidden, rows that wait for a person.

A row is *gone* when nothing has been seen of it since the last few witnesses (`walks.is_witness`) began: no page of
any walk since then, broken walks included, has served its key, and nothing has written it. So absence is read from
the ledger, which each page commits together with its rows: no row is touched to remember it, a restart forgets
nothing, and where pages of a witness have been cleared away it testifies to nothing.

To hide a row is to set `_syncd_deleted_at` and to delete its personal data and unmapped fields. All else that belongs
to it (hosts, links, spells on its list) stays as it was last seen: it is reached through the row, which views hide,
and should the row come back its history is whole. Stubs are hidden by the same rule. Entities that rows merely repeat
(the markers of activities) have no listing that could miss them: they stay, and their links go with the rows' content.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import MetaData, Table, func, select, text

from syncd.store.changes import key_hash
from syncd.store.database import Database, Transaction
from syncd.store.quarantine import forget_rows
from syncd.store.statements import delete_personal, hide_entities, read_live
from syncd.store.walks import split

MOST_KEYS = 20


class Ref(NamedTuple):
    """A row of one of a stream's tables."""

    entity: str
    key: str


@dataclass(frozen=True, slots=True)
class Absence:
    """What a stream's walks no longer meet. `live` counts what is shown: no stub, nothing hidden."""

    live: int
    rows: frozenset[Ref]
    stubs: frozenset[Ref]


@dataclass(frozen=True, slots=True)
class Pending:
    """Rows of a stream that wait for a person's decision, and rows that shall stay by one."""

    held: frozenset[Ref]
    rejected: frozenset[Ref]


# --- absence ----------------------------------------------------------------------------------------------------------


async def witnessed_since(tx: Transaction, witnesses: int) -> datetime | None:
    """When the last so many witnesses began; None while there are fewer whose ledger is whole."""
    await tx.cursor.execute(_WITNESSED_SINCE, [*tx.stream, witnesses - 1])
    row = await tx.cursor.fetchone()
    return row[0] if row else None


_WITNESSED_SINCE = """
    SELECT started_at FROM syncd.walks AS walk
    WHERE installation = %s AND stream = %s AND outcome = 'certified' AND is_witness
      AND pages = (SELECT count(*) FROM syncd.walk_pages AS page WHERE page.walk_id = walk.walk_id)
    ORDER BY started_at DESC OFFSET %s LIMIT 1
"""


async def read_absence(
    tx: Transaction,
    tables: Iterable[Table],
    account: str,
    since: datetime | None,
    walked: frozenset[bytes] = frozenset(),
) -> Absence:
    """What of these tables nothing has been seen of since then; nothing at all for None.

    `walked` are the keys that a walk outside the ledger has met: they count as live.
    """
    met = await _met(tx, since) | walked
    live = len(walked)
    rows: set[Ref] = set()
    stubs: set[Ref] = set()
    for table in tables:
        await tx.cursor.execute(read_live(table), [since, account])
        for key, is_stub, is_older in await tx.cursor.fetchall():
            hashed = key_hash(table, key)
            live += not is_stub and hashed not in walked
            if is_older and hashed not in met:
                (stubs if is_stub else rows).add(Ref(table.name, key))
    return Absence(live, frozenset(rows), frozenset(stubs))


async def _met(tx: Transaction, since: datetime | None) -> set[bytes]:
    await tx.cursor.execute(
        """SELECT key_hashes FROM syncd.walk_pages JOIN syncd.walks USING (walk_id)
           WHERE installation = %s AND stream = %s AND committed_at >= %s::timestamptz""",
        [*tx.stream, since],
    )
    return {key for (hashes,) in await tx.cursor.fetchall() for key in split(hashes)}


async def was_empty(tx: Transaction) -> bool:
    """Whether the newest certified walk met no row at all."""
    await tx.cursor.execute(
        """SELECT distinct_keys = 0 FROM syncd.walks WHERE installation = %s AND stream = %s AND outcome = 'certified'
           ORDER BY started_at DESC LIMIT 1""",
        tx.stream,
    )
    row = await tx.cursor.fetchone()
    return bool(row and row[0])


# --- hiding -----------------------------------------------------------------------------------------------------------


async def hide(tx: Transaction, tables: Iterable[Table], refs: Collection[Ref]) -> None:
    """Hide these rows, and delete what is personal of them."""
    for table in tables:
        keys = sorted(ref.key for ref in refs if ref.entity == table.name)
        if keys:
            await tx.cursor.execute(hide_entities(table), [tx.now, tx.now, keys])
            for statement in delete_personal(table):
                await tx.cursor.execute(statement, [keys])
            await forget_rows(tx, keys)


# --- what waits for a person ------------------------------------------------------------------------------------------


async def load_pending(tx: Transaction, until: datetime | None = None) -> Pending:
    """What waits for a decision on the stream, and what has been rejected; of what was held by `until`, if given."""
    await tx.cursor.execute(
        """SELECT entity, entity_key, rejected_at IS NOT NULL FROM syncd.pending_removals
           WHERE installation = %s AND stream = %s AND (held_at <= %s::timestamptz) IS NOT FALSE""",
        [*tx.stream, until],
    )
    rows = [(Ref(entity, key), is_rejected) for entity, key, is_rejected in await tx.cursor.fetchall()]
    return Pending(*(frozenset(ref for ref, is_rejected in rows if is_rejected is which) for which in (False, True)))


async def is_pending(tx: Transaction, refs: Collection[Ref]) -> bool:
    """Whether any of these rows waits for a person's decision, or stays by one."""
    await tx.cursor.execute(_IS_PENDING, [*tx.stream, *_arrays(refs)])
    return await tx.cursor.fetchone() is not None


_IS_PENDING = """
    SELECT FROM syncd.pending_removals WHERE installation = %s AND stream = %s
      AND (entity, entity_key) IN (SELECT * FROM unnest(%s::text[], %s::text[])) LIMIT 1
"""


async def save_pending(tx: Transaction, pending: Pending) -> None:
    """Let these rows wait, or stay rejected, and no others; what was so already is not touched."""
    arrays = _arrays(pending.held | pending.rejected)
    await tx.cursor.execute(_FORGET_OTHERS, [*tx.stream, *arrays])
    await tx.cursor.execute(_HOLD, [tx.now, *tx.stream, *_arrays(pending.held)])


_FORGET_OTHERS = """
    DELETE FROM syncd.pending_removals WHERE installation = %s AND stream = %s
      AND (entity, entity_key) NOT IN (SELECT * FROM unnest(%s::text[], %s::text[]))
"""
_HOLD = """
    INSERT INTO syncd.pending_removals (installation, stream, held_at, walk_id, entity, entity_key)
    SELECT walk.installation, walk.stream, %s, walk.walk_id, gone.*
    FROM (SELECT * FROM syncd.walks WHERE installation = %s AND stream = %s AND outcome = 'certified'
          ORDER BY started_at DESC LIMIT 1) AS walk, unnest(%s::text[], %s::text[]) AS gone
    ON CONFLICT DO NOTHING
"""


def _arrays(refs: Iterable[Ref]) -> tuple[list[str], list[str]]:
    ordered = sorted(refs)
    return [ref.entity for ref in ordered], [ref.key for ref in ordered]


async def held_since(tx: Transaction) -> datetime | None:
    """When the stream's set last grew. Every certificate judges it anew, so all that was seen before is in it."""
    await tx.cursor.execute(
        "SELECT max(held_at) FROM syncd.pending_removals WHERE installation = %s AND stream = %s", tx.stream
    )
    row = await tx.cursor.fetchone()
    return row[0] if row else None


async def reject_held(tx: Transaction) -> int:
    """Let all that is held on the stream stay, and say how much that is."""
    await tx.cursor.execute(
        """UPDATE syncd.pending_removals SET rejected_at = %s
           WHERE installation = %s AND stream = %s AND rejected_at IS NULL""",
        [tx.now, *tx.stream],
    )
    return tx.cursor.rowcount


async def end_hold(tx: Transaction) -> None:
    """Nothing waits for a decision on the stream any more."""
    await tx.cursor.execute(
        """UPDATE syncd.stream_status SET status = 'certified', reason = NULL
           WHERE installation = %s AND stream = %s AND status = 'held'""",
        tx.stream,
    )


# --- what people ask --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PendingReport:
    """The pending rows of one table: how many wait, how many were rejected, of how many that are shown."""

    installation: str
    stream: str
    table: str
    held: int
    rejected: int
    live: int
    since: datetime
    latest: datetime  # when the newest of them was held
    walk_ids: tuple[UUID, ...]
    keys: tuple[str, ...]  # the first few; those that wait come first


async def report_pending(
    database: Database, sources: Mapping[str, MetaData], names: Sequence[str] = ()
) -> list[PendingReport]:
    """What is pending on the installations of these names, or on all. `sources` has the tables of each source."""
    async with database.control() as control:
        rows = list(await control.execute(_PENDING, {"names": list(names), "most": MOST_KEYS}))
        reports = []
        for installation, source, account, stream, entity, held, rejected, since, latest, walk_ids, keys in rows:
            table = sources[source].tables[f"{sources[source].schema}.{entity}"]
            live = await control.scalar(_count_live(table, account)) or 0
            where = (installation, stream, str(table))
            reports.append(PendingReport(*where, held, rejected, live, since, latest, tuple(walk_ids), tuple(keys)))
        return reports


def _count_live(table: Table, account: str) -> Any:
    is_live = table.c["_syncd_deleted_at"].is_(None) & table.c["_syncd_is_stub"].is_(False)
    return select(func.count()).select_from(table).where(table.c[table.info["key"][0]] == account, is_live)


_PENDING = text("""
    SELECT installation, source, account, stream, entity, count(*) FILTER (WHERE rejected_at IS NULL),
           count(rejected_at), min(held_at), max(held_at), array_agg(DISTINCT walk_id),
           (array_agg(entity_key ORDER BY rejected_at IS NOT NULL, entity_key))[1:CAST(:most AS integer)]
    FROM syncd.pending_removals JOIN syncd.installations ON name = installation
    WHERE cardinality(CAST(:names AS text[])) = 0 OR installation = ANY (:names)
    GROUP BY installation, source, account, stream, entity ORDER BY installation, stream, entity
""")
