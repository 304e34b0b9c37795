"""Which rows a certified walk may hide, and when a person must be asked first (docs/faults.md O4).

What two walks in a row have missed is hidden. The brake holds a set that is suspiciously large, whole, until somebody
accepts or rejects it; it asks as soon as one walk has missed it, for a person is a witness too. Each certified walk
judges the set anew: a row that came back leaves it, one that is newly gone joins it, and it ends when it is empty. It
is never applied by itself because it has become small. Rejected rows stay, and are in nobody's way, for as long as the
source does not list them; one that is listed again is judged like any other should it go once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from syncd.model import Installation, StreamKey
from syncd.sources.base import Stream
from syncd.store.database import Database, Transaction
from syncd.store.removals import (
    Absence,
    Pending,
    Ref,
    end_hold,
    held_since,
    hide,
    load_pending,
    read_absence,
    reject_held,
    save_pending,
    was_empty,
    witnessed_since,
)
from syncd.store.runs import HELD_EXIT_CODE, StreamResult


@dataclass(frozen=True, slots=True)
class Rules:
    """A row is gone when so many `witnesses` in a row have missed it. The brake holds a set of more than `min_rows`
    and more than `max_share` of the stream's rows, or of more than `max_rows`."""

    max_share: float = 0.2
    min_rows: int = 10
    max_rows: int = 500
    witnesses: int = 2


@dataclass(frozen=True, slots=True)
class Decision:
    """The rows to hide now, and those to hold."""

    hide: frozenset[Ref]
    hold: frozenset[Ref]


def decide(rules: Rules, newest: Absence, agreed: Absence, pending: Pending, *, was_empty: bool) -> Decision:
    """Hide what enough walks agree to be gone, or hold all that the newest witness has missed. Stubs need no brake:
    nobody sees them."""
    due = newest.rows - pending.rejected
    if due & pending.held or _is_braked(rules, len(due), newest.live, was_empty=was_empty):
        return Decision(agreed.stubs, due)
    return Decision(agreed.stubs | (agreed.rows - pending.rejected), frozenset())


def _is_braked(rules: Rules, due: int, live: int, *, was_empty: bool) -> bool:
    is_large_share = due > rules.min_rows and due > rules.max_share * live
    return due > 0 and (was_empty or is_large_share or due > rules.max_rows)


@dataclass(frozen=True, slots=True)
class Walked:
    """A complete walk that is in no ledger: when it began, the keys that it met, whether it could testify."""

    began_at: datetime
    keys: frozenset[bytes]
    is_witness: bool


async def remove_absent(tx: Transaction, stream: Stream, installation: Installation, rules: Rules) -> StreamResult:
    """Hide or hold what certified walks no longer meet, in the transaction of the newest certificate; what became of
    the stream."""
    pending = await load_pending(tx)
    newest, agreed = await _absences(tx, stream, installation, rules)
    decision = decide(rules, newest, agreed, pending, was_empty=await was_empty(tx))
    await hide(tx, stream.tables, decision.hide)
    await save_pending(tx, Pending(decision.hold, pending.rejected & newest.rows))
    if decision.hold:
        reason = _explain(len(decision.hold), newest.live, tx.stream)
        return StreamResult(stream.name, "held", reason, exit_code=HELD_EXIT_CODE)
    return StreamResult(stream.name, "certified", removed=len(decision.hide - agreed.stubs))


async def foresee_removal(
    tx: Transaction, stream: Stream, installation: Installation, rules: Rules, walked: Walked
) -> StreamResult:
    """What `remove_absent` would make of the stream, were this walk certified now; reads only."""
    newest, agreed = await _absences(tx, stream, installation, rules, walked)
    decision = decide(rules, newest, agreed, await load_pending(tx), was_empty=not walked.keys)
    if decision.hold:
        reason = f"{len(decision.hold):,} of {newest.live:,} rows are gone at the source and would be held"
        return StreamResult(stream.name, "held", reason, exit_code=HELD_EXIT_CODE)
    return StreamResult(stream.name, "certified", removed=len(decision.hide - agreed.stubs))


async def _absences(
    tx: Transaction, stream: Stream, installation: Installation, rules: Rules, walked: Walked | None = None
) -> tuple[Absence, Absence]:
    """What the newest witness has missed, and what enough of them in a row have; `walked` counts as the newest."""

    async def missed_by(witnesses: int) -> Absence:
        if walked is None:
            since = await witnessed_since(tx, witnesses)
            return await read_absence(tx, stream.tables, installation.account, since)
        since = walked.began_at
        if witnesses > walked.is_witness:
            since = await witnessed_since(tx, witnesses - walked.is_witness)
        return await read_absence(tx, stream.tables, installation.account, since, walked.keys)

    newest = await missed_by(1)
    is_settled = rules.witnesses == 1 or not (newest.rows or newest.stubs)
    return newest, newest if is_settled else await missed_by(rules.witnesses)


def _explain(held: int, live: int, stream: StreamKey) -> str:
    return (
        f"{held:,} of {live:,} rows are gone at the source and are held until "
        f"`syncd deletes accept {stream.installation} --stream {stream.stream}`, or `reject`"
    )


async def accept(
    database: Database, installation: Installation, stream: Stream, *, rejected: bool, shown: datetime | None = None
) -> int:
    """Hide what is held on the stream now, with `rejected` also what was rejected before, and say how much that was.

    `shown`: nobody has been asked about what is held since then, and it stays held. A row that a walk has met since it
    was held is left alone.
    """
    async with database.between_pages(StreamKey(installation.name, stream.name)) as tx:
        pending = await load_pending(tx)
        absence = await read_absence(tx, stream.tables, installation.account, await held_since(tx))
        asked = await load_pending(tx, until=shown)
        accepted = absence.rows & (asked.held | asked.rejected if rejected else asked.held)
        later = pending.held - asked.held
        await hide(tx, stream.tables, accepted)
        await save_pending(tx, Pending(later, (pending.rejected & absence.rows) - accepted))
        if not later:
            await end_hold(tx)
    return len(accepted)


async def reject(database: Database, installation: Installation, stream: Stream) -> int:
    """Let what is held on the stream stay, and say how much that was."""
    async with database.between_pages(StreamKey(installation.name, stream.name)) as tx:
        rejected = await reject_held(tx)
        await end_hold(tx)
    return rejected
