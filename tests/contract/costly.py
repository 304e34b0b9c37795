"""Gaps that cannot be seen without changing or spending something: each part is asked for by its own option."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx

from tests.contract.gaps import Seen
from tests.contract.probe import Answer, Probe, TryLater

REFRESH_CALLS = 4
# The burst limit, its refusals, and the two calls around them (contracts/revento.md §8).
BURST_CALLS = 40
REFUSALS = 3
CURSOR_CALLS = 3
FULL_REFRESH_LIFE_S = 7_776_000  # §2
YEAR_S = 365 * 86_400


@dataclass(frozen=True)
class Developer:
    """The integration's own credentials (§12.3). `repr` shows no secret."""

    client_id: str
    client_secret: str
    integration_id: str | None
    auth_url: str | None

    def __repr__(self) -> str:
        return f"Developer({self.client_id})"

    @property
    def basic(self) -> str:
        """The value of an Authorization header."""
        return "Basic " + base64.b64encode(f"{self.client_id}:{self.client_secret}".encode()).decode()


def developer_listing(probe: Probe, developer: Developer) -> Answer:
    """One page of the integration's installations, under Basic auth."""
    path = f"/developer/integrations/{developer.integration_id}/installations"
    return probe.get(path, {"limit": 100}, authorization=developer.basic)


