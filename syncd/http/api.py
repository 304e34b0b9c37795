"""One API under one credential: each attempt is paced, named by an id, judged, written down, and retried by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import count
from random import Random
from typing import NoReturn
from urllib.parse import quote
from uuid import uuid4

import httpx

from syncd.clock import Clock
from syncd.errors import UNUSABLE_ID, ApiError, ContractBreach, NotFound, RateLimited, Transient
from syncd.http.client import Client, Incoming, opened
from syncd.http.outage import Outage
from syncd.logs import get_logger
from syncd.model import AccessTokens, Budget, Dialect, RequestLog, RequestRecord
from syncd.wire.freshness import read_date, why_stale
from syncd.wire.rate_limit import read_headroom
from syncd.wire.reply import Reply, read_media_type
from syncd.wire.retry import GiveUp, Refresh, RetryAfter, decide, pause_after
from syncd.wire.tokens import fingerprint

# What a URL's reader takes for a step in the path, percent-encoded or not.
_STEPS = ("", ".", "..")
# As it stands in an address; servers take some 8,000 characters of one.
LONGEST_ID = 6_000

log = get_logger(__name__)


@dataclass(slots=True)
class HttpApi:
    """`model.Api` over HTTP under one credential. `places` fills the endpoints' templates."""

    api_url: str
    places: Mapping[str, str]
    dialect: Dialect
    client: Client
    tokens: AccessTokens
    budget: Budget
    records: RequestLog
    clock: Clock
    random: Random
    outage: Outage  # one for all the clients of that API
    scheme: str = "Bearer"
    _newest_date: datetime | None = field(default=None, init=False)
    _warned_of_echo: bool = field(default=False, init=False)

    async def get(
        self,
        endpoint: str,
        query: Mapping[str, str | int] | None = None,
        *,
        path: Mapping[str, str] | None = None,
    ) -> Reply:
        """The 200 reply to one read. Raises the ApiError that is left when a repeat would not help."""
        url = self._url(endpoint, path or {})
        refreshed = False
        token = ""
        for attempt in count(1):
            asked_at = self.clock.monotonic()
            try:
                async with self.budget.slot():
                    waited_s = self.clock.monotonic() - asked_at
                    token = await self.tokens.current()
                    return await self._attempt(endpoint, url, query or {}, token, waited_s)
            except ApiError as error:
                if isinstance(error, RateLimited):
                    self.budget.pause(pause_after(error, self.random))
                elif error.retry_after_s:  # a 503 may be a throttle that goes by another name
                    self.budget.pause(error.retry_after_s)
                match decide(error, attempt=attempt, refreshed=refreshed, outage=self.outage.is_on, random=self.random):
                    case GiveUp():
                        raise
                    case Refresh():
                        refreshed = True
                        await self.tokens.renew(token)
                    case RetryAfter(pause_s):
                        await self.clock.sleep(pause_s)
        raise AssertionError("count() does not end")

    async def renew_unless_it_lasts(self, life_s: float) -> None:
        """Have an access token that lives for so long, where a new one would and the one in use does not."""
        await self.tokens.current(life_s)

    async def _attempt(
        self, endpoint: str, url: str, query: Mapping[str, str | int], token: str, waited_s: float
    ) -> Reply:
        record = RequestRecord(
            request_id=uuid4(),
            endpoint=endpoint,
            token_fingerprint=fingerprint(token),
            sent_at=self.clock.now(),
            waited_ms=round(waited_s * 1000),
        )
        log.info("request", request_id=str(record.request_id), endpoint=endpoint, token_fp=record.token_fingerprint)
        started = self.clock.monotonic()
        try:
            async with opened(self.client, self._request(record, url, query, token)) as incoming:
                record = self._with_head(record, incoming)
                self._judge_head(record, incoming)
                if incoming.status == 200:  # what a refusal says of the hour may be anything (G10, G11)
                    self.budget.learn(record.headroom, sent_at=started)
                body = await incoming.read()
            reply = Reply(
                str(record.request_id),
                incoming.status,
                incoming.headers,
                body,
                self.clock.now(),
                incoming.host,
                record.token_fingerprint,
            )
            record = replace(record, bytes=len(body), ended_at=reply.received_at)
            if reply.status != 200:
                raise self.dialect.classify(reply)
        except ApiError as error:
            error.request_id, error.token_fingerprint = str(record.request_id), record.token_fingerprint
            record = replace(record, error_code=error.code or f"http_{error.status}", retry_after_s=error.retry_after_s)
            self.outage.note(error)
            raise
        finally:
            self._note(replace(record, duration_ms=round((self.clock.monotonic() - started) * 1000)))
        self.outage.note(None)
        return reply

    def _url(self, endpoint: str, path: Mapping[str, str]) -> str:
        """Ids are data: quoted whole, they cannot leave their place in the path (docs/faults.md 116).

        Raises NotFound for one that no quoting holds there.
        """
        for name, value in {**self.places, **path}.items():
            try:
                quoted = "" if value in _STEPS else quote(value, safe="")
            except UnicodeEncodeError:  # half a surrogate pair
                quoted = ""
            if not 0 < len(quoted) <= LONGEST_ID:
                raise NotFound(f"{value[:100]!r} cannot be asked for", code=UNUSABLE_ID)
            endpoint = endpoint.replace(f"{{{name}}}", quoted)
        return self.api_url + endpoint

    def _request(self, record: RequestRecord, url: str, query: Mapping[str, str | int], token: str) -> httpx.Request:
        return self.client.build_request(
            "GET",
            url,
            params=dict(query),
            headers={
                "Authorization": f"{self.scheme} {token}",
                "Accept": self.dialect.media_type,
                self.dialect.request_id_header: str(record.request_id),
            },
        )

    def _with_head(self, record: RequestRecord, incoming: Incoming) -> RequestRecord:
        now = self.clock.now()
        return replace(
            record,
            status=incoming.status,
            ended_at=now,
            headroom=read_headroom(incoming.headers, received_at=now),
            server_request_id=incoming.headers.get(self.dialect.request_id_header.lower()),
        )

    def _judge_head(self, record: RequestRecord, incoming: Incoming) -> None:
        """Everything that can be said before the body is read. Raises Transient, ContractBreach."""
        self._judge_echo(record)
        self._judge_age(record, incoming.headers)
        media_type = read_media_type(incoming.headers)
        if incoming.status == 200 and media_type != self.dialect.media_type:
            raise ContractBreach(
                f"{incoming.host} answered with {media_type or 'something untyped'}, not with what was asked for",
                code="media_type",
                hint="is that the API's host? Compare the installation's API address with the documentation",
            )

    def _judge_echo(self, record: RequestRecord) -> None:
        echo = record.server_request_id
        if echo is None and not self._warned_of_echo:
            self._warned_of_echo = True
            log.warning("echo_missing", request_id=str(record.request_id), endpoint=record.endpoint)
        if echo is not None and echo != str(record.request_id):
            self._discard(record, "wrong_echo", "the reply echoes another request's id, so it may be another request's")

    def _judge_age(self, record: RequestRecord, headers: Mapping[str, str]) -> None:
        """A right echo proves a reply of ours: a `Date` that goes back with it is the server's clock that was set."""
        stale, date = why_stale(headers, self._newest_date), read_date(headers)
        if stale and date and record.server_request_id:
            self._newest_date = date
        if stale:
            self._discard(record, "stale_reply", stale)
        if date:
            self._newest_date = max(date, self._newest_date or date)

    def _discard(self, record: RequestRecord, code: str, why: str) -> NoReturn:
        log.warning(code, request_id=str(record.request_id), endpoint=record.endpoint)
        raise Transient(why, code=code)

    def _note(self, record: RequestRecord) -> None:
        self.records.append(record)
        log.info(
            "reply",
            request_id=str(record.request_id),
            endpoint=record.endpoint,
            http_status=record.status,
            error_code=record.error_code,
            duration_s=record.duration_ms / 1000,
            rate_limit=record.headroom.limit,
            rate_remaining=record.headroom.remaining,
            rate_reset_at=record.headroom.reset_at,
            token_fp=record.token_fingerprint,
        )
