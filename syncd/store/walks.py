"""Walks: opened or resumed, kept page by page in the ledger, and closed by a certificate or abandoned.

Every function here works inside a fenced transaction that the caller has begun.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from syncd.model import Counts, Page
from syncd.store.changes import key_hashes
from syncd.store.database import Transaction, gone_back
from syncd.wire.position import (
    NOT_THE_CURSORS,
    NOTHING_SHOWN,
    CursorAt,
    Position,
    Readings,
    Start,
    decode,
    encode,
    usable,
)

_HASH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Walk:
    """One way through a listing. `page_number` is the last page stored, 0 before the first."""

    walk_id: UUID
    generation: int
    page_number: int
    position: Position

    def turned(self, position: Position) -> Walk:
        """The walk after one more page."""
        return replace(self, page_number=self.page_number + 1, position=position)


async def open_walk(tx: Transaction, *, grant: str) -> Walk:
    """Resume the stream's open walk where its last page left it, or begin one at the first page."""
    position = usable(await load_position(tx), now=tx.now, grant=grant)
    walk = await find_open_walk(tx, position)
    if walk and walk.page_number == 0:
        await tx.cursor.execute(
            "UPDATE syncd.walks SET started_at = %s, run_id = %s WHERE walk_id = %s", [tx.now, tx.run_id, walk.walk_id]
        )
        return walk
    if walk and isinstance(position, CursorAt):
        return walk
    if walk:
        await abandon_walk(tx, walk, "its position is too old or was issued to another grant")
    return await begin_walk(tx, position, generation=walk.generation + 1 if walk else 1)


async def begin_walk(tx: Transaction, position: Position, *, generation: int) -> Walk:
    """Begin a walk at the first page; the stream must have no open one."""
    start = position if isinstance(position, Start) else Start(limit=position.limit)
    walk = Walk(uuid4(), generation, 0, start)
    await tx.cursor.execute(
        """INSERT INTO syncd.walks (walk_id, installation, stream, generation, outcome, run_id, started_at)
           VALUES (%s, %s, %s, %s, 'open', %s, %s)""",
        [walk.walk_id, *tx.stream, generation, tx.run_id, tx.now],
    )
    await save_position(tx, start)
    return walk


async def abandon_walk(tx: Transaction, walk: Walk, reason: str) -> None:
    """Close a walk without a certificate; its rows stay."""
    await tx.cursor.execute(
        "UPDATE syncd.walks SET outcome = 'abandoned', reason = %s, ended_at = %s WHERE walk_id = %s",
        [reason, tx.now, walk.walk_id],
    )


async def abandon_open_walk(tx: Transaction, reason: str, *, keeps_limit: bool = False) -> None:
    """Forget where the stream stands, so that its next walk begins at the first page, of the same size if asked."""
    await tx.cursor.execute(
        """UPDATE syncd.walks SET outcome = 'abandoned', reason = %s, ended_at = %s
           WHERE installation = %s AND stream = %s AND outcome = 'open'""",
        [reason, tx.now, *tx.stream],
    )
    await save_position(tx, Start(limit=(await load_position(tx)).limit if keeps_limit else None))


async def give_up_if_it_stands(tx: Transaction, endpoint: str, reason: str) -> None:
    """Forget where the stream stands if this endpoint, which has failed now, is its listing, and the page behind its
    cursor has failed a round an hour ago already, with a whole reply: what the server fails over may be the cursor,
    whatever word it has for it (contracts/revento.md G4)."""
    position = await load_position(tx)
    if not isinstance(position, CursorAt) or position.query != endpoint:
        return
    await tx.cursor.execute(_FAILED_BEFORE, [*tx.stream, tx.now, position.query, list(NOT_THE_CURSORS)])
    if await tx.cursor.fetchone() is not None:
        await abandon_open_walk(tx, reason, keeps_limit=True)