@dataclass
class Grant:
    """The token pair in a file, which each refresh rewrites before the new access token is used."""

    path: Path
    pair: dict[str, Any]

    def renew(self, client: httpx.Client, developer: Developer, refresh_token: str) -> httpx.Response:
        """POST a refresh; a new pair is on disk when this returns. Raises TryLater."""
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": developer.client_id,
            "client_secret": developer.client_secret,
        }
        try:
            response = client.post(f"{developer.auth_url}/oauth/token", data=form)
        except httpx.HTTPError as error:
            raise TryLater(f"POST /oauth/token: {type(error).__name__}; the pair may be spent") from error
        if response.status_code == 200:
            self.pair = {**self.pair, **response.json()}
            self._save()
        return response

    def _save(self) -> None:
        fresh = self.path.with_name(self.path.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(self.pair, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)


def refresh(probe: Probe, event_id: str, grant: Grant, developer: Developer, listing: Answer | None) -> list[Seen]:
    """G3, G8, G9 and G12: the pair is renewed once."""
    participants = f"/events/{event_id}/participants"
    before = probe.get(participants, {"limit": 2})
    old_token, old_remaining = probe.token, before.remaining
    renewed = grant.renew(probe.client, developer, grant.pair["refresh_token"])
    if renewed.status_code != 200:
        return [
            Seen(gap, None, f"the refresh was refused ({renewed.status_code})") for gap in ("G3", "G8", "G9", "G12")
        ]
    probe.token = grant.pair["access_token"]
    after = probe.get(f"/events/{event_id}")
    walked = probe.get(participants, {"limit": 2, "cursor": before.next_cursor or ""})
    old = probe.get(f"/events/{event_id}", authorization=f"Bearer {old_token}")
    return [
        Seen("G3", "grant" if walked.status == 200 else "token", f"a cursor, used after a refresh: {walked}"),
        Seen("G8", {200: "lives", 401: "dies"}.get(old.status), f"the old token after the refresh: {old}"),
        _cap(renewed, event_id, listing),
        _budget_key(old_remaining, after.remaining),
    ]


def _budget_key(before: int | None, after: int | None) -> Seen:
    if before is None or after is None:
        return Seen("G12", None, "the replies do not say what remains")
    return Seen("G12", "installation" if after < before else "token", f"Remaining {before}, a refresh, then {after}")


def _cap(renewed: httpx.Response, event_id: str, listing: Answer | None) -> Seen:
    """Telling only while the yearly cap is nearer than the 90 days that a refresh token slides."""
    row = next((row for row in listing.rows if row.get("event_id") == event_id), None) if listing else None
    if row is None:
        return Seen("G9", None, "needs the developer listing, for the date of the consent")
    now = parsedate_to_datetime(renewed.headers["date"])
    left_s = YEAR_S - (now - datetime.fromisoformat(row["connected_at"])).total_seconds()
    told_s = float(renewed.json().get("refresh_expires_in", 0))
    if left_s >= FULL_REFRESH_LIFE_S:
        return Seen("G9", None, f"the yearly cap is {left_s / 86_400:.0f} days away; it tells within the last 90")
    reading = "constant" if told_s == FULL_REFRESH_LIFE_S else "shortened"
    return Seen(
        "G9", reading, f"{left_s / 86_400:.1f} days before the cap, refresh_expires_in is {told_s / 86_400:.1f}"
    )


def burst(probe: Probe, event_id: str) -> list[Seen]:
    """G10 and G11: calls without a pause until one is refused, a few refusals more, then the wait that was told."""
    event = f"/events/{event_id}"
    good: Answer | None = None
    refusals: list[Answer] = []
    for _ in range(BURST_CALLS - 1):
        answer = probe.get(event, paced=False)
        if answer.status == 429:
            refusals.append(answer)
        else:
            good = answer
        if len(refusals) == REFUSALS:
            break
    if good is None or len(refusals) < REFUSALS:
        return [Seen(gap, None, f"{len(refusals)} refusals in {BURST_CALLS - 1} calls") for gap in ("G10", "G11")]
    wait_s = max(float(answer.headers.get("retry-after", 60)) for answer in refusals)
    probe.wait(wait_s + 1)
    return [_on_refusal(good, refusals[0]), _after_refusals(good, probe.get(event, paced=False))]


def _on_refusal(good: Answer, refused: Answer) -> Seen:
    if not good.remaining or refused.remaining is None:
        return Seen("G10", None, "the replies do not say what remains")
    reading = "zero" if refused.remaining == 0 else "hourly"
    return Seen("G10", reading, f"Remaining {good.remaining} before, {refused.remaining} on the refusal")


def _after_refusals(good: Answer, after: Answer) -> Seen:
    if good.remaining is None or after.remaining is None or after.status != 200:
        return Seen("G11", None, f"after the wait: {after}")
    spent = good.remaining - after.remaining
    reading = {1: "free", 1 + REFUSALS: "counted"}.get(spent)
    evidence = f"Remaining {good.remaining}, {REFUSALS} refusals, then {after.remaining}"
    return Seen("G11", reading, evidence)


def cursor_age(probe: Probe, event_id: str, life_s: float) -> list[Seen]:
    """G1: a cursor that is younger than its life, in a walk that is older. Takes 1.2 lives."""
    path = f"/events/{event_id}/participants"
    first = probe.get(path, {"limit": 1})
    probe.wait(0.6 * life_s)
    second = probe.get(path, {"limit": 1, "cursor": first.next_cursor or ""})
    if second.status != 200 or not second.has_more:
        return [Seen("G1", None, f"the second page: {second}")]
    probe.wait(0.6 * life_s)
    third = probe.get(path, {"limit": 1, "cursor": second.next_cursor or ""})
    reading = "cursor" if third.status == 200 else "walk"
    return [Seen("G1", reading, f"a cursor aged 0.6 lives in a walk aged 1.2: {third}")]


def end_grant(probe: Probe, event_id: str, grant: Grant, developer: Developer) -> list[Seen]:
    """G7: a refresh token is presented twice. Under the proposed reading the organizer must consent again."""
    spent = grant.pair["refresh_token"]
    if grant.renew(probe.client, developer, spent).status_code != 200:
        return [Seen("G7", None, "the refresh was refused")]
    again = grant.renew(probe.client, developer, spent)
    reading = "grace" if again.status_code == 200 else "revoke"
    return [Seen("G7", reading, f"the spent refresh token again: {again.status_code}{_word(again)}")]


def _word(response: httpx.Response) -> str:
    try:
        body: Mapping[str, Any] = response.json()
    except ValueError:
        return ""
    return f" {body['error']}" if "error" in body else ""
