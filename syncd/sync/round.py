"""One round: take the lease, take up or begin the run, walk the streams, write down how it ended."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from structlog.contextvars import bound_contextvars

from syncd.errors import DatabaseError, LeaseHeld, LeaseLost, NeedsAuthorization, Paused, RunCancelled, SyncdError
from syncd.logs import get_logger
from syncd.model import Installation
from syncd.sources.base import Stream
from syncd.store.database import Database
from syncd.store.installations import find_installation
from syncd.store.leases import Claim, Holder, claim, holder, kept
from syncd.store.requests import PendingRequests, store_requests
from syncd.store.runs import StreamResult, end_run, note_failure, open_run, stream_results
from syncd.store.steering import is_cancel_requested
from syncd.store.walks import abandon_open_walk
from syncd.sync.installation import sync_installation
from syncd.sync.outcome import exit_code, state
from syncd.sync.removals import Rules
from syncd.sync.run import AccountApi, GivingWay, Progress, Run

ASK_AGAIN_S = 0.5
LOOK_FOR_CANCEL_EVERY_S = 2.0
# A round that is told to stop, or whose database is gone, does not wait longer than this for its books.
BREAK_OFF_S = 5.0

log = get_logger(__name__)

Connect = Callable[[Run, Claim], AbstractAsyncContextManager[AccountApi]]


@dataclass(frozen=True, slots=True)
class Order:
    """What a round shall do. `fresh` begins every walk at its first page and takes up no round that was cut off."""

    installation: Installation
    streams: tuple[Stream, ...]
    trigger: str
    owner: str
    page_size: int
    wait: bool = True
    fresh: bool = False
    removals: Rules = field(default_factory=Rules)

    @property
    def resumes(self) -> bool:
        """Whether a round that was cut off is taken up. What is due, or not certified, is in the tables anyway."""
        return not self.fresh and self.trigger not in ("schedule", "retry")


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told of what while a round runs, and to whom it gives way."""

    page: Callable[[Progress], None] = lambda _: None
    waiting: Callable[[Installation, Holder], None] = lambda _, __: None
    giving_way: GivingWay = nullcontext


@dataclass(frozen=True, slots=True)
class RoundResult:
    """How a round ended."""

    installation: str
    run_id: UUID | None
    exit_code: int
    state: str
    streams: Sequence[StreamResult]


async def run_round(order: Order, database: Database, connect: Connect, watch: Watch) -> RoundResult:
    """Run one round under the installation's lease.

    Raises LeaseHeld when another driver has it and the order does not wait, NeedsAuthorization while the installation
    waits for a new consent, LeaseLost, DatabaseError.
    """
    with bound_contextvars(installation=order.installation.name):
        claimed = await take_lease(order, database, watch)
        async with kept(database, claimed.lease):
            installation = await _as_it_stands(order, database)
            opened = await open_run(
                database,
                claimed.lease,
                order.trigger,
                installation.grant_id,
                [stream.name for stream in order.streams],
                resume=order.resumes,
            )
            with bound_contextvars(run_id=str(opened.run_id)):
                run = Run(
                    opened.run_id,
                    installation,
                    claimed.lease,
                    database,
                    PendingRequests(),
                    order.page_size,
                    watch.page,
                    order.removals,
                    watch.giving_way,
                )
                work = _run(order, run, claimed, connect, opened.certified)
                return await _unless_cancelled(work, run, order)


async def _unless_cancelled(work: Coroutine[Any, Any, RoundResult], run: Run, order: Order) -> RoundResult:
    """The result of the round, which is cut off as soon as somebody asks for its end. Raises RunCancelled then.

    A page is one transaction, so it may be cut off anywhere, waits for the budget included.
    """
    working, looking = asyncio.create_task(work), asyncio.create_task(_until_cancel_is_requested(run))
    try:
        await asyncio.wait([working, looking], return_when=asyncio.FIRST_COMPLETED)
    finally:
        looking.cancel()
        working.cancel()
        await asyncio.wait([working, looking])
    if not working.cancelled():
        return working.result()
    await end_run(run.database, run.lease, run.run_id, "cancelled", RunCancelled.exit_code)
    names = [stream.name for stream in order.streams]
    await note_failure(run.database, run.lease, run.run_id, names, "the run was cancelled")
    cancelled = RunCancelled(
        f"the run {run.run_id} of {run.installation.name} was cancelled", hint="what it had copied stays"
    )
    done = await stream_results(run.database, run.run_id)
    cancelled.result = RoundResult(run.installation.name, run.run_id, cancelled.exit_code, "cancelled", done)
    raise cancelled


