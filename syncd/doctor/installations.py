"""The installations: may they work, do their credentials open and live, and are their streams fresh."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from syncd.config_types import show_duration
from syncd.findings import Finding, State
from syncd.sources import SOURCES
from syncd.store.observations import CredentialReport
from syncd.store.reports import InstallationReport, StreamReport

# An organizer has to be asked and to find the time; each refresh makes it 90 days again (contracts/revento.md §5).
SOON = timedelta(days=14)
# Of a whole new consent; nothing puts it off (contracts/revento.md §2, trap 13).
WEEKS_AHEAD = timedelta(weeks=6)


def check_installations(installations: Sequence[InstallationReport]) -> list[Finding]:
    """Whether each may work, and with all the scopes that its streams need."""
    if not installations:
        add = "`syncd installations add --help` shows how to add one"
        return [Finding("installations", "warning", "there are no installations yet", add)]
    return [finding for one in installations for finding in (_state(one), *_scopes(one))]


def _state(one: InstallationReport) -> Finding:
    reason = f": {one.state_reason}" if one.state_reason else ""
    match one.state:
        case "active":
            return Finding("installations", "ok", f"{one.name} is active")
        case "paused":
            resume = f"`syncd installations resume {one.name}` lets it go on"
            return Finding("installations", "warning", f"{one.name} is paused{reason}", resume)
    return Finding("installations", "wrong", f"{one.name} needs a new consent{reason}", _consent(one.name))


def _scopes(one: InstallationReport) -> Iterator[Finding]:
    streams = SOURCES[one.source].streams
    for scope in sorted({stream.scope for stream in streams} - set(one.scopes)):
        skipped = ", ".join(stream.name for stream in streams if stream.scope == scope)
        yield Finding(
            "installations", "warning", f"{one.name} lacks the scope {scope}, so these are skipped: {skipped}",
            f"if they are wanted, {_consent(one.name)}",
        )  # fmt: skip


def check_credentials(credentials: Iterable[CredentialReport], now: datetime) -> list[Finding]:
    """Whether each pair has a life before it."""
    return [finding for one in credentials if (finding := _life(one, now)).state != "ok"]


def _life(one: CredentialReport, now: datetime) -> Finding:
    if not one.has_refresh_token:
        if one.access_expires_at <= now:
            return _wrong(one, "its access token has expired, and there is no refresh token")
        return _warning(one, f"there is no refresh token: it works until {_day(one.access_expires_at)}")
    dies_at = one.refresh_expires_at
    if dies_at is not None and dies_at <= now:
        return _wrong(one, f"its refresh token has expired on {_day(dies_at)}")
    if dies_at is not None and dies_at <= now + SOON:
        return _warning(one, f"its refresh token expires on {_day(dies_at)}, unless it is renewed before")
    if one.consent_ends_at <= now + WEEKS_AHEAD:
        return _warning(one, f"the consent ends on {_day(one.consent_ends_at)}, a year after it was given")
    return Finding("installations", "ok", f"the refresh token of {one.installation} lives")


def _wrong(one: CredentialReport, sentence: str) -> Finding:
    return Finding("installations", "wrong", f"{one.installation}: {sentence}", _consent(one.installation))


def _warning(one: CredentialReport, sentence: str) -> Finding:
    return Finding("installations", "warning", f"{one.installation}: {sentence}", _consent(one.installation))


def _consent(name: str) -> str:
    return f"ask whoever consented to do so again, then `syncd installations add` with the new credentials for {name}"


def check_freshness(installations: Iterable[InstallationReport]) -> list[Finding]:
    """Whether each stream is as fresh as promised; a paused installation breaks its promise on purpose."""
    findings = []
    for one in installations:
        late = [_late(one, stream) for stream in one.streams if stream.is_stale]
        kept = Finding("freshness", "ok", f"{one.name}: every stream is as fresh as promised ({len(one.streams)})")
        findings += late or [kept]
    return findings


def _late(one: InstallationReport, stream: StreamReport) -> Finding:
    promised = show_duration(timedelta(seconds=stream.promised_s))
    said = "was never certified" if stream.age_s is None else f"is {about(stream.age_s)} old, promised {promised}"
    reason = f": {stream.reason}" if stream.reason else ""
    state: State = "warning" if one.state == "paused" else "wrong"
    fix = f"`syncd sync {one.name} --stream {stream.stream}` tries now; `syncd serve` keeps it fresh"
    return Finding("freshness", state, f"{one.name} {stream.stream} {said}{reason}", fix)


def about(age_s: float) -> str:
    """An age in whole units, the largest of which there are at least two: `95s`, `12m`, `3h`, `2d`."""
    size_s = next((size_s for size_s in (86400, 3600, 60) if age_s >= 2 * size_s), 1)
    return show_duration(timedelta(seconds=max(age_s // size_s, 1) * size_s))


def _day(at: datetime) -> str:
    return f"{at:%Y-%m-%d}"
