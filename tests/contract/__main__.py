"""`make contract`: hold a running API against the contract, and print which side of each gap it takes."""

from __future__ import annotations

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import httpx

from tests.contract import checks, costly, gaps
from tests.contract.checks import Finding
from tests.contract.costly import Developer, Grant
from tests.contract.gaps import GAPS, Seen
from tests.contract.probe import CALLS_A_MINUTE, OutOfCalls, Probe, TryLater
from tests.contract.survey import READ_ONLY_CALLS, Survey, read_only

ALL_SEEN, USAGE, DIFFERS, TRY_LATER = 0, 2, 6, 75
DEADLINE_S = 60.0


def main(arguments: Sequence[str] | None = None, sleep: Callable[[float], None] | None = None) -> int:
    """Run the survey; the exit code is 0, 2 (usage), 6 (a rule of the contract does not hold) or 75 (no reply)."""
    options = _parser().parse_args(arguments)
    try:
        if not (options.credentials and options.api_url):
            raise _Mistake("give CREDENTIALS=FILE and API_URL=URL; ARGS=--help tells more")
        grant = _grant(options.credentials)
        developer = _developer(options)
        with httpx.Client(timeout=DEADLINE_S, trust_env=False, headers={"User-Agent": "syncd-contract"}) as client:
            probe = _probe(options, grant, client, developer)
            probe.sleep = sleep or probe.sleep
            _announce(options, probe)
            seen, found = _look(options, probe, grant, developer)
    except _Mistake as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return USAGE
    except (TryLater, OutOfCalls) as error:
        print(f"error: {error}\nhint: is API_URL the API's base? else try again in some minutes", file=sys.stderr)
        return TRY_LATER
    _tell(options, probe, seen, found)
    return DIFFERS if any(finding.holds is False for finding in found) else ALL_SEEN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make contract",
        usage="make contract CREDENTIALS=FILE API_URL=URL [ARGS='OPTION…']",
        description=f"Make at most {READ_ONLY_CALLS} read-only calls under an installation token, hold the replies "
        "against the\ncontract, and print which side of each gap was observed. Options add what cannot be seen so.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  make contract CREDENTIALS=token.json API_URL=http://127.0.0.1:8081/revento/api/v1",
    )
    add = parser.add_argument
    add("--credentials", type=Path, metavar="FILE", help="CREDENTIALS: the token response, as JSON")
    add("--api-url", metavar="URL", help="API_URL: the base, such as https://api.revento.example/api/v1")
    add("--auth-url", metavar="URL", help="the OAuth host, for --refresh and --end-grant")
    add("--client-id", metavar="ID", help="of the integration")
    add("--client-secret-file", type=Path, metavar="FILE", help="or the variable CLIENT_SECRET")
    add("--integration-id", metavar="ID", help="adds one call of the developer listing: G13, and G9's date")
    add("--refresh", action="store_true", help="renew the pair once, and write it back to FILE: G3, G8, G9, G12")
    add("--burst", action="store_true", help="provoke three 429 and wait them out: G10, G11")
    add("--cursor-life", type=float, metavar="SECONDS", help="of the API (a day is 86400); takes 1.2 of it: G1")
    add("--end-grant", action="store_true", help="spend a refresh token twice, which may END THE GRANT: G7")
    add("--per-minute", type=int, default=CALLS_A_MINUTE, metavar="N", help="pace; 0: none (default: %(default)s)")
    add("--json", action="store_true", help="one JSON document")
    return parser


class _Mistake(Exception):
    """What was given cannot be used."""


def _grant(path: Path) -> Grant:
    try:
        pair = json.loads(path.read_text())
        if isinstance(pair["access_token"], str) and isinstance(pair["event_id"], str):
            return Grant(path, pair)
    except OSError as error:
        raise _Mistake(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError):
        pass
    raise _Mistake(f"{path} is not the JSON of a token response with access_token and event_id")


