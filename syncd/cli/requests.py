"""`syncd requests`: from a request id to the rows that came of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.command import Group
from syncd.cli.connection import chosen_names, read
from syncd.cli.options import limit_option, since_option
from syncd.cli.session import Session, pass_session
from syncd.cli.text import Listing, Part, count, facts, show_time

if TYPE_CHECKING:
    from syncd.store.database import Database
    from syncd.store.trace import PageReport, RequestReport, RequestTrace

NOT_FOUND = 6
NO_REPLY = (None, None)


@click.group(cls=Group, example="syncd requests find 0b7c3c1e-6f0e-4c5f-9f0a-2f6f1f4f9d11")
def requests() -> None:
    """Follow the calls that were made."""


class Statuses(click.ParamType[tuple[int | None, int | None]]):
    """`429`, `4xx` or `none`: the lowest and the highest status, or (None, None) for calls without a reply."""

    name = "status"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A pair, or NO_REPLY."""
        if isinstance(value, tuple):
            return value
        if value == "none":
            return NO_REPLY
        if not re.fullmatch(r"[1-5](xx|[0-9]{2})", value, re.ASCII):
            self.fail(f"{value!r} is not a status such as 429, 4xx or none (no reply)", param, ctx)
        return int(value.replace("xx", "00")), int(value.replace("xx", "99"))


@requests.command("list", example="syncd requests list --status 429 --since 1h")
@click.argument("names", nargs=-1, metavar="[INSTALLATION]...")
@click.option("--status", type=Statuses(), metavar="429", help="Only 429, 4xx, … or none: without a reply.")
@click.option("--error", "error_code", metavar="CODE", help="Only calls refused with this code.")
@since_option
@limit_option
@pass_session
def list_all(
    session: Session,
    *,
    names: tuple[str, ...],
    status: tuple[int | None, int | None] | None,
    error_code: str | None,
    since_s: float | None,
    limit: int,
) -> None:
    """List the calls that were made, newest first."""
    from syncd.store.history import RequestFilter, list_requests

    lowest, highest = status or NO_REPLY

    async def ask(database: Database) -> list[RequestReport]:
        chosen = await chosen_names(database, names)
        is_unanswered = status is not None and lowest is None
        return await list_requests(
            database, RequestFilter(chosen, lowest, highest, is_unanswered, error_code, since_s, limit)
        )

    found = read(session, ask)
    rows = [
        (each.sent_at, each.installation, each.endpoint, _status(each), each.error_code, each.duration_ms,
         str(each.request_id), str(each.run_id or ""))
        for each in found
    ]  # fmt: skip
    headers = ("SENT", "INSTALLATION", "ENDPOINT", "STATUS", "ERROR", "MS", "REQUEST", "RUN")
    session.answer(
        {"requests": found}, *([Listing(headers, rows, spare=("RUN", "MS", "INSTALLATION"))] if found else [])
    )
    if not found:
        session.note("no such call")


def _status(request: RequestReport) -> str:
    return "no reply" if request.status is None else str(request.status)


@requests.command(example="syncd requests find 0b7c3c1e-6f0e-4c5f-9f0a-2f6f1f4f9d11")
@click.argument("request_id")
@pass_session
def find(session: Session, request_id: str) -> int:
    """Show a request, its run, its page, and the rows that it was the last to change.

    REQUEST_ID is ours (rows have it as _syncd_request_id) or the server's. The exit code is 6 if it is not known.
    """
    from syncd import main
    from syncd.store.trace import trace_request

    async def ask(database: Database) -> RequestTrace | None:
        return await trace_request(database, request_id, main.TABLES)

    trace = read(session, ask)
    if trace is None:
        session.answer({"request": None})
        session.note(f"no request {request_id!r} is known")
        return NOT_FOUND
    session.answer(trace, *text(trace))
    return 0


def text(trace: RequestTrace) -> list[Part]:
    """What was asked, by which run, what it brought, and the rows."""
    request, run = trace.request, trace.run
    outcome = f"{request.status or 'no reply'}{f' ({request.error_code})' if request.error_code else ''}"
    pairs = [
        ("request", request.request_id),
        ("server's id", request.server_request_id),
        ("installation", request.installation),
        ("endpoint", request.endpoint),
        ("sent", show_time(request.sent_at)),
        ("outcome", f"{outcome}, {count(request.bytes, 'byte')} in {request.duration_ms} ms"),
        ("token", request.token_fingerprint),
        ("run", f"{run.run_id} ({run.trigger}, {run.state}, by {run.owner})" if run else None),
        *(_page(trace.page) if trace.page else []),
    ]
    rows = [(each.table, each.rows, _keys(each.keys, each.rows)) for each in trace.tables]
    if not rows:
        return [facts(pairs), "no row was changed last by this request"]
    return [facts(pairs), "", Listing(("TABLE", "ROWS", "KEYS"), rows)]


def _page(page: PageReport) -> list[tuple[str, str]]:
    books = ("inserted", "updated", "unchanged", "superseded", "rejected", "quarantined_values", "reverted")
    numbers = [(getattr(page, name), name.replace("_", " ")) for name in books]
    said = ", ".join(f"{number} {name}" for number, name in numbers if number)
    return [
        ("page", f"{page.stream} page {page.page_number} of walk {page.walk_id} ({page.outcome})"),
        ("rows", f"{page.seen} seen{f': {said}' if said else ''}"),
    ]


def _keys(keys: tuple[str, ...], rows: int) -> str:
    return ", ".join(keys) + (f" and {rows - len(keys)} more" if rows > len(keys) else "")
