"""`syncd installations`: the accounts that are kept in step."""

from __future__ import annotations

import difflib
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING
from uuid import uuid4

import click

from syncd.cli.command import Command, LazyGroup
from syncd.cli.connection import chosen_names, read
from syncd.cli.session import NOTHING_YET, Session, pass_session
from syncd.cli.signals import run
from syncd.cli.status import document, summary
from syncd.cli.text import Listing, facts, show_time
from syncd.errors import ConfigError

if TYPE_CHECKING:
    from syncd.config import Settings
    from syncd.credentials.file import Credentials
    from syncd.model import Installation
    from syncd.store.database import Database
    from syncd.store.reports import InstallationReport


# In the order of --help.
COMMANDS = {
    "list": "syncd.cli.installations:list_all",
    **{name: f"syncd.cli.installations:{name}" for name in ("add", "show")},
    "discover": "syncd.cli.connect:discover",
    **{name: f"syncd.cli.steering:{name}" for name in ("check", "pause", "resume", "remove")},
}


@click.group(
    cls=LazyGroup,
    commands_by_name=COMMANDS,
    example="syncd installations add revento --credentials token.json\nsyncd installations list",
)
def installations() -> None:
    """Add, discover, show, check, pause and remove the accounts that are kept in step."""


@click.command("list", cls=Command, example="syncd installations list --json")
@pass_session
def list_all(session: Session) -> None:
    """List the installations."""
    from syncd.store.reports import report_installations

    found = read(session, report_installations)
    rows = [
        (each.name, each.source, each.state, each.environment, each.timezone, each.created_at, each.state_reason)
        for each in found
    ]
    listing = Listing(
        ("NAME", "SOURCE", "STATE", "ENVIRONMENT", "TIMEZONE", "ADDED", "REASON"), rows, spare=("ADDED", "SOURCE")
    )
    session.answer({"installations": [document(each) for each in found]}, *([listing] if found else []))
    if not found:
        session.note(NOTHING_YET)


@click.command(cls=Command, example="syncd installations show revento/evt_1")
@click.argument("name", metavar="INSTALLATION")
@pass_session
def show(session: Session, name: str) -> None:
    """Show one installation; never a token. Any unambiguous end of its name will do."""
    from syncd.store.reports import report_installations

    async def ask(database: Database) -> list[InstallationReport]:
        return await report_installations(database, await chosen_names(database, [name]))

    (found,) = read(session, ask)
    session.answer(document(found), facts(_facts(found)))


def _facts(found: InstallationReport) -> list[tuple[str, object]]:
    last = found.last_run
    return [
        ("name", found.name),
        ("source", found.source),
        ("account", found.account),
        ("organization", found.organization),
        ("environment", found.environment),
        ("timezone", found.timezone),
        ("API", found.api_url),
        ("authorization", found.auth_url),
        ("scopes", " ".join(found.scopes)),
        ("state", found.state if found.state_reason is None else f"{found.state}: {found.state_reason}"),
        ("added", found.created_at),
        ("changed", found.updated_at),
        ("access token", found.access_expires_at and f"expires {show_time(found.access_expires_at)}"),
        ("refresh token", found.refresh_expires_at and f"expires {show_time(found.refresh_expires_at)}"),
        ("consent", found.consent_ends_at and f"ends {show_time(found.consent_ends_at)} at the latest"),
        ("driven by", found.driver),
        ("last run", last and f"{last.run_id} ({last.trigger}, {last.state}), began {show_time(last.started_at)}"),
        ("streams", summary(found.streams)),
    ]


# A name is a column of every listing.
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Options:
    """What `add` was asked for; None: what is stored stays, or the default where nothing is."""

    source: str
    name: str | None
    timezone: str | None
    environment: str | None
    api_url: str | None
    auth_url: str | None


@click.command(
    cls=Command,
    example="syncd installations add revento --credentials token.json\n"
    "vault-read revento | syncd installations add revento --credentials -\n"
    "syncd installations add revento-user --credentials participant.json",
)
@click.argument("source")
@click.option(
    "--credentials", "file", type=click.File("rb"), required=True, metavar="FILE",
    help="The token response as JSON; - reads it from standard input.",
)  # fmt: skip
@click.option("--name", help="Instead of SOURCE/<event id>, or SOURCE/<event id>/<user id>.")
@click.option("--timezone", metavar="ZONE", help="The event's, as Europe/Warsaw (a new one's default: UTC).")
@click.option(
    "--environment", type=click.Choice(["production", "sandbox"]),
    help="Which kind of event this is (a new one's default: production).",
)  # fmt: skip
@click.option("--api-url", metavar="URL", help="Instead of revento.api_url; needs --auth-url.")
@click.option("--auth-url", metavar="URL", help="Instead of revento.auth_url.")
@click.option("--no-check", is_flag=True, help="Do not try the credentials with a call.")
@pass_session
def add(session: Session, /, file: IO[bytes], no_check: bool, **options: str) -> None:
    """Add an account of SOURCE (revento, revento-user), or replace its credentials, and print its name.

    Of one that is there already everything stays that no option names.
    """
    from syncd.credentials.file import read_credentials
    from syncd.sources import SOURCES

    settings = session.settings()
    asked = Options(**options)
    _require_known(asked.source, SOURCES)
    if asked.timezone is not None:
        require_zone(asked.timezone)
    document = _document(session, file)
    source = SOURCES[asked.source]
    credentials = read_credentials(
        document, now=datetime.now(UTC), account=source.account, consenter=source.consenter, name=_named(file)
    )
    described(asked, credentials, settings)  # before a database is made for what cannot be
    store(session, settings, asked, credentials, check=not no_check)


