"""Which reading of each gap an API follows (contracts/revento.md §17): pure, from what a survey has seen."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.contract.survey import Survey

DOCUMENTED_STATUSES = {"pending", "approved", "rejected", "revision_requested"}
WITHDRAWN = re.compile("withdr|cancel|left", re.IGNORECASE)


@dataclass(frozen=True)
class Gap:
    """A question that the contract leaves open. `readings`: word -> what it means; the first is the proposed one."""

    id: str
    question: str
    readings: Mapping[str, str]


@dataclass(frozen=True)
class Seen:
    """What was observed of one gap; `reading` None: nothing that would tell."""

    gap: str
    reading: str | None
    evidence: str


GAPS = (
    Gap("G1", "from when do a cursor's 24 h run", {"cursor": "its own issue", "walk": "the walk's first page"}),
    Gap("G2", "is limit part of a cursor's query", {"free": "no", "bound": "yes"}),
    Gap("G3", "what is a cursor bound to", {"grant": "it survives a token refresh", "token": "it dies with the token"}),
    Gap(
        "G4",
        "status of a refused cursor",
        {"400": "invalid_cursor", "404": "not found", "410": "gone", "422": "unprocessable"},
    ),
    Gap("G5", "a limit out of range", {"refused": "invalid_request", "clamped": "taken as the nearest one"}),
    Gap("G6", "order of a listing", {"created": "by creation", "arbitrary": "none"}),
    Gap("G7", "a spent refresh token", {"revoke": "kills the family", "grace": "is answered with the same pair"}),
    Gap("G8", "the old access token after a refresh", {"lives": "to its own expiry", "dies": "at once"}),
    Gap("G9", "refresh_expires_in near the yearly cap", {"shortened": "the time left", "constant": "always 90 days"}),
    Gap("G10", "Remaining on a burst refusal", {"hourly": "what is left of the hour", "zero": "0"}),
    Gap("G11", "do refused calls count", {"free": "no", "counted": "yes"}),
    Gap("G12", "whose is the budget", {"installation": "a refresh does not renew it", "token": "a refresh renews it"}),
    Gap("G13", "limits of developer endpoints", {"own": "their own", "same": "an installation's"}),
    Gap("G17", "an unknown version in Accept", {"refused": "406", "served": "the default version"}),
    Gap("G19", "an event id that does not exist", {"403": "event_not_authorized", "404": "resource_not_found"}),
    Gap("G20", "a withdrawn participant", {"gone": "is not listed", "kept": "stays, with an undocumented status"}),
    Gap("G21", "does rejecting a bad request cost", {"free": "no", "counted": "yes"}),
    Gap("G22", "conditional requests", {"ignored": "no", "honoured": "304 for a matching ETag"}),
    Gap(
        "G25",
        "a sign-up list shorter than its count",
        {"cut": "was cut after a fixed number", "hidden": "leaves single people out"},
    ),
    Gap("G26", "items of /activities", {"full": "the whole activity", "summary": "some fields only"}),
)


def observed(survey: Survey) -> list[Seen]:
    """What the read-only calls tell."""
    return [judge(survey) for judge in JUDGES]


def _limit_in_cursor(survey: Survey) -> Seen:
    same, other = survey.answers["cursor"], survey.answers["cursor, other limit"]
    if same.status != 200:
        return Seen("G2", None, f"the cursor was refused even with its own limit ({same})")
    return Seen("G2", "free" if other.status == 200 else "bound", f"cursor of limit=2, asked with limit=3: {other}")


def _refused_cursor(survey: Survey) -> Seen:
    answer = survey.answers["malformed cursor"]
    reading = str(answer.status) if answer.status in {400, 404, 410, 422} else None
    return Seen("G4", reading, f"a malformed cursor: {answer}")


def _limit_range(survey: Survey) -> Seen:
    over, zero = survey.answers["limit 51"], survey.answers["limit 0"]
    reading = {(400, 400): "refused", (200, 200): "clamped"}.get((over.status, zero.status))
    rows = f", {len(over.rows)} rows" if over.status == 200 else ""
    return Seen("G5", reading, f"limit=51: {over}{rows}; limit=0: {zero}")


def _order(survey: Survey) -> Seen:
    first, again = survey.participants[0].rows, survey.answers["page again"].rows
    common = {row["id"] for row in first} & {row["id"] for row in again}
    orders = [[row["id"] for row in rows if row["id"] in common] for rows in (first, again)]
    stamps = [str(row.get("created_at")) for row in first]
    if len(common) < 2:
        return Seen("G6", None, f"only {len(common)} rows to compare")
    if orders[0] != orders[1]:
        return Seen("G6", "arbitrary", "the same page came twice in different orders")
    if stamps != sorted(stamps):
        return Seen("G6", "arbitrary", "the same page came twice alike, but not in the order of created_at")
    return Seen("G6", "created", f"{len(common)} rows came twice alike, in the order of created_at")


def _developer_limits(survey: Survey) -> Seen:
    listing = survey.answers.get("developer listing")
    if listing is None:
        return Seen("G13", None, "needs --client-id, a client secret and --integration-id")
    limits = [answer.headers.get("x-ratelimit-limit") for answer in (survey.answers["event"], listing)]
    if listing.status != 200:
        return Seen("G13", None, f"the developer listing: {listing}")
    reading = "same" if limits[0] == limits[1] else "own"
    return Seen("G13", reading, f"X-RateLimit-Limit {limits[1] or 'missing'}, an installation's {limits[0]}")


def _version(survey: Survey) -> Seen:
    answer = survey.answers["version 99"]
    return Seen("G17", {406: "refused", 200: "served"}.get(answer.status), f"Accept …v99+json: {answer}")


def _unknown_event(survey: Survey) -> Seen:
    answer = survey.answers["unknown event"]
    return Seen("G19", {403: "403", 404: "404"}.get(answer.status), f"an event id made up: {answer}")


def _withdrawn(survey: Survey) -> Seen:
    statuses = [str(row.get("application_status")) for page in survey.participants for row in page.rows]
    if not statuses:
        return Seen("G20", None, "no participant was seen")
    odd = sorted(set(statuses) - DOCUMENTED_STATUSES)
    is_kept = any(WITHDRAWN.search(status) for status in odd)
    evidence = f"undocumented statuses among {len(statuses)} rows: {', '.join(odd) or 'none'}"
    return Seen("G20", "kept" if is_kept else "gone", evidence)


def _cost_of_rejection(survey: Survey) -> Seen:
    before, rejected, after = (survey.answers[name] for name in ("cursor", "malformed cursor", "roles"))
    if before.remaining is None or after.remaining is None or rejected.status < 400:
        return Seen("G21", None, "the replies around a rejected call do not say what remains")
    spent = before.remaining - after.remaining
    reading = {1: "free", 2: "counted"}.get(spent)
    return Seen("G21", reading, f"Remaining {before.remaining}, a rejected call, then {after.remaining}")


def _conditional(survey: Survey) -> Seen:
    etag, answer = survey.participants[0].headers.get("etag"), survey.answers["page if changed"]
    reading = "honoured" if answer.status == 304 else "ignored" if answer.status == 200 else None
    return Seen("G22", reading, f"{'an ETag' if etag else 'no ETag'}; If-None-Match: {answer}")


def _short_lists(survey: Survey) -> Seen:
    """A cut leaves every longer list at one length; people left out one by one leave lists of any length."""
    lists = [
        (len(row["signed_up_participant_ids"]), row.get("committed_signups_count") or 0)
        for page in survey.activities
        for row in page.rows
        if isinstance(row.get("signed_up_participant_ids"), list)
    ]
    short = [(listed, committed) for listed, committed in lists if listed < committed]
    if not short:
        return Seen("G25", None, f"none of {len(lists)} lists is shorter than its count")
    longest = max(listed for listed, _ in lists)
    is_cut = all(listed == longest for listed, _ in short)
    lengths = ", ".join(f"{listed} of {committed}" for listed, committed in short[:5])
    return Seen("G25", "cut" if is_cut else "hidden", f"{len(short)} of {len(lists)} lists are short: {lengths}")


def _items(survey: Survey) -> Seen:
    whole = survey.answers.get("activity")
    if whole is None or whole.status != 200 or not isinstance(whole.body, dict):
        return Seen("G26", None, f"no activity to compare{'' if whole is None else f' ({whole})'}")
    item = next(row for row in survey.activities[0].rows if row.get("id") == whole.body.get("id"))
    missing = sorted(set(whole.body) - set(item))
    if not missing:
        return Seen("G26", "full", f"an item has all {len(whole.body)} fields of its own endpoint")
    return Seen("G26", "summary", f"an item lacks {', '.join(missing[:6])}{' …' if len(missing) > 6 else ''}")


JUDGES: tuple[Callable[[Survey], Seen], ...] = (
    _limit_in_cursor,
    _refused_cursor,
    _limit_range,
    _order,
    _developer_limits,
    _version,
    _unknown_event,
    _withdrawn,
    _cost_of_rejection,
    _conditional,
    _short_lists,
    _items,
)
