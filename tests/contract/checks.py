"""The contract's rules that leave nothing open, judged from what a survey has seen (contracts/revento.md §7 to §12)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.contract.probe import MEDIA_TYPE, REQUEST_ID, Answer
from tests.contract.survey import LARGEST_LIMIT, Survey

# contracts/revento.md §12.1. A field that may be missing ("where present") is not listed.
FIELDS: Mapping[str, str] = {
    "event": "id title description start_date end_date min_age access_mode publish_status visibility organization_id "
    "location_summary image_url created_at updated_at",
    "participants": "id user_id display_name privacy_mode role application_status admin_notes custom_form_fields "
    "last_reviewed_at last_reviewer_id last_review_action registered_at created_at updated_at",
    "roles": "id name description",
    "threads": "id name description icon_name color_hex sort_order",
    "activity": "id title description activity_type activity_details start_time end_time duration_minutes status "
    "thread location host_id host_display_name co_host_ids co_host_display_names markers capacity sign_ups_enabled "
    "committed_signups_count registration_waves created_at updated_at",
    "registration-waves": "id name starts_at ends_at status activity_ids",
}
STAMPED = ("created_at", "updated_at", "start_date", "end_date", "start_time", "end_time", "starts_at", "ends_at")
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


@dataclass(frozen=True)
class Finding:
    """What was seen of one rule; `holds` None: nothing that would tell."""

    case: str
    rule: str
    holds: bool | None
    evidence: str


def findings(survey: Survey, everything: Iterable[Answer]) -> list[Finding]:
    """Each rule, judged. `everything`: all answers of the run."""
    answers = list(everything)
    return [
        *(check(survey) for check in CHECKS),
        *(_documented(name, rows) for name, rows in _resources(survey).items()),
        _stamps(_resources(survey)),
        _echo(answers),
        _rate_headers(answers),
        _media_types(answers),
        _envelopes(answers),
    ]


def _last_page(survey: Survey) -> Finding:
    rule = "the last page says has_more=false, whatever its cursor"
    last = next((pages[-1] for pages in (survey.activities, survey.participants) if not pages[-1].has_more), None)
    if last is None:
        return Finding("RV-01", rule, None, "both listings are longer than this survey walks")
    has_cursor = "a cursor" if last.next_cursor else "no cursor"
    return Finding("RV-01", rule, last.body.get("has_more") is False, f"{last.asked}: {has_cursor}")


def _no_dangling_page(survey: Survey) -> Finding:
    pages = (*survey.participants, *survey.activities)
    dangling = [page.asked for page in pages if page.has_more and not page.next_cursor]
    return Finding("RV-03", "has_more=true comes with a cursor", not dangling, _first(dangling, f"{len(pages)} pages"))


def _unpaged(survey: Survey) -> Finding:
    names = ("roles", "threads", "registration-waves")
    paged = [name for name in names if survey.answers[name].has_more]
    return Finding("RV-04", "/roles, /threads, /registration-waves come whole", not paged, _first(paged, "no has_more"))


def _foreign_cursor(survey: Survey) -> Finding:
    answer = survey.answers["cursor elsewhere"]
    return Finding("RV-05", "another listing's cursor is refused", 400 <= answer.status < 500, str(answer))


def _cursor_goes_on(survey: Survey) -> Finding:
    small, following = survey.answers["small page"], survey.answers["cursor"]
    both = {row.get("id") for row in small.rows} & {row.get("id") for row in following.rows}
    return Finding("RV-25", "a page does not repeat the one before", not both, f"{len(both)} rows in both")


def _wrong_event(survey: Survey) -> Finding:
    answer = survey.answers["unknown event"]
    holds = (answer.status, answer.code) in {(403, "event_not_authorized"), (404, "resource_not_found")}
    return Finding("RV-22", "another event's id is refused", holds, str(answer))


def _page_size(survey: Survey) -> Finding:
    largest = max(len(page.rows) for page in (*survey.participants, *survey.activities))
    return Finding("§9", f"no page is longer than {LARGEST_LIMIT} rows", largest <= LARGEST_LIMIT, f"at most {largest}")


def _unscheduled(survey: Survey) -> Finding:
    """Both shapes are legal; whether they occur here tells what this event can prove."""
    rows = [row for page in survey.activities for row in page.rows]
    unscheduled = sum(row.get("start_time") is None for row in rows)
    without_list = sum("signed_up_participant_ids" not in row for row in rows)
    seen = f"{unscheduled} of {len(rows)} activities unscheduled, {without_list} without a sign-up list"
    return Finding("RV-38", "start_time may be null, the sign-up list may be missing", True if rows else None, seen)


def _refusal(name: str, status: int, code: str, rule: str) -> Callable[[Survey], Finding]:
    def check(survey: Survey) -> Finding:
        answer = survey.answers[name]
        return Finding("§11", rule, (answer.status, answer.code) == (status, code), str(answer))

    return check


def _default_version(survey: Survey) -> Finding:
    answer = survey.answers["no accept"]
    return Finding("§7", "without Accept the default version comes", answer.status == 200, str(answer))


CHECKS: tuple[Callable[[Survey], Finding], ...] = (
    _last_page,
    _no_dangling_page,
    _unpaged,
    _foreign_cursor,
    _wrong_event,
    _cursor_goes_on,
    _unscheduled,
    _page_size,
    _default_version,
    _refusal("no token", 401, "invalid_token", "a call without a token is refused"),
    _refusal("unknown token", 401, "invalid_token", "an unknown token is refused"),
    _refusal("user endpoint", 403, "user_token_required", "/me wants a user token"),
    _refusal("developer endpoint", 401, "invalid_token", "developer endpoints refuse Bearer"),
    _refusal("unknown activity", 404, "resource_not_found", "an unknown activity is not found"),
)


def _resources(survey: Survey) -> dict[str, list[Any]]:
    """The objects of each kind that were seen; activities by their own endpoint, which is whole under both readings."""
    single = {name: survey.answers[name].body for name in ("event", "activity") if name in survey.answers}
    listed = {name: survey.answers[name].rows for name in ("roles", "threads", "registration-waves")}
    people = [row for page in survey.participants for row in page.rows]
    return {name: [body] for name, body in single.items() if isinstance(body, dict)} | listed | {"participants": people}


def _documented(name: str, rows: list[Any]) -> Finding:
    rule = f"every documented field of {name} is there"
    if not rows:
        return Finding("§12", rule, None, "none was seen")
    missing = sorted({field for row in rows for field in FIELDS[name].split() if field not in row})
    return Finding("§12", rule, not missing, f"{len(rows)} seen" if not missing else f"missing: {', '.join(missing)}")


def _stamps(resources: Mapping[str, list[Any]]) -> Finding:
    values = [row[field] for rows in resources.values() for row in rows for field in STAMPED if row.get(field)]
    odd = [str(value) for value in values if not (isinstance(value, str) and STAMP.fullmatch(value))]
    return Finding("§7", "times are ISO 8601 in UTC", not odd if values else None, _first(odd, f"{len(values)} seen"))


def _echo(answers: list[Answer]) -> Finding:
    wrong = [each.asked for each in answers if not _same_id(each.headers.get(REQUEST_ID.lower()), each.request_id)]
    return Finding("RV-39", "the request id is echoed", not wrong, _first(wrong, f"{len(answers)} replies"))


def _same_id(text: str | None, sent: str) -> bool:
    try:
        return UUID(text or "") == UUID(sent)
    except ValueError:
        return False


def _rate_headers(answers: list[Answer]) -> Finding:
    good = [each for each in answers if each.status == 200]
    names = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset")
    without = [each.asked for each in good if not all(each.headers.get(name, "").isdecimal() for name in names)]
    return Finding("§7", "X-RateLimit-* stand on each 200", not without, _first(without, f"{len(good)} replies"))


def _media_types(answers: list[Answer]) -> Finding:
    good = [each for each in answers if each.status == 200]
    odd = [f"{each.asked}: {each.media_type or 'none'}" for each in good if each.media_type != MEDIA_TYPE]
    return Finding("§7", "a 200 has the vendor's media type", not odd, _first(odd, f"{len(good)} replies"))


def _envelopes(answers: list[Answer]) -> Finding:
    refused = [each for each in answers if each.status >= 400]
    odd = [f"{each.asked}: {each}" for each in refused if not _is_envelope(each)]
    return Finding("§11", "a refusal has error, message, our request id", not odd, _first(odd, f"{len(refused)} seen"))


def _is_envelope(answer: Answer) -> bool:
    body = answer.body if isinstance(answer.body, dict) else {}
    is_text = all(isinstance(body.get(name), str) for name in ("error", "message"))
    return is_text and _same_id(body.get("request_id"), answer.request_id)


def _first(items: list[str], otherwise: str) -> str:
    return f"{items[0]}{f' and {len(items) - 1} more' if len(items) > 1 else ''}" if items else otherwise