def store(session: Session, settings: Settings, asked: Options, credentials: Credentials, *, check: bool) -> None:
    """Add what was asked for, or replace its credentials, and say what comes next."""
    from syncd import main
    from syncd.store.installations import stored_installation

    url = main.prepare_database(settings)

    async def adding() -> Installation:
        async with main.open_app(settings, url, "installations add") as app:
            stored = await stored_installation(app.database, name_of(asked, credentials.account))
            installation = described(asked, credentials, settings, stored)
            return await main.add_installation(
                app, installation, credentials.tokens, check=check, granted_at=credentials.obtained_at
            )

    added = run(adding())
    session.answer({"installation": added}, added.name)
    if added.state == "paused":
        session.note(f"added, and still paused: `syncd installations resume {added.name}` ends the pause")
    else:
        session.note(f"added; next: `syncd sync {added.name}`, or `syncd serve` to keep it in step")
    if settings.security.encryption_keys is None:
        session.note(f"its tokens open with the keys in {main.own_keys_path(settings)} only: keep a copy")


def _named(file: IO[bytes]) -> str:
    return "standard input" if file.name == "<stdin>" else file.name


def _document(session: Session, file: IO[bytes]) -> bytes:
    if file.isatty():
        if session.no_input:
            raise ConfigError("--credentials - would wait for somebody to type", hint="give a file, or pipe it in")
        session.note("paste the token response, then press Ctrl-D")
    elif stat.S_ISREG(mode := os.fstat(file.fileno()).st_mode) and mode & 0o077 and file.name != "<stdin>":
        session.note(f"warning: {file.name} can be read by others; `chmod 600 {file.name}`, or remove it")
    return file.read()


def described(
    asked: Options, credentials: Credentials, settings: Settings, stored: Installation | None = None
) -> Installation:
    """The installation that was asked for, over what is stored of it. Raises ConfigError for what is missing or
    cannot be."""
    from syncd.model import Installation

    name = name_of(asked, credentials.account)
    api_url, auth_url = addresses(asked, settings, stored)
    return Installation(
        name=name,
        source=asked.source,
        account=credentials.account,
        organization=credentials.organization_id,
        timezone=asked.timezone or (stored.timezone if stored else "UTC"),
        environment=asked.environment or (stored.environment if stored else "production"),
        api_url=api_url,
        auth_url=auth_url,
        scopes=credentials.tokens.scopes,
        state="active",
        grant_id=uuid4(),
    )


def addresses(asked: Options, settings: Settings, stored: Installation | None = None) -> tuple[str, str]:
    """The API's and the authorization server's: given, stored or configured. Raises ConfigError."""
    if asked.api_url and not asked.auth_url:
        raise ConfigError(
            "--api-url needs --auth-url: a secret must not go to another environment's host",
            hint="give --auth-url too: the authorization server of that API",
        )
    known = stored or settings.revento
    return (
        _base_url("api_url", asked.api_url, known.api_url),
        _base_url("auth_url", asked.auth_url, known.auth_url),
    )


def name_of(asked: Options, account: str) -> str:
    """The name that was asked for, or the account's own. Raises ConfigError."""
    name = asked.name if asked.name is not None else f"{asked.source}/{account}"
    if not name.strip() or not name.isprintable() or name != name.strip() or len(name) > LONGEST_NAME:
        shown = name if len(name) <= LONGEST_NAME else f"{name[:20]}…"
        raise ConfigError(
            f"{shown!r} cannot be a name",
            hint=f"leave --name out, or give at most {LONGEST_NAME} letters and digits",
        )
    return name


def _base_url(key: str, given: str | None, configured: str | None) -> str:
    from syncd.config_types import base_url

    if given is None and configured is None:
        raise ConfigError(
            f"revento.{key} is not set", hint=f"set SYNCD_REVENTO__{key.upper()}, or give --{key.replace('_', '-')}"
        )
    try:
        return base_url(given) if given is not None else str(configured)
    except ValueError as error:
        raise ConfigError(f"--{key.replace('_', '-')}: {error}", hint="such as https://api.example.com/v1") from error


def _require_known(source: str, known: object) -> None:
    names = list(known)  # type: ignore[call-overload]
    if source not in names:
        raise ConfigError(f"there is no source {source!r}", hint=f"known sources: {', '.join(names)}")


def require_zone(zone: str) -> None:
    """Raises ConfigError for what is no IANA name."""
    from zoneinfo import available_timezones

    zones = available_timezones()
    if zone == "UTC" or zone in zones:
        return
    by_small_letters = {each.lower(): each for each in zones}
    near = [by_small_letters[each] for each in difflib.get_close_matches(zone.lower(), by_small_letters, n=3)]
    raise ConfigError(
        f"{zone!r} is not a time zone",
        hint=f"did you mean {' or '.join(near)}?" if near else "give its IANA name, such as Europe/Warsaw",
    )
