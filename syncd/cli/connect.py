"""`syncd connect`: an organizer's consent in the browser, and what is connected but not here."""

from __future__ import annotations

import asyncio
import sys
import webbrowser
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import click

from syncd.cli.command import Command, Group
from syncd.cli.installations import Options, addresses, name_of, require_zone, store
from syncd.cli.options import Period
from syncd.cli.session import Session, pass_session
from syncd.cli.signals import run
from syncd.cli.text import Listing
from syncd.errors import ConfigError, NeedsAuthorization

if TYPE_CHECKING:
    from syncd.config import Settings
    from syncd.credentials.connect import Consent
    from syncd.sync.discovery import Discovered
    from syncd.wire.tokens import ClientIdentity

# docs/interface.md §3: the answer is no.
NO = 6


@click.group(cls=Group, example="syncd connect revento evt_1")
def connect() -> None:
    """Connect an account in the browser."""


@connect.command(
    cls=Command,
    example="syncd connect revento evt_1 --timezone Europe/Warsaw\nsyncd connect revento evt_1 --no-browser",
)
@click.argument("event_id")
@click.option("--scope", "scopes", multiple=True, metavar="SCOPE", help="Ask for this one only; may be repeated.")
@click.option("--name", help="Instead of revento/<event id>.")
@click.option("--timezone", metavar="ZONE", help="The event's, as Europe/Warsaw (a new one's default: UTC).")
@click.option("--environment", type=click.Choice(["production", "sandbox"]), help="Default: production.")
@click.option("--api-url", metavar="URL", help="Instead of revento.api_url; needs --auth-url.")
@click.option("--auth-url", metavar="URL", help="Instead of revento.auth_url.")
@click.option("--no-browser", is_flag=True, help="Only print the address to open.")
@click.option("--within", type=Period(), default="10m", show_default=True, help="Give up after this long.")
@pass_session
def revento(
    session: Session, /, event_id: str, scopes: tuple[str, ...], no_browser: bool, within: float, **options: str
) -> None:
    """Have an organizer consent to EVENT_ID in the browser, and add it.

    The browser comes back to revento.redirect_uri, which has to be registered exactly so. Where that is on this
    machine syncd listens there; otherwise it asks for the address that the browser ended at.
    """
    from syncd import main
    from syncd.config_types import is_loopback
    from syncd.credentials.connect import Consent
    from syncd.credentials.file import read_credentials
    from syncd.sources import SOURCES

    settings = session.settings()
    asked = Options("revento", **options)
    if asked.timezone is not None:
        require_zone(asked.timezone)
    name_of(asked, event_id)
    _, auth_url = addresses(asked, settings)
    identity, redirect_uri = _registered(settings)
    every = tuple(dict.fromkeys(stream.scope for stream in SOURCES["revento"].streams))
    consent = Consent.begin(identity.client_id, redirect_uri, event_id, scopes or every)
    is_here = is_loopback(urlsplit(redirect_uri).hostname or "")
    if not is_here and (session.no_input or not sys.stdin.isatty()):
        raise ConfigError(
            "revento.redirect_uri leads to another machine, and nobody is there to paste the address it ends at",
            hint="register a redirect URI on this machine, such as http://127.0.0.1:8440/callback",
        )

    main.prepare_database(settings)  # before anybody consents: a code is good for one attempt

    def send() -> None:
        address = consent.address(auth_url)
        session.note("open this address as an organizer of the event:", "", f"  {address}", "")
        if no_browser:
            return
        # A text browser runs until it is left, which may be never: neither the listener here nor the command's end may
        # wait for it. Without a listener it has the terminal to itself first; then the address is asked for there.
        if is_here:
            Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        else:
            webbrowser.open(address)

    code = run(_caught(session, consent, within, send)) if is_here else _pasted(session, consent, send)
    reply = run(main.redeem(settings, auth_url, consent, code))
    credentials = read_credentials(reply, now=datetime.now(UTC), name="the token reply")
    if credentials.account != event_id:
        raise NeedsAuthorization(
            f"the organizer connected {credentials.account[:50]!r}, not {event_id!r}",
            hint="have the event itself connected: a token opens one event",
        )
    declined = [scope for scope in consent.scopes if scope not in credentials.tokens.scopes]
    skipped = [stream.name for stream in SOURCES["revento"].streams if stream.scope in declined]
    if skipped:
        session.note(f"{', '.join(declined)} was declined, so these are skipped: {', '.join(skipped)}")
    # Stored before anything else is done with them (contracts/revento.md §3): a call that fails would lose the consent.
    store(session, settings, asked, credentials, check=False)


def _registered(settings: Settings) -> tuple[ClientIdentity, str]:
    """The integration's identity and its redirect URI. Raises ConfigError."""
    from syncd import main

    identity, redirect_uri = main.client_identity(settings), settings.revento.redirect_uri
    if identity is None:
        raise ConfigError(
            "a consent needs the integration's own credentials",
            hint="set revento.client_id and revento.client_secret, from the developer console",
        )
    if redirect_uri is None:
        raise ConfigError(
            "revento.redirect_uri is not set",
            hint="set it to one that is registered in the developer console, such as http://127.0.0.1:8440/callback",
        )
    return identity, redirect_uri


async def _caught(session: Session, consent: Consent, within_s: float, send: Callable[[], None]) -> str:
    """The code that the browser brings to this machine."""
    from syncd.http.redirect import redirect_to

    try:
        async with asyncio.timeout(within_s), redirect_to(consent.redirect_uri, consent.read) as code:
            send()
            session.note(f"waiting for the browser to come back, {within_s / 60:g} min at most; Ctrl-C gives up")
            return await code
    except TimeoutError as error:
        raise NeedsAuthorization(
            f"nobody consented within {within_s / 60:g} min", hint="connect the event again, or raise --within"
        ) from error


def _pasted(session: Session, consent: Consent, send: Callable[[], None]) -> str:
    """The code out of the address that somebody saw the browser end at."""
    send()
    while True:
        pasted = click.prompt("the address that the browser ended at", err=True)
        if (code := consent.read(dict(parse_qsl(urlsplit(pasted).query)))) is not None:
            return code
        session.note("that is not the answer to this request; paste the whole address")


@click.command(cls=Command, example="syncd installations discover\nsyncd installations discover --json")
@pass_session
def discover(session: Session) -> int:
    """Compare Revento's own listing of connected events with the installations here.

    It says what to do where they differ; then the exit code is 6.
    """
    from syncd import main

    settings = session.settings()
    url = main.prepare_database(settings)

    async def ask() -> list[Discovered]:
        async with main.open_app(settings, url, "installations discover") as app:
            return await main.discovered(app)

    found = run(ask())
    rows = [(each.account, each.installation or "-", each.state or "-", each.listed, each.advice) for each in found]
    listing = Listing(("EVENT", "INSTALLATION", "STATE", "AT REVENTO", "WHAT TO DO"), rows)
    session.answer({"accounts": found}, *([listing] if found else []))
    differing = sum(each.advice is not None for each in found)
    session.note(f"{differing} of {len(found)} differ" if differing else f"all {len(found)} agree")
    return NO if differing else 0
