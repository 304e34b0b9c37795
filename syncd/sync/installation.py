"""One round of one installation: its streams in order, and what a failure of one means for the others."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from structlog.contextvars import bound_contextvars

from syncd.errors import (
    ApiError,
    ConfigError,
    CursorRefused,
    DatabaseRestored,
    ListingBroken,
    NeedsAuthorization,
    RefreshFailed,
    ScopeMissing,
    SyncdError,
    TokenExpired,
    TokenRefused,
)
from syncd.logs import get_logger
from syncd.model import Installation
from syncd.sources.base import Stream
from syncd.store.installations import set_state, stored_installation
from syncd.store.requests import write_requests
from syncd.store.runs import StreamResult, end_stream
from syncd.store.walks import (
    abandon_open_walk,
    abandon_walk,
    begin_walk,
    give_up_if_it_stands,
    note_readings,
    open_walk,
    restarts_of_run,
)
from syncd.sync.run import AccountApi, Run
from syncd.sync.stream import sync_stream
from syncd.wire.position import NOT_THE_CURSORS, Readings, Start

# A server that refuses its own fresh cursors twice will refuse the third: report it, do not loop.
MAX_RESTARTS = 2

log = get_logger(__name__)


async def sync_installation(streams: Iterable[Stream], api: AccountApi, run: Run) -> list[StreamResult]:
    """Walk the streams in their order; one that fails does not stop the next, a token that is no use stops them all.

    A dead grant parks the installation. Raises LeaseLost and DatabaseError: then nothing more can be written.
    """
    results: list[StreamResult] = []
    refusal: SyncdError | None = None
    for stream in streams:
        with bound_contextvars(stream=stream.name):
            made_before = run.requests.made
            work = partial(_with_restarts, stream, api, run)
            result, refusal = await try_stream(stream, await _as_granted(stream, run), refusal, work)
            results.append(await _end(replace(result, requests=run.requests.made - made_before), run))
    if isinstance(refusal, TokenRefused | NeedsAuthorization):
        await set_state(run.database, run.installation, "needs_consent", str(refusal))
    return results


async def _as_granted(stream: Stream, run: Run) -> Installation:
    """The installation with the scopes that count: a renewal within this round may have brought the stream's."""
    if stream.scope in run.installation.scopes:
        return run.installation
    return await stored_installation(run.database, run.installation.name) or run.installation


async def try_stream(
    stream: Stream,
    installation: Installation,
    refusal: SyncdError | None,
    work: Callable[[], Awaitable[StreamResult]],
) -> tuple[StreamResult, SyncdError | None]:
    """What became of the stream, and the refusal that stops the streams behind it, if there is one.

    `refusal` is that of a stream before it: then `work`, which walks the stream, is not begun.
    """
    if refusal is not None:
        return _failed(stream, "failed", refusal), refusal
    if stream.scope not in installation.scopes:
        return _skipped(stream), None
    try:
        return await work(), None
    except ScopeMissing as error:
        return _failed(stream, "skipped", error), None
    except CursorRefused as error:
        return _failed(stream, "incomplete", error), None
    except (TokenExpired, TokenRefused, NeedsAuthorization, RefreshFailed, DatabaseRestored, ConfigError) as error:
        return _failed(stream, "failed", error), error
    except ApiError as error:
        return _failed(stream, "failed", error), None


async def _with_restarts(stream: Stream, api: AccountApi, run: Run) -> StreamResult:
    """Walk the stream; a walk whose cursor the server refuses begins anew, at the page size that the server bears."""
    rule = RestartRule()
    while True:
        try:
            return await sync_stream(stream, api, run)
        except CursorRefused as error:
            restarts = await _begin_anew(stream, run, error)
            rule.require_hope(error, restarts)
            log.warning("walk_restarted", reason=str(error), restart=restarts)
        except ListingBroken as error:
            async with run.database.begin(run.lease, run.run_id, stream.name) as tx:
                await abandon_open_walk(tx, str(error), keeps_limit=True)
            raise
        except ApiError as error:
            failed = [each for each in run.requests.pending() if str(each.request_id) == error.request_id]
            if failed and error.status not in (None, *NOT_THE_CURSORS):
                async with run.database.begin(run.lease, run.run_id, stream.name) as tx:
                    why = f"its next page has failed for an hour: {error}"
                    await give_up_if_it_stands(tx, failed[-1].endpoint, why)
            raise


async def _begin_anew(stream: Stream, run: Run, error: CursorRefused) -> int:
    """Give the walk up, remember what that shows, and say how often this run has done so."""
    shown = Readings(False if error.by_refresh else None, False if error.by_limit else None)
    async with run.database.begin(run.lease, run.run_id, stream.name) as tx:
        walk = await open_walk(tx, grant=str(run.installation.grant_id))
        await abandon_walk(tx, walk, str(error))
        await begin_walk(tx, Start(limit=error.limit), generation=walk.generation + 1)
        await note_readings(tx, shown)
        return await restarts_of_run(tx)


@dataclass(slots=True)
class RestartRule:
    """Whether a walk whose cursor was refused is begun anew: of one stream in one round.

    A walk that began under a new access token and lost its cursor to the next one would lose it again: then the
    listing takes longer than one token lives (contracts/revento.md G3).
    """

    _began_under_new_token: bool = False

    def require_hope(self, error: CursorRefused, restarts: int) -> None:
        """Raises CursorRefused where one more walk, the one after so many restarts, would be no help."""
        if error.by_refresh and self._began_under_new_token:
            raise _unwalkable(error) from error
        if restarts > MAX_RESTARTS:
            raise error
        self._began_under_new_token = error.by_refresh


def _unwalkable(error: CursorRefused) -> CursorRefused:
    return CursorRefused(
        "the listing takes longer than one access token lives, and a cursor does not outlive its token",
        status=error.status,
        code=error.code,
        request_id=error.request_id,
        hint="a larger revento.page_size, or fewer other calls on this token, may let one token's life suffice",
    )


async def _end(result: StreamResult, run: Run) -> StreamResult:
    requests = run.requests.pending()
    async with run.database.begin(run.lease, run.run_id, result.stream) as tx:
        await write_requests(tx.cursor, run.installation.name, run.run_id, requests)
        ended = await end_stream(tx, result)
    run.requests.settle(requests)
    tell = log.info if ended.status in ("certified", "skipped") else log.warning
    tell("stream_ended", status=ended.status, reason=ended.reason, pages=ended.pages, rows=ended.counts.seen)
    return replace(ended, exit_code=result.exit_code, hint=result.hint)


def _skipped(stream: Stream) -> StreamResult:
    return StreamResult(
        stream.name,
        "skipped",
        f"scope_missing: {stream.scope} was not granted",
        hint="if it is wanted, have it granted in a new consent, and add the new credentials",
    )


def _failed(stream: Stream, status: str, error: SyncdError) -> StreamResult:
    return StreamResult(
        stream.name,
        status,
        str(error),
        request_id=UUID(error.request_id) if isinstance(error, ApiError) and error.request_id else None,
        error_code=getattr(error, "code", None),
        exit_code=error.exit_code,
        hint=error.hint,
    )
