"""What the documents leave open, and the readings between which the sandbox can be switched (contracts/revento.md §17).

A client is safe when it works under every reading: nobody outside knows which one the real server follows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gap:
    """A question that the documents leave open. `readings`: what the sandbox does under each, the default first."""

    id: str
    question: str
    readings: Mapping[str, str]

    @property
    def default(self) -> str:
        """The reading that the contract proposes."""
        return next(iter(self.readings))


GAPS = (
    Gap(
        "G1",
        "From when do a cursor's 24 hours run?",
        {"cursor": "from the issue of each cursor", "walk": "from the walk's first page"},
    ),
    Gap(
        "G2",
        "Is limit part of the query that a cursor is bound to?",
        {"free": "no: the limit may change in mid-walk", "bound": "yes: another limit voids the cursor"},
    ),
    Gap(
        "G3",
        "Does a refreshed token keep the cursor?",
        {"grant": "yes: a cursor belongs to the consent", "token": "no: it dies with the access token's refresh"},
    ),
    Gap(
        "G4",
        "What does a bad or expired cursor get?",
        {
            "400": "400 invalid_cursor",
            "404": "404 resource_not_found",
            "410": "410 cursor_expired",
            "422": "422 unprocessable_request",
        },
    ),
    Gap(
        "G5",
        "What does a limit out of range get?",
        {"refused": "400 invalid_request", "clamped": "the nearest limit; 25 for what is no number"},
    ),
    Gap(
        "G6",
        "In which order do listings come?",
        {
            "created": "in order of creation, live",
            "arbitrary": "shuffled for each request: pages repeat rows and skip others",
        },
    ),
    Gap(
        "G7",
        "What happens when a rotated refresh token is used again?",
        {"revoke": "400 invalid_grant, and the family is revoked", "grace": "the same pair again, for a minute"},
    ),
    Gap(
        "G8",
        "Does the old access token outlive a refresh?",
        {"lives": "yes, until its own expiry", "dies": "no: 401 token_revoked at once"},
    ),
    Gap(
        "G9",
        "What is refresh_expires_in near the yearly cap?",
        {"shortened": "the time that is left", "constant": "what it always is, and then the refresh fails"},
    ),
    Gap(
        "G10",
        "What does X-RateLimit-Remaining say on a burst 429?",
        {"hourly": "what is left of the hour", "zero": "0"},
    ),
    Gap(
        "G11",
        "Do calls refused with 429 rate_limit_exceeded count?",
        {"free": "no", "counted": "yes, in the hour and in the burst"},
    ),
    Gap(
        "G12",
        "Whose is the budget?",
        {"installation": "the consent's: a refresh does not renew it", "token": "each access token's own"},
    ),
    Gap(
        "G13",
        "Which limits do the developer endpoints have?",
        {"own": "their own, small ones", "same": "those of an installation"},
    ),
    Gap(
        "G17",
        "What does an unknown version in Accept get?",
        {"refused": "406 unsupported_version", "served": "the default version"},
    ),
    Gap(
        "G19",
        "What does an event that does not exist get, with a valid token?",
        {"403": "403 event_not_authorized", "404": "404 resource_not_found"},
    ),
    Gap(
        "G20",
        "What becomes of a participant who withdraws?",
        {"gone": "the row leaves the listing", "kept": "the row stays, with application_status withdrawn"},
    ),
    Gap(
        "G21",
        "Does a bad limit or cursor cost budget?",
        {"free": "no", "counted": "yes"},
    ),
    Gap(
        "G22",
        "Are there conditional requests?",
        {"ignored": "no", "honoured": "yes: an ETag on each 200, and 304 when If-None-Match names it"},
    ),
    Gap(
        "G25",
        "Why is a sign-up list shorter than its count? (fixed at the start)",
        {"cut": "every list ends after 20", "hidden": "single people are left out of some"},
    ),
    Gap(
        "G26",
        "What are the items of /activities?",
        {"full": "whole activities", "summary": "id, title, status, times, thread and location only"},
    ),
    Gap(
        "G27",
        "What becomes of the old client_secret when it is rotated?",
        {"dies": "it is refused at once", "overlaps": "it is good for 24 hours more"},
    ),
    Gap(
        "G28",
        "What does /me/profile get when profile.read was declined?",
        {"refused": "403 insufficient_scope", "served": "200 without email"},
    ),
)
BY_ID = {gap.id: gap for gap in GAPS}


def check(chosen: Mapping[str, str]) -> None:
    """Raise `ValueError`, which names what there is, for an unknown gap or reading."""
    if not isinstance(chosen, Mapping):
        raise ValueError('gaps are an object such as {"G3": "token"}')
    for gap_id, reading in chosen.items():
        if gap_id not in BY_ID:
            raise ValueError(f"no gap {gap_id!r}; there are {', '.join(BY_ID)}")
        if reading not in list(BY_ID[gap_id].readings):
            raise ValueError(f"gap {gap_id} has no reading {reading!r}; it has {', '.join(BY_ID[gap_id].readings)}")