_FAILED_BEFORE = """
    SELECT FROM syncd.positions
    JOIN syncd.runs USING (installation) JOIN syncd.run_streams AS failed USING (run_id, stream)
    JOIN syncd.requests AS request ON request.request_id = failed.request_id
    WHERE positions.installation = %s AND stream = %s AND failed.status = 'failed'
      AND failed.ended_at > saved_at AND failed.ended_at <= %s - interval '1 hour'
      AND request.endpoint = %s AND request.status <> ALL (%s) AND (request.status >= 400 OR request.error_code IS NULL)
"""


async def load_position(tx: Transaction) -> Position:
    """Where the stream goes on; `Start` when nothing is stored."""
    await tx.cursor.execute("SELECT position FROM syncd.positions WHERE installation = %s AND stream = %s", tx.stream)
    row = await tx.cursor.fetchone()
    return decode(row[0]) if row else Start()


async def save_position(tx: Transaction, position: Position) -> None:
    """Where the stream goes on once this transaction has committed."""
    await tx.cursor.execute(
        """INSERT INTO syncd.positions (installation, stream, position, saved_at) VALUES (%s, %s, %s, %s)
           ON CONFLICT (installation, stream)
           DO UPDATE SET position = EXCLUDED.position, saved_at = EXCLUDED.saved_at""",
        [*tx.stream, encode(position), tx.now],
    )


async def note_readings(tx: Transaction, seen: Readings) -> None:
    """Remember what the API was seen to do with a cursor; what was not seen stays as it is."""
    if seen == NOTHING_SHOWN:
        return
    await tx.cursor.execute(
        """UPDATE syncd.installations SET cursor_survives_refresh = coalesce(%s, cursor_survives_refresh),
               cursor_survives_limit = coalesce(%s, cursor_survives_limit) WHERE name = %s""",
        [seen.survives_refresh, seen.survives_limit, tx.stream.installation],
    )


async def restarts_of_run(tx: Transaction) -> int:
    """How often this run has begun the stream anew because the API refused its cursor."""
    await tx.cursor.execute(
        """SELECT count(*) FROM syncd.walks WHERE installation = %s AND stream = %s AND run_id = %s
           AND generation > 1""",
        [*tx.stream, tx.run_id],
    )
    (count,) = await tx.cursor.fetchone() or (0,)
    return int(count)


async def last_walk_s(tx: Transaction) -> float:
    """How long the stream's last complete walk took; 0.0 while there is none."""
    await tx.cursor.execute(
        """SELECT extract(epoch FROM ended_at - started_at) FROM syncd.walks
           WHERE installation = %s AND stream = %s AND outcome = 'certified' ORDER BY ended_at DESC LIMIT 1""",
        tx.stream,
    )
    row = await tx.cursor.fetchone()
    return float(row[0]) if row else 0.0


async def record_page(tx: Transaction, walk: Walk, page: Page, counts: Counts) -> None:
    """Enter the page into the ledger, behind the walk's last one. The database refuses books that do not balance.

    Raises DatabaseError where the ledger ends before: a failover has lost a page, and its rows with it.
    """
    await tx.cursor.execute(
        """INSERT INTO syncd.walk_pages (walk_id, page_number, request_id, run_id, seen, inserted, updated, unchanged,
               superseded, rejected, quarantined_values, reverted, page_limit, key_hashes, committed_at)
           SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
           WHERE %s <= (SELECT coalesce(max(page_number), 0) FROM syncd.walk_pages WHERE walk_id = %s)""",
        [
            walk.walk_id,
            walk.page_number + 1,
            page.request_id,
            tx.run_id,
            len(page.changes) + len(page.rejected),
            counts.inserted,
            counts.updated,
            counts.unchanged,
            counts.superseded,
            counts.rejected,
            counts.quarantined_values,
            counts.reverted,
            page.limit,
            key_hashes(page.changes),
            tx.now,
            walk.page_number,
            walk.walk_id,
        ],
    )
    if not tx.cursor.rowcount:
        raise gone_back()
    await tx.cursor.execute("UPDATE syncd.runs SET heartbeat_at = %s WHERE run_id = %s", [tx.now, tx.run_id])


async def may_grow(tx: Transaction, request_id: UUID) -> bool:
    """Whether no page of that request's listing was too large for a whole day.

    A larger one is tried no more often than that: a walk that has to shrink is no witness to absence.
    """
    await tx.cursor.execute(_TOO_LARGE, [request_id, tx.now])
    return await tx.cursor.fetchone() is None


