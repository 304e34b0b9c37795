"""Which calls are made. Each part says beforehand how many, and yields its answers by name."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import uuid4

from tests.contract.probe import Answer, Probe

LARGEST_LIMIT = 50  # contracts/revento.md §9
MOST_PAGES = 4  # of each paged listing
READ_ONLY_CALLS = 24 + 2 * MOST_PAGES

Answers = dict[str, Answer]


@dataclass(frozen=True)
class Survey:
    """What was seen without changing anything: answers by name, and the pages of both paged listings."""

    event_id: str
    answers: Answers
    participants: tuple[Answer, ...]
    activities: tuple[Answer, ...]


def read_only(probe: Probe, event_id: str) -> Survey:
    """All reads but the event's own, with which they are READ_ONLY_CALLS at most; a dozen are meant to be refused."""
    event = f"/events/{event_id}"
    participants = _pages(probe, f"{event}/participants")
    activities = _pages(probe, f"{event}/activities")
    answers = {**_token_and_version(probe, event), **_listings(probe, event)}
    answers |= _paging(probe, event, participants[0]) | _single(probe, event, activities[0])
    return Survey(event_id, answers, participants, activities)


def _token_and_version(probe: Probe, event: str) -> Answers:
    return {
        "no accept": probe.get(event, headers={"Accept": None}),
        "version 99": probe.get(event, headers={"Accept": "application/vnd.revento.v99+json"}),
        "no token": probe.get(event, authorization=None),
        "unknown token": probe.get(event, authorization=f"Bearer rev_install_{uuid4().hex}"),
        "unknown event": probe.get(f"/events/evt_{uuid4().hex[:12]}"),
        "user endpoint": probe.get("/me/profile"),
        "developer endpoint": probe.get("/developer/integrations/none/installations"),
    }


def _listings(probe: Probe, event: str) -> Answers:
    return {name: probe.get(f"{event}/{name}") for name in ("threads", "registration-waves", "locations", "program")}


def _paging(probe: Probe, event: str, first: Answer) -> Answers:
    """The calls around the refused cursor stand side by side: what is left of the hour tells whether it was counted."""
    path = f"{event}/participants"
    small = probe.get(path, {"limit": 2})
    cursor = small.next_cursor or ""
    return {
        "page again": probe.get(path, {"limit": LARGEST_LIMIT}),
        "page if changed": probe.get(
            path, {"limit": LARGEST_LIMIT}, headers={"If-None-Match": first.headers.get("etag", '"none"')}
        ),
        "small page": small,
        "cursor, other limit": probe.get(path, {"limit": 3, "cursor": cursor}),
        "cursor elsewhere": probe.get(f"{event}/activities", {"limit": 2, "cursor": cursor}),
        "cursor": probe.get(path, {"limit": 2, "cursor": cursor}),
        "malformed cursor": probe.get(path, {"limit": 2, "cursor": "no-cursor-at-all"}),
        "roles": probe.get(f"{event}/roles"),
        "limit 51": probe.get(path, {"limit": LARGEST_LIMIT + 1}),
        "limit 0": probe.get(path, {"limit": 0}),
    }


def _single(probe: Probe, event: str, first: Answer) -> Answers:
    """The activity with the most fields in the listing, and one that does not exist."""
    found = {"unknown activity": probe.get(f"{event}/activities/act_{uuid4().hex[:12]}")}
    if first.rows:
        fullest = max(first.rows, key=len)
        found["activity"] = probe.get(f"{event}/activities/{fullest.get('id')}")
        found["its item"] = first
    return found


def _pages(probe: Probe, path: str) -> tuple[Answer, ...]:
    pages = [probe.get(path, {"limit": LARGEST_LIMIT})]
    while pages[-1].has_more and pages[-1].next_cursor and len(pages) < MOST_PAGES:
        pages.append(probe.get(path, {"limit": LARGEST_LIMIT, "cursor": pages[-1].next_cursor}))
    return tuple(pages)
