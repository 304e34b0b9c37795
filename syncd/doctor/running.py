"""What runs: the daemon, the drivers' leases, the clocks, the last hour's calls, and the way to the APIs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC
from urllib.parse import urlsplit

from syncd.findings import Finding, State
from syncd.store.observations import LeaseReport, TrafficReport

# A window of the call budget is a minute; seconds apart, its counts are still right.
CLOCK_TOLERANCE_S = 5.0
# As the alert SyncdApiErrorsHigh has it.
FAILED_SHARE = 0.1
OWNER = re.compile(r" on (?P<host>\S+), process (?P<pid>\d+)$")


def check_daemon(address: str, is_ready: bool, says: str) -> Finding:
    """Whether the daemon answers on `http.bind`, and is content. It may run on another machine."""
    if is_ready:
        return Finding("daemon", "ok", f"the daemon on {address} is ready")
    if says.startswith("no answer"):
        return Finding("daemon", "warning", f"no daemon answers on {address}", "`syncd serve`, if it shall run here")
    return Finding("daemon", "wrong", f"the daemon on {address} is not ready: {says}", "its log says more")


def check_leases(leases: Sequence[LeaseReport], host: str, is_alive: Callable[[int], bool]) -> list[Finding]:
    """Which claims are held by drivers that are no more. On other hosts only the end of the claim tells."""
    if not leases:
        return [Finding("leases", "ok", "nobody drives an installation now, and no driver has died")]
    return [_lease(lease, dead=lease.has_run_out or _has_ended(lease.owner, host, is_alive)) for lease in leases]


def _has_ended(owner: str, host: str, is_alive: Callable[[int], bool]) -> bool:
    named = OWNER.search(owner)
    return named is not None and named["host"] == host and not is_alive(int(named["pid"]))


def _lease(lease: LeaseReport, *, dead: bool) -> Finding:
    if not dead:
        return Finding("leases", "ok", f"{lease.installation} is being driven by {lease.owner}")
    until = f"{lease.until.astimezone(UTC):%H:%M:%SZ}"
    return Finding(
        "leases", "warning", f"the last driver of {lease.installation} ({lease.owner}) ended without giving it back",
        f"`syncd sync {lease.installation}` goes on where it stood; the claim ends at {until}",
    )  # fmt: skip


def check_clock(ahead_s: float) -> Finding:
    """Whether the database's clock and ours agree; `ahead_s` is how far the database's is ahead."""
    if abs(ahead_s) <= CLOCK_TOLERANCE_S:
        return Finding("clock", "ok", f"the database's clock and ours agree to {abs(ahead_s):.1f} s")
    where = "ahead of" if ahead_s > 0 else "behind"
    return Finding(
        "clock", "wrong", f"the database's clock is {abs(ahead_s):.0f} s {where} ours", "set both by NTP (chrony)"
    )


def check_traffic(traffic: Sequence[TrafficReport]) -> list[Finding]:
    """Whether the API took the last hour's calls."""
    if not traffic:
        return [Finding("requests", "ok", "no call was made within the last hour")]
    return [finding for one in traffic for finding in _traffic(one)]


def _traffic(one: TrafficReport) -> list[Finding]:
    findings = []
    if one.refused:
        findings.append(_refused(one))
    if one.failed:
        findings.append(_failed(one))
    passed = f"{one.installation}: all calls of the last hour were answered in order ({one.calls})"
    return findings or [Finding("requests", "ok", passed)]


def _refused(one: TrafficReport) -> Finding:
    return Finding(
        "requests", "warning", f"{one.installation}: {one.refused} of {one.calls} calls were refused with 429",
        "another program spends the same budget: raise revento.limits.reserve; `syncd limits` shows what is left",
    )  # fmt: skip


def _failed(one: TrafficReport) -> Finding:
    state: State = "wrong" if one.failed / one.calls > FAILED_SHARE else "warning"
    return Finding(
        "requests", state, f"{one.installation}: {one.failed} of {one.calls} calls got a 5xx, or no reply",
        "if it goes on, give the API's support their request ids: they stand in syncd.requests",
    )  # fmt: skip


def hosts(urls: Iterable[str | None]) -> list[tuple[str, int, bool]]:
    """Host, port and whether it speaks TLS, each once."""
    parts = [urlsplit(url) for url in urls if url]
    ports = {"https": 443, "http": 80}
    places = [(each.hostname or "", each.port or ports[each.scheme], each.scheme == "https") for each in parts]
    return sorted(set(places))


def check_host(host: str, port: int, tls: bool, outcome: float | BaseException) -> Finding:
    """Whether a host of the APIs can be reached; `outcome` is how long it took, or why it failed."""
    if isinstance(outcome, BaseException):
        fix = "is the address right, and does the network let us out? `syncd config show` says where it came from"
        return Finding("hosts", "wrong", f"{host}:{port}: {outcome}", fix)
    way = "with TLS" if tls else "without TLS"
    return Finding("hosts", "ok", f"{host}:{port} can be reached {way} ({outcome * 1000:.0f} ms)")
