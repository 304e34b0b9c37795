"""`syncd installations check|pause|resume|remove`: trying, stopping and giving up an account."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.command import Command
from syncd.cli.connection import read
from syncd.cli.driving import waiting, with_app
from syncd.cli.options import wait_option
from syncd.cli.session import NOT_CONFIRMED, NOTHING_YET, Session, pass_session
from syncd.cli.text import Listing, count

if TYPE_CHECKING:
    from syncd.main import App
    from syncd.main.steering import Checked, Removed
    from syncd.model import Installation
    from syncd.store.database import Database


@click.command(cls=Command, example="syncd installations check\nsyncd installations check revento/evt_1 --json")
@click.argument("names", nargs=-1, metavar="[INSTALLATION]...")
@wait_option
@pass_session
def check(session: Session, names: tuple[str, ...], wait: bool) -> int:
    """Try the credentials of these installations, or of all, with one call each.

    A token that has run out is renewed. The exit code is 4 when a person must act: the grant is refused, or a scope is
    missing that a stream needs; 75 when the API did not answer.
    """
    from syncd.main import chosen
    from syncd.main.steering import check_installation
    from syncd.sync.outcome import worst

    async def checking(app: App) -> list[Checked]:
        watch = waiting(session)
        installations = await chosen(app, names)
        return await asyncio.gather(*(check_installation(app, each, watch, wait=wait) for each in installations))

    found = with_app(session, "installations check", checking)
    session.answer({"installations": [_document(each) for each in found]}, *([_table(found)] if found else []))
    if not found:
        session.note(NOTHING_YET)
    if not session.json:
        for hint in dict.fromkeys(each.error.hint for each in found if each.error and each.error.hint):
            session.note(f"hint: {hint}")
    return worst(each.exit_code for each in found)


def _document(checked: Checked) -> dict[str, Any]:
    return {
        "installation": checked.installation.name,
        "state": checked.installation.state,
        "exit": checked.exit_code,
        "error": checked.error and str(checked.error),
        "hint": checked.error and checked.error.hint,
        "missing_scopes": checked.costs,
    }


def _table(found: Sequence[Checked]) -> Listing:
    rows = [(each.installation.name, each.installation.state, _verdict(each), _missing(each)) for each in found]
    return Listing(("INSTALLATION", "STATE", "TOKEN", "MISSING SCOPES"), rows)


def _verdict(checked: Checked) -> str:
    return "works" if checked.error is None else str(checked.error)


def _missing(checked: Checked) -> str:
    return "; ".join(f"{scope} (costs {', '.join(streams)})" for scope, streams in checked.costs.items())


@click.command(cls=Command, example='syncd installations pause revento/evt_1 --reason "the organizer asked"')
@click.argument("names", nargs=-1, required=True, metavar="INSTALLATION...")
@click.option("--reason", default="paused by hand", show_default=True, metavar="TEXT", help="What `status` shows.")
@pass_session
def pause(session: Session, names: tuple[str, ...], reason: str) -> None:
    """Let nothing call the API for these installations.

    A round that is under way ends within some seconds; what it has copied stays.
    """
    from syncd.store.steering import pause as pause_one

    async def each(database: Database, found: Installation) -> str:
        if await pause_one(database, found.name, reason):
            return "paused"
        return (
            "waits for a new consent, so nothing calls it" if found.state == "needs_consent" else "was paused already"
        )

    _tell_each(session, names, each)


@click.command(cls=Command, example="syncd installations resume revento/evt_1")
@click.argument("names", nargs=-1, required=True, metavar="INSTALLATION...")
@pass_session
def resume(session: Session, names: tuple[str, ...]) -> None:
    """End the pause of these installations; all their streams are due then.

    One that waits for a new consent, or is suspended at the source, cannot be resumed by hand.
    """
    from syncd.store.steering import resume as resume_one
    from syncd.sync.round import require_drivable

    async def each(database: Database, found: Installation) -> str:
        if await resume_one(database, found.name):
            return "resumed"
        require_drivable(found)
        return "was not paused"

    _tell_each(session, names, each)


def _tell_each(session: Session, names: Sequence[str], act: Callable[[Database, Installation], Awaitable[str]]) -> None:
    from syncd.store.installations import find_installation

    async def ask(database: Database) -> dict[str, str]:
        found = [await find_installation(database, name) for name in dict.fromkeys(names)]
        return {each.name: await act(database, each) for each in found}

    outcomes = read(session, ask)
    session.answer({"installations": outcomes}, *(f"{name}: {outcome}" for name, outcome in outcomes.items()))


_GIVEN_UP = {
    "grant": "its refresh token was revoked, which ends the {}'s consent",
    "access_token": "its access token was revoked; it has no refresh token, so only the {} can end the consent",
    None: "its grant was left as it is",
}


@click.command(cls=Command, example="syncd installations remove revento/evt_1 --yes")
@click.argument("name", metavar="INSTALLATION")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--keep-grant", is_flag=True, help="Leave the consent as it is: revoke nothing.")
@pass_session
def remove(session: Session, name: str, yes: bool, keep_grant: bool) -> int:
    """Forget an installation: its credentials, positions, runs and requests; the rows that it copied stay.

    Its refresh token is revoked first, which ends the consent. Where that cannot be done the installation
    stays, paused.
    """
    from syncd.main.steering import remove as remove_one
    from syncd.sources import SOURCES
    from syncd.store.installations import find_installation

    async def ask(database: Database) -> Installation:
        return await find_installation(database, name)

    installation = read(session, ask)
    if not yes and not session.confirms(f"remove {installation.name}, and everything but the rows that it copied?"):
        session.note("nothing was done")
        return NOT_CONFIRMED

    async def removing(app: App) -> Removed:
        return await remove_one(app, installation, waiting(session), keep_grant=keep_grant)

    removed = with_app(session, "installations remove", removing)
    document = {
        "installation": installation.name,
        "was_revoked": removed.revoked == "grant",
        "revoked": removed.revoked,
        "rows_kept": removed.rows_kept,
    }
    rows, consenter = count(removed.rows_kept, "copied row"), SOURCES[installation.source].consenter
    session.answer(
        document, f"{installation.name}: removed, {_GIVEN_UP[removed.revoked].format(consenter)}; {rows} stay"
    )
    return 0
