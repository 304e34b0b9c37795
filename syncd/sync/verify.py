"""Proof that the warehouse equals the API: each listing is walked again, and each row compared with what is stored.

What is compared is what a sync writes: every column of a row, its hash, and all that belongs to it (private data,
hosts, markers, sign-ups, links, unmapped fields), and of entities that rows merely repeat the same. Behind a complete
walk it is also told which live rows the walk has not met. Observed times, closed spells and versions are our own:
the API cannot testify to them. Values that were quarantined are told; a row that could not be read at all is a
difference, for the warehouse does not have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial

from structlog.contextvars import bound_contextvars

from syncd.errors import SyncdError
from syncd.model import Counts, Page
from syncd.sources.base import Stream
from syncd.store.comparison import Difference, compare_changes, find_extra, last_certified_at
from syncd.store.database import Database
from syncd.store.removals import Ref
from syncd.store.runs import StreamResult
from syncd.sync.installation import try_stream
from syncd.sync.look import from_the_first_page, looked_up, looking
from syncd.sync.outcome import worst
from syncd.sync.round import Connect, Order, Watch
from syncd.sync.run import AccountApi, Progress, Run
from syncd.wire.position import Start

DIFFERS = 6
# More differing rows than these are counted, not named.
MOST_DIFFERENCES = 20


@dataclass(frozen=True, slots=True)
class Proof:
    """What a walk of one stream showed.

    `status` is equal, differs, failed or skipped. `extra` None: it cannot be told, for the walk was no complete one.
    """

    stream: str
    status: str
    reason: str | None = None
    pages: int = 0
    requests: int = 0
    rows: int = 0  # different ones at the API, those that could not be read left out
    here: int = 0  # live rows stored
    missing: int = 0
    extra: int | None = None
    different: int = 0
    newer: int = 0  # of these: changed at the source since the last certificate
    rejected: int = 0
    quarantined_values: int = 0
    differences: tuple[Difference, ...] = ()  # the first few of each kind
    failure: StreamResult | None = None

    @property
    def exit_code(self) -> int:
        """As a command would end for this stream alone."""
        if self.failure is not None:
            return 0 if self.status == "skipped" else self.failure.exit_code or 1
        return DIFFERS if self.status == "differs" else 0


@dataclass(slots=True)
class Met:
    """What one walk has met so far."""

    rows: set[Ref] = field(default_factory=set)
    differences: dict[Ref, Difference] = field(default_factory=dict)
    pages: int = 0
    served: int = 0
    rejected: int = 0
    bad_values: int = 0

    def enter(self, page: Page, compared: dict[Ref, Difference | None], refs: set[Ref]) -> None:
        """Add one more page; of a row that is met again the last sight counts."""
        self.pages += 1
        self.served += len(refs)
        self.rejected += len(page.rejected)
        self.bad_values += len(page.bad_values)
        self.rows |= refs
        for ref, difference in compared.items():
            self.differences.pop(ref, None)
            if difference is not None:
                self.differences[ref] = difference


async def verify_installation(
    order: Order, database: Database, connect: Connect, watch: Watch, *, sample: int | None = None
) -> list[Proof]:
    """Compare the streams with the API, in their order; with `sample` so many rows of each paged stream, or a few more.

    Nothing is written but the request record, and a renewed token. Raises what `run_round` raises before its first
    call, LeaseLost, DatabaseError.
    """
    proofs: list[Proof] = []
    refusal: SyncdError | None = None
    if sample is not None:
        order = replace(order, page_size=min(order.page_size, sample))
    async with looking(order, database, connect, watch) as (run, api):
        for stream in order.streams:
            with bound_contextvars(stream=stream.name):
                proof, refusal = await _prove(stream, api, run, sample, refusal)
                proofs.append(proof)
    return proofs


def exit_code(proofs: Sequence[Proof]) -> int:
    """The exit code of an installation: a failure before a difference, for it leaves the question open."""
    return worst(proof.exit_code for proof in proofs)


async def _prove(
    stream: Stream, api: AccountApi, run: Run, sample: int | None, refusal: SyncdError | None
) -> tuple[Proof, SyncdError | None]:
    made_before = run.requests.made
    proofs: list[Proof] = []

    async def walk(start: Start) -> StreamResult:
        proofs.append(await _compare(stream, api, run, start, sample))
        return StreamResult(stream.name, proofs[-1].status)

    work = partial(from_the_first_page, run, stream, api, walk)
    result, refusal = await try_stream(stream, run.installation, refusal, work)
    proof = proofs[-1] if proofs else _unproven(result)
    return replace(proof, requests=run.requests.made - made_before), refusal


def _unproven(result: StreamResult) -> Proof:
    """A walk that broke off shows nothing, whatever it had met."""
    status = "skipped" if result.status == "skipped" else "failed"
    return Proof(result.stream, status, result.reason, failure=result)


async def _compare(stream: Stream, api: AccountApi, run: Run, start: Start, sample: int | None) -> Proof:
    met, is_whole = Met(), False
    async with aclosing(looked_up(stream, api, run, start, ahead=sample is None)) as pages:
        async for page in pages:
            async with run.database.begin_read(run.lease, stream.name) as tx:
                certified_at = await last_certified_at(tx)
                shared = await compare_changes(tx, page.shared, certified_at)
                compared = await compare_changes(tx, page.changes, certified_at)
            met.enter(page, shared | compared, set(compared))
            run.note(Progress(run.installation.name, stream.name, met.pages, len(compared), _counts(compared)))
            is_whole = page.resume_at is None
            if sample is not None and len(met.rows) >= sample:
                break
    if not is_whole and sample is None:
        return _unproven(StreamResult(stream.name, "incomplete", "the listing ended before its last page"))
    async with run.database.begin_read(run.lease, stream.name) as tx:
        here, extra = await find_extra(tx, stream.tables, run.installation.account, met.rows)
    return _conclude(stream, met, here, extra if is_whole else None)


def _counts(compared: dict[Ref, Difference | None]) -> Counts:
    """A page in the words of a sync: what is missing would be inserted, what is different updated."""
    kinds = Counter(each.kind for each in compared.values() if each is not None)
    unchanged = len(compared) - kinds.total()
    return Counts(inserted=kinds["missing"], updated=kinds["different"], unchanged=unchanged)


def _conclude(stream: Stream, met: Met, here: int, extra: list[Difference] | None) -> Proof:
    differences = [*met.differences.values(), *(extra or ())]
    kinds = Counter(each.kind for each in differences)
    return Proof(
        stream.name,
        "differs" if differences or met.rejected else "equal",
        _reservation(met, extra),
        pages=met.pages,
        rows=len(met.rows),
        here=here if stream.tables else len(met.rows) - kinds["missing"],
        missing=kinds["missing"],
        extra=None if extra is None else len(extra),
        different=kinds["different"],
        newer=sum(each.cause == "newer" for each in differences),
        rejected=met.rejected,
        quarantined_values=met.bad_values,
        differences=_first_few(differences),
    )


def _reservation(met: Met, extra: list[Difference] | None) -> str | None:
    """What must be known to read the counts rightly."""
    if extra is None:
        return "a sample: rows that are here and no longer at the API cannot be told"
    if extra and met.rejected:
        return f"{met.rejected:,} rows could not be read; what looks extra may be among them"
    if extra and met.served > len(met.rows):
        return "the listing shifted while it was read; what looks extra may have been skipped"
    return None


def _first_few(differences: Sequence[Difference]) -> tuple[Difference, ...]:
    """Some of each kind, those that a sync would not explain first."""
    kept: list[Difference] = []
    for kind in ("missing", "extra", "different"):
        of_kind = [each for each in differences if each.kind == kind]
        kept += sorted(of_kind, key=lambda each: each.cause == "newer")[:MOST_DIFFERENCES]
    return tuple(kept)