def _developer(options: argparse.Namespace) -> Developer | None:
    secret = os.environ.get("CLIENT_SECRET")
    try:
        secret = options.client_secret_file.read_text().strip() if options.client_secret_file else secret
    except OSError as error:
        raise _Mistake(f"{options.client_secret_file}: {error.strerror}") from error
    is_needed = options.refresh or options.end_grant or options.integration_id
    if is_needed and not (options.client_id and secret):
        raise _Mistake("--refresh, --end-grant and --integration-id need --client-id and --client-secret-file")
    if (options.refresh or options.end_grant) and not options.auth_url:
        raise _Mistake("--refresh and --end-grant need --auth-url")
    return Developer(options.client_id, secret or "", options.integration_id, options.auth_url) if is_needed else None


def _probe(options: argparse.Namespace, grant: Grant, client: httpx.Client, developer: Developer | None) -> Probe:
    parts = (
        (True, READ_ONLY_CALLS),
        (developer and developer.integration_id, 1),
        (options.refresh, costly.REFRESH_CALLS),
        (options.burst, costly.BURST_CALLS),
        (options.cursor_life, costly.CURSOR_CALLS),
    )
    most = sum(calls for asked, calls in parts if asked)
    return Probe(options.api_url.rstrip("/"), grant.pair["access_token"], client, most, options.per_minute)


def _announce(options: argparse.Namespace, probe: Probe) -> None:
    sentence = f"at most {probe.most_calls} calls to {probe.api_url}"
    if probe.per_minute:
        sentence += f", {probe.per_minute} a minute at most"
    print(sentence + "; about a dozen are meant to be refused", file=sys.stderr)
    if options.end_grant:
        print("--end-grant: the organizer may have to connect the event again afterwards", file=sys.stderr)


def _look(
    options: argparse.Namespace, probe: Probe, grant: Grant, developer: Developer | None
) -> tuple[list[Seen], list[Finding]]:
    event_id = grant.pair["event_id"]
    first = probe.get(f"/events/{event_id}")
    if first.status != 200:
        raise _Mistake(f"the token does not open its own event: {first}")
    survey = _with(read_only(probe, event_id), "event", first)
    if developer and developer.integration_id:
        survey = _with(survey, "developer listing", costly.developer_listing(probe, developer))
    seen = gaps.observed(survey)
    found = checks.findings(survey, probe.answers)
    if options.cursor_life:
        seen += costly.cursor_age(probe, event_id, options.cursor_life)
    if options.refresh and developer:
        seen += costly.refresh(probe, event_id, grant, developer, survey.answers.get("developer listing"))
    if options.burst:
        seen += costly.burst(probe, event_id)
    if options.end_grant and developer:
        seen += costly.end_grant(probe, event_id, grant, developer)
    return seen, found


def _with(survey: Survey, name: str, answer: Any) -> Survey:
    return replace(survey, answers={**survey.answers, name: answer})


ASK = {"G1": "--cursor-life", "G3": "--refresh", "G7": "--end-grant", "G8": "--refresh", "G9": "--refresh",
       "G10": "--burst", "G11": "--burst", "G12": "--refresh"}  # fmt: skip


def _tell(options: argparse.Namespace, probe: Probe, seen: list[Seen], found: list[Finding]) -> None:
    by_gap = {each.gap: each for each in seen}
    rows = [by_gap.get(gap.id, Seen(gap.id, None, f"ask with {ASK.get(gap.id)}")) for gap in GAPS]
    if options.json:
        document = {
            "calls": len(probe.answers),
            "gaps": [asdict(row) for row in rows],
            "rules": [asdict(f) for f in found],
        }
        print(json.dumps(document))
        return
    print(f"\n{len(probe.answers)} calls made\n\nGAP  READING       WHAT IT MEANS, AND HOW IT SHOWED")
    for gap, row in zip(GAPS, rows, strict=True):
        meaning = f"{gap.question}: {gap.readings[row.reading]} ({row.evidence})" if row.reading else row.evidence
        _row(gap.id, row.reading or "not observed", meaning)
    print("\nRULE   HOLDS         WHAT THE CONTRACT SAYS, AND HOW IT SHOWED")
    for each in found:
        _row(
            each.case, {True: "yes", False: "NO", None: "not observed"}[each.holds], f"{each.rule} ({each.evidence})", 6
        )


def _row(name: str, word: str, text: str, width: int = 4) -> None:
    lead = f"{name:<{width}} {word:<13} "
    print(textwrap.fill(text, 118, initial_indent=lead, subsequent_indent=" " * len(lead)))


if __name__ == "__main__":
    sys.exit(main())
