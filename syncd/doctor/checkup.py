"""All checks, in the order in which one hangs on another: what cannot be checked says why."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager

from syncd import main
from syncd.bind import parse_bind
from syncd.clock import SystemClock
from syncd.config import Settings
from syncd.doctor.embedded import check_embedded
from syncd.doctor.installations import check_credentials, check_freshness, check_installations
from syncd.doctor.keys import check_keys
from syncd.doctor.probe import ask
from syncd.doctor.running import check_clock, check_daemon, check_host, check_leases, check_traffic, hosts
from syncd.errors import ConfigError, DatabaseError, Transient
from syncd.findings import Finding, unchecked
from syncd.http.reach import reach
from syncd.model import Vault
from syncd.store.database import Database, open_database
from syncd.store.inspection import inspect_database
from syncd.store.installations import find_installation
from syncd.store.observations import database_now, report_credentials, report_leases, report_traffic
from syncd.store.reports import InstallationReport, report_installations

STORED = ("keys", "installations", "freshness", "leases", "clock", "requests")
ORDER = (
    *("configuration", "embedded server", "database", "schema", "keys", "installations", "freshness"),
    *("daemon", "leases", "clock", "hosts", "requests"),
)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Topic by topic."""
    return sorted(findings, key=lambda finding: ORDER.index(finding.topic))


def without_settings() -> list[Finding]:
    """What is left to say when the configuration cannot be read."""
    reason = "the configuration cannot be read"
    return [unchecked(topic, reason) for topic in ORDER if topic not in {"configuration", "embedded server", "schema"}]


# --- blocking: the server and the schema ------------------------------------------------------------------------------


def check_server(settings: Settings) -> tuple[list[Finding], str | None]:
    """What is to be said of the embedded server and of the database, and its URL if its tables can be read."""
    findings: list[Finding] = []
    if settings.database.url is None:
        findings, server = check_embedded(main.home(settings), [main.own_keys_path(settings)])
        if server is None:
            return [*findings, unchecked("database", "its server does not run")], None
    inspected = inspect_database(main.database_url(settings, direct=True), main.TABLES, main.VIEWS)
    is_usable = all(finding.state != "unchecked" for finding in inspected)
    return findings + inspected, main.database_url(settings) if is_usable else None


# --- what the tables and the network tell -----------------------------------------------------------------------------


async def check_work(settings: Settings, url: str | None, names: Sequence[str]) -> list[Finding]:
    """What is to be said of the installations, the daemon and the hosts. Raises ConfigError for an unknown name."""
    installations: list[InstallationReport] = []
    findings = [unchecked(topic, "the database cannot be used") for topic in STORED]
    if url is not None:
        try:
            async with _opened(settings, url) as database:
                names = [(await find_installation(database, name)).name for name in names]
                installations = await report_installations(database, names)
                findings = await _check_stored(settings, database, installations, names)
        except DatabaseError as error:
            findings.append(Finding("database", "wrong", str(error), error.hint))
    return [*findings, await _check_daemon(settings), *await _check_hosts(settings, installations)]


def _opened(settings: Settings, url: str) -> AbstractAsyncContextManager[Database]:
    behind_pooler = settings.database.pooler == "transaction"
    return open_database(url, pool_size=1, lease_s=settings.daemon.lease_s, behind_pooler=behind_pooler)


async def _check_stored(
    settings: Settings, database: Database, installations: Sequence[InstallationReport], names: Sequence[str]
) -> list[Finding]:
    ring = _key_ring(settings)
    credentials = await report_credentials(database, None if isinstance(ring, ConfigError) else ring, names)
    return [
        *check_keys(ring, credentials),
        *check_installations(installations),
        *check_credentials(credentials, SystemClock().now()),
        *check_freshness(installations),
        *check_leases(await report_leases(database, names), socket.gethostname(), _is_alive),
        check_clock(await _ahead_s(database)),
        *check_traffic(await report_traffic(database, names)),
    ]


def _key_ring(settings: Settings) -> Vault | ConfigError | None:
    """The vault, why there is none, or None where the keys are still to be made."""
    if settings.security.encryption_keys is None:
        if settings.database.url is not None:
            return ConfigError("security.encryption_keys is not set", hint="see the finding on the configuration")
        if not main.own_keys_path(settings).exists():
            return None
    try:
        return main.open_vault(settings)
    except ConfigError as error:
        return error


async def _ahead_s(database: Database) -> float:
    """How far the database's clock is ahead of ours, taken at the middle of the question."""
    clock = SystemClock()
    before = clock.now()
    theirs = await database_now(database)
    return (theirs - before - (clock.now() - before) / 2).total_seconds()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


async def _check_daemon(settings: Settings) -> Finding:
    host, port = parse_bind(settings.http.bind)
    if port == 0:
        return unchecked("daemon", "http.bind leaves the port to the kernel, so nobody knows where to ask")
    return check_daemon(settings.http.bind, *await asyncio.to_thread(ask, host, port))


async def _check_hosts(settings: Settings, installations: Iterable[InstallationReport]) -> list[Finding]:
    if settings.http.proxy is not None:
        return [unchecked("hosts", "calls leave by http.proxy, and only a call would tell whether it lets them")]
    revento = settings.revento
    urls = [revento.api_url, revento.auth_url, *(url for one in installations for url in (one.api_url, one.auth_url))]
    places = hosts(urls)
    if not places:
        return [unchecked("hosts", "no installation and no setting names one")]
    outcomes = await asyncio.gather(*(_reached(*place) for place in places))
    return [check_host(*place, outcome) for place, outcome in zip(places, outcomes, strict=True)]


async def _reached(host: str, port: int, tls: bool) -> float | Transient:
    try:
        return await reach(host, port, tls=tls)
    except Transient as error:
        return error
