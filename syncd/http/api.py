"""One API under one credential: each attempt is paced, named by an id, judged, written down, and retried by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from urllib.parse import quote
from uuid import uuid4

import httpx

from syncd.clock import Clock
from syncd.errors import ApiError, ContractBreach, RateLimited, Transient
from syncd.http.client import exchange
from syncd.http.unreached import host_of
from syncd.logs import get_logger
from syncd.model import AccessTokens, Budget, Dialect, RequestLog, RequestRecord
from syncd.wire.rate_limit import read_headroom
from syncd.wire.reply import Reply
from syncd.wire.retry import GiveUp, Refresh, RetryAfter, decide, pause_after
from syncd.wire.tokens import fingerprint

log = get_logger(__name__)


@dataclass(slots=True)
class HttpApi:
    """`model.Api` over HTTP under one credential. `places` fills the endpoints' templates."""

    api_url: str
    places: Mapping[str, str]
    dialect: Dialect
    client: httpx.AsyncClient
    tokens: AccessTokens
    budget: Budget
    records: RequestLog
    clock: Clock
    random: Random
    scheme: str = "Bearer"

    async def get(self, endpoint: str, query: Mapping[str, str | int] | None = None) -> Reply:
        """The 200 reply to one read. Raises the ApiError that is left when a repeat would not help."""
        refreshed = False
        token = ""
        for attempt in count(1):
            try:
                async with self.budget.slot():
                    token = await self.tokens.current()
                    return await self._attempt(endpoint, query or {}, token)
            except ApiError as error:
                if isinstance(error, RateLimited):
                    self.budget.pause(pause_after(error, self.random))
                match decide(error, attempt=attempt, refreshed=refreshed, random=self.random):
                    case GiveUp():
                        raise
                    case Refresh():
                        refreshed = True
                        await self.tokens.renew(token)
                    case RetryAfter(pause_s):
                        await self.clock.sleep(pause_s)
        raise AssertionError("count() does not end")

    async def _attempt(self, endpoint: str, query: Mapping[str, str | int], token: str) -> Reply:
        record = RequestRecord(
            request_id=uuid4(),
            endpoint=endpoint,
            token_fingerprint=fingerprint(token),
            sent_at=self.clock.now(),
        )
        log.info("request", request_id=str(record.request_id), endpoint=endpoint, token_fp=record.token_fingerprint)
        started = self.clock.monotonic()
        try:
            reply = await self._send(record, query, token)
            record = _with_reply(record, reply, self.dialect)
            self._judge(reply)
        except ApiError as error:
            error.request_id = str(record.request_id)
            record = replace(record, error_code=error.code or f"http_{error.status}", retry_after_s=error.retry_after_s)
            raise
        finally:
            self._note(replace(record, duration_ms=round((self.clock.monotonic() - started) * 1000)))
        return reply

    async def _send(self, record: RequestRecord, query: Mapping[str, str | int], token: str) -> Reply:
        request = self.client.build_request(
            "GET",
            self.api_url + self._path(record.endpoint),
            params=dict(query),
            headers={
                "Authorization": f"{self.scheme} {token}",
                "Accept": self.dialect.media_type,
                self.dialect.request_id_header: str(record.request_id),
            },
        )
        received = await exchange(self.client, request)
        return Reply(
            str(record.request_id), received.status, received.headers, received.body, self.clock.now(), host_of(request)
        )

    def _path(self, endpoint: str) -> str:
        """An id is data: quoted whole, it cannot leave its place in the path (docs/faults.md 116)."""
        for name, value in self.places.items():
            endpoint = endpoint.replace("{" + name + "}", quote(value, safe=""))
        return endpoint

    def _judge(self, reply: Reply) -> None:
        echo = self._echo(reply)
        if echo is not None and echo != reply.request_id:
            raise Transient("the reply echoes another request's id, so it may be another request's", code="wrong_echo")
        if reply.status != 200:
            raise self.dialect.classify(reply)
        if reply.media_type != self.dialect.media_type:
            raise ContractBreach(
                f"{reply.host} answered with {reply.media_type or 'something untyped'}, not with what was asked for",
                code="media_type",
                hint="is that the API's host? Compare the installation's API address with the documentation",
            )

    def _echo(self, reply: Reply) -> str | None:
        return reply.headers.get(self.dialect.request_id_header.lower())

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


def _with_reply(record: RequestRecord, reply: Reply, dialect: Dialect) -> RequestRecord:
    return replace(
        record,
        status=reply.status,
        bytes=len(reply.body),
        ended_at=reply.received_at,
        headroom=read_headroom(reply.headers, received_at=reply.received_at),
        server_request_id=reply.headers.get(dialect.request_id_header.lower()),
    )
