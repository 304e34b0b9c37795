"""A reply or a request that is cut or damaged at any byte: the page is there whole, or there is an error.

What no client can see: HTTP has no checksum. Without TLS or gzip a byte that changes within a JSON string or number
makes another string or number, so such a row is stored as it came, and the next walk puts it right. Everything else
about a page is told by its form: damage never makes it empty, never ends a walk, never loses a row without a word.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from syncd.credentials.refresh import GivenToken
from syncd.errors import ContractBreach, SyncdError
from syncd.http.api import HttpApi
from syncd.http.bounds import Bounds
from syncd.http.budget import TokenBudget
from syncd.http.client import open_client
from syncd.http.outage import Outage
from syncd.model import Page
from syncd.sources import SOURCES
from syncd.store.requests import PendingRequests
from syncd.wire.position import Start
from syncd.wire.rate_limit import Limits
from tests.harness import HastyClock
from tests.http.raw import RawServer, head, header_of, raw_server
from tests.http_proxy import HttpProxy, Strike, http_proxy
from tests.sources.scripted import INSTALLATION, pages_of

ECHO = "X-Revento-Request-Id"
FRAMINGS = ("length", "chunked", "close")
CODINGS = ("identity", "gzip")
ROWS = [{"id": f"ptp_{n}", "status": "approved", "nickname": f"Ćma {n}"} for n in range(3)]
PAGES = {
    "": {"data": ROWS[:2], "next_cursor": "c2", "has_more": True},
    "c2": {"data": ROWS[2:], "next_cursor": None, "has_more": False},
}
# Every byte is tried by `make prove`; the default run takes each so many-th.
SHARE = 41


@dataclass
class Scene:
    """An API behind the proxy, and the walk of its two pages."""

    proxy: HttpProxy
    api: HttpApi
    records: PendingRequests
    server: RawServer

    async def walk(self) -> list[Page]:
        """The pages of the listing."""
        return await pages_of(SOURCES["revento"].stream("participants").walk(self.api, INSTALLATION, Start(), 2))

    def codes(self) -> list[str | None]:
        """What became of each attempt since this was last asked."""
        records = self.records.pending()
        self.records.settle(records)
        return [record.error_code for record in records]


def framed(body: bytes, framing: str) -> tuple[list[str], bytes]:
    """The headers that tell where the body ends, and the bytes of it on the wire."""
    if framing == "length":
        return [f"Content-Length: {len(body)}"], body
    if framing == "close":
        return [], body
    half = len(body) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]))
    return ["Transfer-Encoding: chunked"], chunks + b"0\r\n\r\n"


def page_reply(cursor: str, echo: str, framing: str, coding: str) -> bytes:
    """A page as the API serves it, in one of the framings and codings that HTTP has."""
    body = json.dumps(PAGES[cursor]).encode()
    codings = ["Content-Encoding: gzip"] if coding == "gzip" else []
    headers, wire = framed(gzip.compress(body, mtime=0) if codings else body, framing)
    media_type = "Content-Type: application/vnd.revento.v1+json"
    return head("200 OK", media_type, f"{ECHO}: {echo}", "Connection: close", *codings, *headers) + wire


def answered(request: bytes, framing: str, coding: str) -> Iterable[bytes]:
    """The page that the cursor names; another cursor is refused."""
    target = request.split(maxsplit=2)[1].decode("latin-1")
    cursor = target.partition("cursor=")[2].partition("&")[0]
    if cursor in PAGES:
        return [page_reply(cursor, header_of(request, ECHO), framing, coding)]
    body = json.dumps({"error": "invalid_cursor", "message": "", "request_id": ""}).encode()
    return [head("400 No", "Content-Type: application/json", f"Content-Length: {len(body)}") + body]


@asynccontextmanager
async def scene(framing: str, coding: str, bounds: Bounds | None = None) -> AsyncIterator[Scene]:
    clock, records = HastyClock(), PendingRequests()
    async with (
        raw_server() as server,
        http_proxy(server.url) as proxy,
        open_client(bounds=bounds or Bounds(deadline_s=5)) as client,
    ):
        server.answer = lambda request: answered(request, framing, coding)
        api = HttpApi(
            api_url=proxy.url,
            places={"event_id": INSTALLATION.account},
            dialect=SOURCES["revento"].dialect,
            client=client,
            tokens=GivenToken("rev_install_x"),
            budget=TokenBudget(Limits(0, 0, 5), clock),
            records=records,
            clock=clock,
            random=Random(7),
            outage=Outage(clock),
        )
        yield Scene(proxy, api, records, server)


def rows_of(pages: list[Page]) -> list[dict[str, Any]]:
    return [dict(change.row) for page in pages for change in page.changes]


def shares(size: int, *, every: bool) -> Iterable[int]:
    return range(size) if every else range(0, size, SHARE)


amounts = pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["a share", "every byte"]
)


@pytest.mark.fault(3)
@pytest.mark.fault(4)
@pytest.mark.fault(5)
@pytest.mark.fault(6)
@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("framing", FRAMINGS)
@amounts
async def test_a_reply_that_is_cut_at_any_byte_is_asked_again(framing: str, coding: str, how: Any, every: bool) -> None:
    """A body without length or coding may end anywhere: then the page itself tells that it is no whole one."""
    whole = page_reply("", "x" * 36, framing, coding)
    body_at = whole.index(b"\r\n\r\n") + 4
    # the empty line behind the last chunk says nothing any more
    told = len(whole) - 2 if framing == "chunked" else len(whole)
    async with scene(framing, coding) as its:
        right = rows_of(await its.walk())
        assert [row["participant_id"] for row in right] == ["ptp_0", "ptp_1", "ptp_2"]
        for at in shares(told, every=every):
            its.codes()
            its.proxy.strike(Strike(at, how))
            if (framing, coding, how) == ("close", "identity", "end") and at >= body_at:
                with pytest.raises(ContractBreach):
                    await its.walk()
                assert its.codes() == [None], "one call, whose page nobody took"
            else:
                assert rows_of(await its.walk()) == right, at
                first, *rest = its.codes()
                assert (first in ("connection", "gzip"), rest) == (True, [None, None]), (at, first, rest)
            assert len(its.proxy.struck) == 1, at
        assert rows_of(await its.walk()) == right


@pytest.mark.fault(3)
@pytest.mark.parametrize("how", ["end", "reset"])
@amounts
async def test_a_request_that_is_cut_at_any_byte_is_sent_again(how: Any, every: bool) -> None:
    async with scene("length", "gzip") as its:
        right = rows_of(await its.walk())
        for at in shares(len(its.server.requests[0]), every=every):
            its.codes()
            its.proxy.strike(Strike(at, how, "requests"))
            assert rows_of(await its.walk()) == right, at
            assert (its.codes(), len(its.proxy.struck)) == (["connection", None, None], 1), at


DAMAGES = [
    *(("flip", 1 << bit) for bit in range(8)),
    ("flip", 0xFF),
    ("drop", 0),
    *(("insert", byte) for byte in b'0",} \n'),
]


@pytest.mark.fault(5)
@pytest.mark.fault(6)
@pytest.mark.fault(11)
@pytest.mark.fault(22)
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("framing", FRAMINGS)
@amounts
async def test_damage_at_any_byte_loses_no_row_unseen(framing: str, coding: str, every: bool) -> None:
    """The walk has all its rows, of which one may hold another value, or it fails. With gzip no value is another."""
    whole = page_reply("", "x" * 36, framing, coding)
    outcomes = {"equal": 0, "one row differs": 0, "one row set aside": 0, "failed": 0}
    async with scene(framing, coding) as its:
        right = rows_of(await its.walk())
        for at in shares(len(whole), every=every):
            for how, value in DAMAGES if every else [DAMAGES[at % len(DAMAGES)]]:
                its.proxy.strike(Strike(at, how, value=value))  # type: ignore[arg-type]
                try:
                    pages = await its.walk()
                except SyncdError:
                    outcomes["failed"] += 1
                else:
                    outcomes[judged(pages, right)] += 1
                assert len(its.proxy.struck) == 1, at
        assert rows_of(await its.walk()) == right
    print(framing, coding, outcomes)
    if coding == "gzip":
        assert outcomes["one row differs"] + outcomes["one row set aside"] == 0
    if every:
        assert outcomes["failed"] > 0


def judged(pages: list[Page], right: list[dict[str, Any]]) -> str:
    """What became of a walk that ended well."""
    assert pages[-1].resume_at is None
    rows = rows_of(pages)
    rejected = sum(len(page.rejected) for page in pages)
    assert len(rows) + rejected == len(right), "a row is gone"
    if rejected:
        assert (rejected, all(row in right for row in rows)) == (1, True)
        return "one row set aside"
    different = sum(row != other for row, other in zip(rows, right, strict=True))
    assert different <= 1
    return "one row differs" if different else "equal"


@pytest.mark.fault(8)
@pytest.mark.parametrize(
    ("framing", "coding"),
    [
        pytest.param(framing, coding, marks=[] if (framing, coding) == ("length", "identity") else [pytest.mark.slow])
        for framing in FRAMINGS
        for coding in CODINGS
    ],
)
async def test_a_reply_that_stalls_anywhere_ends_and_is_asked_again(framing: str, coding: str) -> None:
    """In the head the deadline of the whole exchange ends it, in the body the patience with a slow one."""
    whole = page_reply("", "x" * 36, framing, coding)
    places = {0: "timeout", whole.index(b"\r\n\r\n"): "timeout", len(whole) - 3: "too_slow"}
    async with scene(framing, coding, Bounds(deadline_s=0.6, patience_s=0.3)) as its:
        right = rows_of(await its.walk())
        for at, code in places.items():
            its.codes()
            its.proxy.strike(Strike(at, "stall"))
            assert rows_of(await its.walk()) == right
            assert (its.codes(), len(its.proxy.struck)) == ([code, None, None], 1)
