"""One caller of one API: paced, counted, and bounded by the number of calls that was announced."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

MEDIA_TYPE = "application/vnd.revento.v1+json"
REQUEST_ID = "X-Revento-Request-Id"
# Under the 30 a minute of contracts/revento.md §8, which the server counts by arrival.
CALLS_A_MINUTE = 28
MINUTE_S = 61.0


class TryLater(Exception):
    """No reply came, or only a refusal for going too fast: a sentence for a person."""


class OutOfCalls(Exception):
    """The survey would have made more calls than it announced."""


@dataclass(frozen=True)
class Answer:
    """One reply, and the request id that was sent for it."""

    asked: str
    request_id: str
    status: int
    headers: Mapping[str, str]
    body: Any  # decoded JSON; None when it is none

    @property
    def code(self) -> str | None:
        """The code of the error envelope."""
        return self.body.get("error") if isinstance(self.body, dict) and self.status >= 400 else None

    @property
    def remaining(self) -> int | None:
        """What the reply says is left of the hour."""
        text = self.headers.get("x-ratelimit-remaining", "")
        return int(text) if text.isdecimal() else None

    @property
    def media_type(self) -> str:
        """Without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a listing; none when it is no listing."""
        data = self.body.get("data") if isinstance(self.body, dict) else None
        return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []

    @property
    def next_cursor(self) -> str | None:
        """Where the listing goes on."""
        return self.body.get("next_cursor") if isinstance(self.body, dict) else None

    @property
    def has_more(self) -> bool:
        """Whether the listing says that it goes on."""
        return isinstance(self.body, dict) and self.body.get("has_more") is True

    def __str__(self) -> str:
        return f"{self.status}{f' {self.code}' if self.code else ''}"


@dataclass
class Probe:
    """Calls one API under one token. `sleep` takes seconds; `per_minute` 0 means no pacing."""

    api_url: str
    token: str
    client: httpx.Client
    most_calls: int
    per_minute: int = CALLS_A_MINUTE
    sleep: Callable[[float], None] = time.sleep
    answers: list[Answer] = field(default_factory=list)
    _sent_at: deque[float] = field(default_factory=deque)

    def get(
        self,
        path: str,
        query: Mapping[str, str | int] | None = None,
        *,
        paced: bool = True,
        authorization: str | None = "",
        headers: Mapping[str, str | None] | None = None,
    ) -> Answer:
        """One read. A header of None is left out; `authorization` "" is the token's own, None sends none.

        Raises TryLater (also when a paced call is refused for going too fast), OutOfCalls.
        """
        if len(self.answers) >= self.most_calls:
            raise OutOfCalls(f"{self.most_calls} calls were announced, and all are made")
        if paced:
            self._wait_for_room()
        request_id = str(uuid4())
        given = {
            "Authorization": f"Bearer {self.token}" if authorization == "" else authorization,
            "Accept": MEDIA_TYPE,
            REQUEST_ID: request_id,
            **(headers or {}),
        }
        answer = self._send(
            path, dict(query or {}), {name: value for name, value in given.items() if value is not None}
        )
        self.answers.append(answer)
        if paced and answer.status == 429:
            raise TryLater(f"{answer.asked} was refused ({answer}): somebody else spends this token's budget too")
        return answer

    def _send(self, path: str, query: dict[str, str | int], headers: dict[str, str]) -> Answer:
        request = self.client.build_request("GET", self.api_url + path, params=query, headers=headers)
        if "Accept" not in headers:
            del request.headers["Accept"]  # the client would add its own
        try:
            response = self.client.send(request)
        except httpx.HTTPError as error:
            raise TryLater(f"GET {path}: {type(error).__name__}: {error}") from error
        asked = (
            f"GET {path}{'?' if query else ''}{'&'.join(f'{name}={str(value)[:12]}' for name, value in query.items())}"
        )
        return Answer(
            asked,
            headers[REQUEST_ID],
            response.status_code,
            {name.lower(): value for name, value in response.headers.items()},
            _json(response.content),
        )

    def wait(self, wait_s: float) -> None:
        """Sleep, and say so."""
        print(f"waiting {wait_s:.0f} s", file=sys.stderr)
        self.sleep(wait_s)

    def _wait_for_room(self) -> None:
        now = time.monotonic()
        while self._sent_at and self._sent_at[0] <= now - MINUTE_S:
            self._sent_at.popleft()
        if self.per_minute and len(self._sent_at) >= self.per_minute:
            self.wait(self._sent_at[0] + MINUTE_S - now)
        self._sent_at.append(time.monotonic())


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
