"""Reading kept rows again with this version's reader, without a call: what can be stored now is stored.

A row goes the way of a page: decoded by its source, written by `apply_changes` in a fenced transaction, in the name of
the run and the request that once brought it. What has been written or hidden since then stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from syncd.errors import ContractBreach
from syncd.model import Counts, Installation, Lease
from syncd.sources.base import Stream
from syncd.store.changes import apply_changes
from syncd.store.database import Database, Transaction
from syncd.store.removals import Ref, is_pending
from syncd.store.replay import KeptRow, Settled, list_kept, load_kept, not_outdated, settle
from syncd.store.statements import key_of
from syncd.wire.reply import Reply

# What is written now would no longer count as gone, and would go later without a question.
PENDING = "gone at the source, and waits for a decision or stays by one: `syncd deletes list`"


@dataclass(slots=True)
class Replayed:
    """What a replay came to. `counts` are rows; values are `resolved`, `newly_kept` and `left` by stream and reason.

    `without_row` are values that an older version kept without their rows: they cannot be tried.
    """

    counts: Counts = field(default_factory=Counts)
    resolved: int = 0
    newly_kept: int = 0
    left: Counter[tuple[str, str]] = field(default_factory=Counter)
    without_row: int = 0

    def add(self, stream: str, counts: Counts, settled: Settled) -> None:
        """Add one row."""
        self.counts += counts
        self.resolved += settled.resolved
        self.newly_kept += settled.newly_kept
        self.left.update({(stream, reason): number for reason, number in settled.left.items()})


async def replay(
    database: Database, lease: Lease, installation: Installation, streams: Sequence[Stream], ids: Sequence[int]
) -> Replayed:
    """Try the kept rows of these streams again, or those of these values alone; each row is one transaction.

    Raises LeaseLost, DatabaseError: what was stored before stays.
    """
    by_name = {stream.name: stream for stream in streams}
    refs, without_row = await list_kept(database, installation.name, list(by_name), ids)
    replayed = Replayed(without_row=without_row)
    for ref in refs:
        async with database.begin(lease, ref.run_id, ref.stream) as tx:
            kept = await load_kept(tx, ref.row_ref)
            if kept is not None:
                replayed.add(ref.stream, *await _replay_row(tx, by_name[ref.stream], installation, kept))
    return replayed


async def _replay_row(
    tx: Transaction, stream: Stream, installation: Installation, kept: KeptRow
) -> tuple[Counts, Settled]:
    try:
        page = stream.reread(Reply(str(kept.request_id), 200, {}, kept.raw, kept.saved_at), installation)
    except ContractBreach as error:
        return Counts(), Settled(0, 0, Counter({str(error): 1}))
    if await is_pending(tx, [Ref(one.table.name, key_of(one.table, one.row)) for one in page.changes]):
        return Counts(), Settled(0, 0, Counter({PENDING: 1}))
    current = await not_outdated(tx, page.changes, kept)
    await apply_changes(tx, await not_outdated(tx, page.shared, kept), page.request_id)
    counts = await apply_changes(tx, current, page.request_id)
    counts += Counts(superseded=len(page.changes) - len(current), rejected=len(page.rejected))
    is_outdated = 0 < counts.superseded == len(page.changes)
    return counts, await settle(tx, kept, replace(page, left_out=()) if is_outdated else page)