async def _until_cancel_is_requested(run: Run) -> None:
    while True:
        await asyncio.sleep(LOOK_FOR_CANCEL_EVERY_S)
        try:
            if await is_cancel_requested(run.database, run.run_id):
                return
        except DatabaseError as error:  # the round meets it too, and that one counts
            log.warning("cancel_not_looked_for", reason=str(error))


async def _run(
    order: Order, run: Run, claimed: Claim, connect: Connect, certified: Sequence[StreamResult]
) -> RoundResult:
    ordered = {stream.name for stream in order.streams}
    certified = [result for result in certified if result.stream in ordered]
    done = {result.stream for result in certified}
    streams = [stream for stream in order.streams if stream.name not in done]
    log.info("round_started", trigger=order.trigger, resumed_streams=len(certified))
    try:
        if order.fresh:
            await _forget_positions(streams, run)
        async with connect(run, claimed) as api:
            results = [*certified, *await sync_installation(streams, api, run)]
    except BaseException as error:
        await asyncio.shield(_break_off(run, streams, error))
        raise
    code = exit_code(results)
    await _close(run, state(code), code)
    tell = log.warning if code else log.info
    tell("round_ended", state=state(code), exit_code=code)
    return RoundResult(order.installation.name, run.run_id, code, state(code), results)


async def _close(run: Run, run_state: str, code: int) -> None:
    await store_requests(run.database, run.installation.name, run.run_id, run.requests)
    await end_run(run.database, run.lease, run.run_id, run_state, code)


async def _break_off(run: Run, streams: Sequence[Stream], error: BaseException) -> None:
    """Write down what can be written down, without hiding why the round broke off."""
    try:
        async with asyncio.timeout(BREAK_OFF_S):
            await _close(run, "interrupted", 1)
            if isinstance(error, Exception) and not _is_of_the_output(error):
                reason = str(error) if isinstance(error, SyncdError) else type(error).__name__
                names = [stream.name for stream in streams]
                await note_failure(run.database, run.lease, run.run_id, names, reason)
    except (DatabaseError, LeaseLost, TimeoutError) as second:
        log.warning("round_not_closed", reason=str(second))


_OF_THE_OUTPUT = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EIO}


def _is_of_the_output(error: Exception) -> bool:
    """Whoever reads our progress has gone, or has no room: that is nothing to say of a stream."""
    return isinstance(error, OSError) and error.errno in _OF_THE_OUTPUT and error.filename is None


async def _as_it_stands(order: Order, database: Database) -> Installation:
    """The installation under the lease: since the order was made its credentials may have been replaced."""
    installation = await find_installation(database, order.installation.name)
    require_drivable(installation)
    return installation


def require_drivable(installation: Installation) -> None:
    """Raises Paused, or NeedsAuthorization for an installation that waits for a person."""
    name = installation.name
    match installation.state:
        case "paused":
            raise Paused(f"{name} is paused", hint=f"`syncd installations resume {name}` ends the pause")
        case "suspended":
            raise NeedsAuthorization(
                f"{name} is suspended at the source",
                hint="ask the organizer or the API's support why; syncd goes on by itself when it is over",
            )
        case "needs_consent":
            raise NeedsAuthorization(
                f"{name} waits for a new consent",
                hint="ask whoever consented to do so again, then `syncd installations add` with the new credentials",
            )


async def _forget_positions(streams: Sequence[Stream], run: Run) -> None:
    for stream in streams:
        async with run.database.begin(run.lease, run.run_id, stream.name) as tx:
            await abandon_open_walk(tx, "begun anew by hand")


async def take_lease(order: Order, database: Database, watch: Watch) -> Claim:
    """The installation's lease, once it is free. Raises LeaseHeld when the order does not wait."""
    name = order.installation.name
    while (claimed := await claim(database, name, order.owner)) is None:
        other = await holder(database, name)
        if other is not None:
            if not order.wait:
                raise _held(name, other)
            watch.waiting(order.installation, other)
        await asyncio.sleep(ASK_AGAIN_S)
    if claimed.after_crash:
        log.warning("driver_was_cut_off", installation=name)
    return claimed


def _held(name: str, other: Holder) -> LeaseHeld:
    error = LeaseHeld(
        f"{name} is being driven by {other.owner} until {other.until:%Y-%m-%d %H:%M:%S %Z} at least",
        hint="leave out --no-wait to wait for it",
    )
    if other.owner.startswith("serve "):
        error.exit_code = 75  # the daemon gives it back after its round (docs/interface.md §2)
    return error
