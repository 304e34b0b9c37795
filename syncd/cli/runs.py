"""`syncd runs`: what was copied when, and with what result; ending a round and trying one again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from syncd.cli.command import Group
from syncd.cli.connection import chosen_names, read
from syncd.cli.options import limit_option, since_option, wait_option
from syncd.cli.session import Session, pass_session
from syncd.cli.text import Listing, Part, facts, show_age, show_time

if TYPE_CHECKING:
    from syncd.store.database import Database
    from syncd.store.history import RunHistory
    from syncd.store.reports import RunReport

STATES = ("running", "succeeded", "partial", "failed", "refused", "interrupted", "cancelled")


@click.group(cls=Group, example="syncd runs list --since 1d\nsyncd runs show 0b7c3c1e")
def runs() -> None:
    """Look at the rounds of copying, end one, or try one again."""


@runs.command("list", example="syncd runs list --state failed --state partial --since 1d")
@click.argument("names", nargs=-1, metavar="[INSTALLATION]...")
@click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Only these; may be repeated.")
@since_option
@limit_option
@pass_session
def list_all(
    session: Session, names: tuple[str, ...], states: tuple[str, ...], since_s: float | None, limit: int
) -> None:
    """List runs, newest first."""
    from syncd.store.history import RunFilter, list_runs

    async def ask(database: Database) -> list[RunReport]:
        return await list_runs(database, RunFilter(await chosen_names(database, names), states, since_s, limit))

    found = read(session, ask)
    rows = [
        (
            str(each.run_id),
            each.installation,
            each.trigger,
            each.state,
            each.started_at,
            _took(each),
            each.exit_code,
        )
        for each in found
    ]
    headers = ("RUN", "INSTALLATION", "TRIGGER", "STATE", "STARTED", "TOOK", "EXIT")
    listing = Listing(headers, rows, spare=("EXIT", "TRIGGER"))
    session.answer({"runs": found}, *([listing] if found else []))
    if not found:
        session.note("no such run")


def _took(run: RunReport) -> str | None:
    return show_age((run.ended_at - run.started_at).total_seconds()) if run.ended_at else None


@runs.command(example="syncd runs show 0b7c3c1e")
@click.argument("run", metavar="RUN")
@pass_session
def show(session: Session, run: str) -> None:
    """Show a run, its streams and its walks; RUN is its id, or the first 4 characters of it or more."""
    from syncd.store.history import show_run
    from syncd.store.steering import find_run

    async def ask(database: Database) -> RunHistory:
        return await show_run(database, await find_run(database, run))

    found = read(session, ask)
    session.answer(found, *text(found))


def text(found: RunHistory) -> list[Part]:
    """The run, a line for each stream, and a line for each walk."""
    run = found.run
    pairs = [
        ("run", run.run_id),
        ("installation", run.installation),
        ("trigger", run.trigger),
        ("state", run.state if run.exit_code is None else f"{run.state}, exit code {run.exit_code}"),
        ("driven by", run.owner),
        ("started", show_time(run.started_at)),
        ("ended", show_time(run.ended_at)),
    ]
    parts: list[Part] = [facts(pairs)]
    for listing in (_streams(found), _walks(found)):
        parts += ["", listing] if listing.rows else []
    return parts


def _streams(found: RunHistory) -> Listing:
    rows = [
        (each.stream, each.status, each.pages, each.requests, each.seen, each.inserted, each.updated, each.removed,
         str(each.request_id or ""), each.reason)
        for each in found.streams
    ]  # fmt: skip
    headers = ("STREAM", "STATUS", "PAGES", "CALLS", "ROWS", "NEW", "CHANGED", "REMOVED", "LAST REQUEST", "REASON")
    return Listing(headers, rows, spare=("LAST REQUEST", "CALLS", "PAGES"))


def _walks(found: RunHistory) -> Listing:
    rows = [
        (each.stream, each.outcome, each.generation, each.pages, each.rows, each.duplicates, each.started_at,
         each.reason)
        for each in found.walks
    ]  # fmt: skip
    headers = ("WALK OF", "OUTCOME", "GENERATION", "PAGES", "ROWS", "REPEATED", "STARTED", "REASON")
    return Listing(headers, rows, spare=("STARTED", "GENERATION", "REPEATED"))


@runs.command(example="syncd runs cancel 0b7c3c1e")
@click.argument("run", metavar="RUN")
@pass_session
def cancel(session: Session, run: str) -> None:
    """Ask a run to end early; what it has copied stays.

    Its driver heeds it within some seconds. Of a run whose driver is gone only the record is closed.
    """
    from syncd.store.steering import find_run, request_cancel

    async def ask(database: Database) -> tuple[str, str]:
        run_id = await find_run(database, run)
        return str(run_id), await request_cancel(database, run_id)

    run_id, outcome = read(session, ask)
    told = {
        "asked": "asked to end; its driver does so within some seconds",
        "closed": "closed: nobody drove it any more",
        "ended": "it had ended already",
    }
    session.answer({"run_id": run_id, "outcome": outcome}, f"{run_id}: {told[outcome]}")


@runs.command(example="syncd runs retry 0b7c3c1e --json")
@click.argument("run", metavar="RUN")
@wait_option
@pass_session
def retry(session: Session, run: str, wait: bool) -> int:
    """Copy those streams that a run did not certify, in a new run."""
    from syncd.cli.sync import Asked, work
    from syncd.store.steering import find_run, streams_to_retry

    async def ask(database: Database) -> tuple[str, list[str]]:
        return await streams_to_retry(database, await find_run(database, run))

    name, streams = read(session, ask)
    if not streams:
        session.answer({"type": "result", "status": "succeeded", "exit": 0, "run_id": None, "streams": []})
        session.note("nothing to retry: that run certified all that it tried")
        return 0
    return work(session, Asked("retry", [name], streams, wait))
