"""`syncd sandbox`: the remote APIs alone, on loopback."""

from __future__ import annotations

import asyncio
from importlib import import_module
from inspect import getdoc
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click

from syncd.bind import reason_of
from syncd.cli.command import Command
from syncd.cli.session import Session, pass_session
from syncd.cli.signals import run
from syncd.cli.text import Listing, facts
from syncd.errors import ConfigError

if TYPE_CHECKING:
    from syncd.sandbox import Sandbox, SandboxSettings

COUNT = click.IntRange(min=0)
PORT = click.IntRange(0, 65535)
SECONDS = click.FloatRange(min=0)


def _readings(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    chosen = [value.partition("=") for value in values]
    for value, (gap_id, _, reading) in zip(values, chosen, strict=True):
        if not gap_id or not reading:
            raise click.BadParameter(f"{value!r} is not like G3=token; `syncd sandbox --gaps` lists them all.")
    return {gap_id: reading for gap_id, _, reading in chosen}


EXAMPLE = """\
syncd sandbox --port 8081 --control-port 8082 --gap G3=token
EVENT=evt_9726daa7  # the first one of seed 1
TOKEN=$(curl -s localhost:8082/connect -d '{"event_id": "'$EVENT'"}' |
  sed 's/.*"access_token": "\\([^"]*\\)".*/\\1/')
curl -s "localhost:8081/revento/api/v1/events/$EVENT/participants?limit=2" \\
  -H "Authorization: Bearer $TOKEN"
curl -s localhost:8082/faults -d '{"status": 503, "times": 2}'  # the next two
curl -s localhost:8082/log  # what has arrived, and how it was answered"""


@click.command(cls=Command, example=EXAMPLE)
@click.option("--port", type=PORT, metavar="N", default=0, help="Port of the API and the OAuth host; 0: any free one.")
@click.option(
    "--control-port", type=PORT, metavar="N", default=0, help="Port for whoever drives the sandbox; 0: any free one."
)
@click.option("--seed", type=int, metavar="N", default=1, show_default=True, help="The same seed makes the same world.")
@click.option("--events", type=COUNT, metavar="N", default=3, show_default=True, help="In the world.")
@click.option("--participants", type=COUNT, metavar="N", default=900, show_default=True, help="Per event.")
@click.option("--activities", type=COUNT, metavar="N", default=200, show_default=True, help="Per event.")
@click.option(
    "--per-hour", type=COUNT, metavar="N", default=500, show_default=True, help="Calls per token; 0: no limit."
)
@click.option(
    "--per-minute", type=COUNT, metavar="N", default=30, show_default=True, help="Calls per token; 0: no limit."
)
@click.option(
    "--in-flight", type=COUNT, metavar="N", default=5, show_default=True, help="Calls at once per token; 0: no limit."
)
@click.option("--life", "life_s", type=SECONDS, default=0, metavar="SECONDS", help="Change something this often.")
@click.option("--latency", "latency_s", type=SECONDS, default=0, metavar="SECONDS", help="Time that each reply takes.")
@click.option(
    "--access-token-life",
    "access_token_s",
    type=SECONDS,
    default=3600,
    show_default=True,
    metavar="SECONDS",
    help="Before it must be refreshed.",
)
@click.option(
    "--refresh-token-life",
    "refresh_token_s",
    type=SECONDS,
    default=7_776_000,
    metavar="SECONDS",
    help="Unused; 90 days by default.",
)
@click.option(
    "--cursor-life",
    "cursor_s",
    type=SECONDS,
    default=86_400,
    show_default=True,
    metavar="SECONDS",
    help="Of a page's cursor.",
)
@click.option("--scope", "scopes", multiple=True, help="Grant these scopes only; may be repeated.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, metavar="URI", help="Registered; may be repeated.")
@click.option("--deny", is_flag=True, help="The person at /oauth/authorize refuses.")
@click.option(
    "--suspend-after",
    "suspend_after_429s",
    type=COUNT,
    default=0,
    metavar="N",
    help="429 replies within a minute suspend the installation; 0: never.",
)
@click.option(
    "--gap",
    "gaps",
    multiple=True,
    callback=_readings,
    metavar="ID=READING",
    help="Read a gap of the documents in this way; may be repeated.",
)
@click.option("--gaps", "shows_gaps", is_flag=True, help="List the gaps and their readings, and end.")
@click.option("--control", "shows_control", is_flag=True, help="List the control port's requests, and end.")
@pass_session
def sandbox(session: Session, /, *, shows_gaps: bool, shows_control: bool, **options: Any) -> None:
    """Simulate the remote APIs on this machine, for any client.

    Runs until Ctrl-C, and keeps nothing: each start makes the world anew.

    \b
    http://127.0.0.1:PORT/revento/api/v1  the API: /events, /me, /developer
    http://127.0.0.1:PORT/revento-auth    /oauth/authorize, /token, /revoke
    http://127.0.0.1:CONTROL_PORT         for whoever drives the sandbox

    A token comes from the control port: POST /connect with an event_id (GET /settings has them), and with a
    participant_id as well for a user token. Or the client takes the whole way through /oauth/authorize with PKCE, where
    the person agrees at once. The client is sandbox-client with the secret sandbox-secret, its integration int_sandbox.

    What the documents leave open is a gap: --gaps lists the readings to choose from with --gap or, while it runs, with
    PATCH /settings. --control lists all that the control port can do: change rows, order faults, move the clock.
    """
    if shows_gaps or shows_control:
        (_show_gaps if shows_gaps else _show_control)(session)
    else:
        run(_serve(session, _settings(options)))


def _settings(options: dict[str, Any]) -> SandboxSettings:
    sandbox = _sandbox()
    limits = sandbox.Limits(*(options.pop(name) for name in ("per_hour", "per_minute", "in_flight")))
    consent = "deny" if options.pop("deny") else "grant"
    given = {name: value for name, value in options.items() if value != ()}
    try:
        settings: SandboxSettings = sandbox.SandboxSettings(limits=limits, consent=consent, **given)
    except ValueError as error:
        raise click.UsageError(f"{error}.", click.get_current_context()) from error
    return settings


def _sandbox() -> ModuleType:
    try:
        return import_module("syncd.sandbox")
    except ModuleNotFoundError as error:
        raise ConfigError(f"the sandbox needs {error.name}", hint="pip install 'syncd[demo]'") from error


def _show_gaps(session: Session) -> None:
    gaps = _sandbox().GAPS
    rows = [
        row
        for gap in gaps
        for row in [
            (gap.id, "", gap.question),
            *(("", f"{name} *" if name == gap.default else name, text) for name, text in gap.readings.items()),
        ]
    ]
    session.answer(
        [{"id": gap.id, "question": gap.question, "default": gap.default, "readings": gap.readings} for gap in gaps],
        Listing(("GAP", "READING", "MEANS"), rows),
        "* is the default.",
    )


def _show_control(session: Session) -> None:
    sandbox = _sandbox()
    orders, presets = sandbox.ORDERS, sandbox.PRESETS
    faults = "\n\n".join(getdoc(part) or "" for part in (sandbox.Aim, sandbox.Fault, sandbox.Damage))
    rows = [
        row
        for order in orders
        for row in ((f"{order.method} {order.path}", order.body or "-"), ("", f"-> {order.reply}"))
    ]
    session.answer(
        {
            "requests": [
                {name: getattr(order, name) for name in ("method", "path", "body", "reply")} for order in orders
            ],
            "collections": list(sandbox.COLLECTIONS),
            "faults": faults,
            "presets": {preset.name: preset.does for preset in presets},
            "notes": sandbox.NOTES,
        },
        Listing(("REQUEST", "BODY, AND REPLY"), rows),
        f"{{collection}} is one of {', '.join(sandbox.COLLECTIONS)}.",
        f"\nFaults:\n{faults}",
        '\nPresets, such as POST /faults {"preset": "cut_body", "nth": 2}:',
        *(f"  {preset.name:17} {preset.does}" for preset in presets),
        "\nNotes that a well-behaved client does not earn:",
        *(f"  {code:26} {means}" for code, means in sandbox.NOTES.items()),
    )


async def _serve(session: Session, settings: SandboxSettings) -> None:
    if settings.port and settings.port == settings.control_port:
        raise ConfigError("--port and --control-port are the same", hint="give two, or 0 for any free one")
    try:
        async with _sandbox().Sandbox(settings) as running:
            _introduce(session, running)
            await asyncio.Event().wait()
    except OSError as error:
        ports = " and ".join(str(port) for port in (settings.port, settings.control_port) if port)
        raise ConfigError(
            f"cannot listen on port {ports} of {settings.host} ({reason_of(error)})",
            hint="choose another --port or --control-port; 0 takes any free one",
        ) from error


def _introduce(session: Session, running: Sandbox) -> None:
    urls = {name: getattr(running, name) for name in ("api_url", "auth_url", "control_url")}
    rows = [*urls.items(), *(("event", event_id) for event_id in running.event_ids)]
    settings = running.settings
    client = {name: getattr(settings, name) for name in ("client_id", "client_secret", "integration_id")}
    session.answer({**urls, "event_ids": running.event_ids, **client}, facts(rows))
    if session.json or not running.event_ids:
        return
    session.note(
        "",
        "Get credentials, and add the event to a warehouse:",
        "  umask 077",
        f"""  curl -s {running.control_url}/connect -d '{{"event_id": "{running.event_ids[0]}"}}' > token.json""",
        "  syncd installations add revento --environment sandbox --credentials token.json \\",
        f"    --api-url {running.api_url} \\",
        f"    --auth-url {running.auth_url}",
        "Ctrl-C stops the sandbox.",
    )