_TOO_LARGE = """
    SELECT FROM syncd.requests AS served JOIN syncd.requests AS refused USING (installation, endpoint)
    WHERE served.request_id = %s AND refused.status = 413 AND refused.sent_at > %s - interval '1 day' LIMIT 1
"""


async def certify(tx: Transaction, walk: Walk, *, limit: int | None) -> bool:
    """Close a complete walk with its certificate, in the transaction of its last page. Only this turns a stream green.

    `limit` is the page size that the next walk should begin with, None for the configured one. False: of all rows that
    were served none could be read, and there is nothing to certify.
    """
    distinct = await _count_distinct(tx, walk)
    await tx.cursor.execute(_CERTIFY, {"now": tx.now, "distinct": distinct, "walk_id": walk.walk_id})
    if not tx.cursor.rowcount:
        return False
    await tx.cursor.execute(_TURN_GREEN, [walk.walk_id, *tx.stream])
    await save_position(tx, Start(limit=limit))
    return True


# A walk is a witness to absence when it can have overlooked nothing (docs/faults.md O4). All pages of a walk were asked
# for under one grant: `open_walk` sees to that. Beyond it,
# - it was not restarted: a server that has just refused its own cursor is not taken at its word;
# - it kept one page size: a smaller one is another query, and a cursor that counts pages would skip rows;
# - no row was rejected: nobody knows which one that was;
# - no later page repeated a row: the listing shifted meanwhile, and what was repeated here was skipped elsewhere.
_CERTIFY = """
    UPDATE syncd.walks AS walk
    SET outcome = 'certified', ended_at = %(now)s, pages = ledger.pages, rows = ledger.rows,
        distinct_keys = %(distinct)s, duplicates = ledger.rows - ledger.rejected - %(distinct)s,
        rejected = ledger.rejected,
        is_witness = walk.generation = 1 AND ledger.page_limits <= 1 AND ledger.rejected = 0
            AND (ledger.pages = 1 OR ledger.rows = %(distinct)s),
        first_request_id = ledger.request_ids[1], last_request_id = ledger.request_ids[ledger.pages]
    FROM (SELECT walk_id, count(*) AS pages, sum(seen) AS rows, sum(rejected) AS rejected,
              count(DISTINCT page_limit) AS page_limits, array_agg(request_id ORDER BY page_number) AS request_ids
          FROM syncd.walk_pages WHERE walk_id = %(walk_id)s GROUP BY walk_id) AS ledger
    WHERE walk.walk_id = ledger.walk_id AND (ledger.rows = 0 OR ledger.rejected < ledger.rows)
"""
_TURN_GREEN = """
    UPDATE syncd.stream_status AS status
    SET last_certified_at = walk.started_at, last_walk_id = walk.walk_id
    FROM syncd.walks AS walk
    WHERE walk.walk_id = %s AND status.installation = %s AND status.stream = %s
"""


async def _count_distinct(tx: Transaction, walk: Walk) -> int:
    await tx.cursor.execute("SELECT key_hashes FROM syncd.walk_pages WHERE walk_id = %s", [walk.walk_id])
    return len({key for (hashes,) in await tx.cursor.fetchall() for key in split(hashes)})


def split(hashes: bytes) -> Iterator[bytes]:
    """What `key_hashes` joined."""
    return (hashes[start : start + _HASH_BYTES] for start in range(0, len(hashes), _HASH_BYTES))


async def find_open_walk(tx: Transaction, position: Position) -> Walk | None:
    """The stream's open walk, which stands at this position."""
    await tx.cursor.execute(
        """SELECT walk_id, generation,
                  coalesce((SELECT max(page_number) FROM syncd.walk_pages AS page WHERE page.walk_id = walk.walk_id), 0)
           FROM syncd.walks AS walk WHERE installation = %s AND stream = %s AND outcome = 'open'""",
        tx.stream,
    )
    row = await tx.cursor.fetchone()
    return None if row is None else Walk(row[0], row[1], row[2], position)
