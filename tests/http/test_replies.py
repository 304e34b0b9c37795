"""Replies to one installation's calls: what is asked again, what is not, and what becomes of the connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random

import pytest
from structlog.testing import capture_logs

from syncd.credentials.refresh import GivenToken
from syncd.errors import ApiError, ConfigError, ContractBreach, Transient
from syncd.http.api import HttpApi
from syncd.http.bounds import Bounds
from syncd.http.budget import TokenBudget
from syncd.http.client import Client, exchange, open_client
from syncd.http.outage import Outage
from syncd.http.token_endpoint import HttpTokenEndpoint
from syncd.sources import SOURCES
from syncd.store.requests import PendingRequests
from syncd.wire.rate_limit import Limits
from syncd.wire.retry import MAX_ATTEMPTS
from syncd.wire.tokens import ClientIdentity
from tests.harness import EVENT, HastyClock
from tests.http.raw import Answer, RawServer, head, header_of, raw_server
from tests.sources.scripted import INSTALLATION

MEDIA_TYPE = "application/vnd.revento.v1+json; charset=utf-8"
ECHO = "X-Revento-Request-Id"
NOW = 1_780_000_000.0


class CountingBudget(TokenBudget):
    """A budget that tells how many calls it let leave."""

    passed = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        async with super().slot():
            self.passed += 1
            yield


@dataclass
class Caller:
    """An API of the raw server and what it wrote down."""

    api: HttpApi
    client: Client
    budget: CountingBudget
    records: PendingRequests = field(default_factory=PendingRequests)

    async def get(self) -> object:
        """The body of one call's reply."""
        return json.loads((await self.api.get(EVENT)).body)

    @property
    def codes(self) -> list[str | None]:
        """What became of each attempt."""
        return [record.error_code for record in self.records.pending()]


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with raw_server() as server:
        server.keep = True
        yield server


@pytest.fixture
async def caller(server: RawServer) -> AsyncIterator[Caller]:
    clock = HastyClock()
    async with open_client(bounds=Bounds(deadline_s=5)) as client:
        budget, records = CountingBudget(Limits(0, 0, 5), clock), PendingRequests()
        api = HttpApi(
            api_url=server.url,
            places={"event_id": INSTALLATION.account},
            dialect=SOURCES["revento"].dialect,
            client=client,
            tokens=GivenToken("rev_install_x"),
            budget=budget,
            records=records,
            clock=clock,
            random=Random(7),
            outage=Outage(clock),
        )
        yield Caller(api, client, budget, records)


def honest(body: object, request: bytes, *headers: str, echo: str | None = None) -> bytes:
    """The reply that the API would give; `echo` empty: without one."""
    raw = json.dumps(body).encode()
    echo = header_of(request, ECHO) if echo is None else echo
    echoed = [f"{ECHO}: {echo}"] if echo else []
    return head("200 OK", f"Content-Type: {MEDIA_TYPE}", f"Content-Length: {len(raw)}", *echoed, *headers) + raw


def in_turn(*replies: Callable[[bytes], bytes]) -> Answer:
    """Each request its own reply, the last one for all that follow."""
    left = list(replies)

    def answer(request: bytes) -> Iterable[bytes]:
        return [(left.pop(0) if len(left) > 1 else left[0])(request)]

    return answer


# --- broken off -----------------------------------------------------------------------------------------------------


@pytest.mark.fault(3)
async def test_a_reset_at_any_byte_is_asked_again(server: RawServer, caller: Caller) -> None:
    """Each cut is a call of its own, whose second attempt finds the server well."""
    whole = len(honest({"n": 1}, b"", echo="x" * 36))
    for end in range(whole):
        cut = True

        def answer(request: bytes, end: int = end) -> Iterable[bytes]:
            nonlocal cut
            server.reset, server.keep, cut, now = cut, not cut, False, cut
            return [honest({"n": end}, request)[: end if now else None]]

        server.answer = answer
        assert await caller.get() == {"n": end}
    assert caller.codes == ["connection", None] * whole
    assert len({record.request_id for record in caller.records.pending()}) == 2 * whole


@pytest.mark.fault(3)
@pytest.mark.fault(15)
async def test_a_post_whose_reply_is_cut_is_sent_once(server: RawServer, caller: Caller) -> None:
    whole = head("200 OK", "Content-Length: 2") + b"{}"
    server.reset = True
    for end in range(len(whole)):
        server.answer = [whole[:end]]
        server.keep = False
        with pytest.raises(Transient):
            await exchange(caller.client, caller.client.build_request("POST", server.url, data={"a": "b"}))
    assert len(server.requests) == len(whole)


def hanging_up(server: RawServer) -> Answer:
    """Answers a connection's first request; on the second it hangs up, as a server does whose patience has ended."""
    served = set()

    def answer(request: bytes) -> Iterable[bytes]:
        if server.connections in served:
            raise ConnectionResetError
        served.add(server.connections)
        return [honest({}, request)]

    return answer


@pytest.mark.fault(15)
async def test_a_kept_connection_that_ends_just_now_costs_a_get_one_more_attempt(
    server: RawServer, caller: Caller
) -> None:
    server.answer = hanging_up(server)
    await caller.get()
    await caller.get()
    assert caller.codes == [None, "connection", None]
    assert [header_of(request, ECHO) for request in server.requests] == [
        str(record.request_id) for record in caller.records.pending()
    ]
    assert caller.budget.passed == 3, "every attempt is paced"


def token_endpoint(server: RawServer, client: Client) -> HttpTokenEndpoint:
    return HttpTokenEndpoint(client, server.url, ClientIdentity("client", ("secret",)), HastyClock())


@pytest.mark.fault(15)
async def test_a_post_that_meets_a_connection_at_its_end_is_not_sent_again(server: RawServer, caller: Caller) -> None:
    server.answer = hanging_up(server)
    await caller.get()
    with pytest.raises(Transient):
        await token_endpoint(server, caller.client).refresh("rev_refresh_x")
    assert [request.split()[0] for request in server.requests] == [b"GET", b"POST"]


@pytest.mark.fault(15)
async def test_a_refresh_leaves_no_connection_for_the_next_one(server: RawServer, caller: Caller) -> None:
    """So it cannot meet one that ends just then."""
    body = b'{"access_token":"rev_install_y"}'
    server.answer = [head("200 OK", f"Content-Length: {len(body)}") + body]
    for _ in range(3):
        await token_endpoint(server, caller.client).refresh("rev_refresh_x")
    assert server.connections == 3


# --- judged by its head ---------------------------------------------------------------------------------------------


@pytest.mark.fault(10)
@pytest.mark.parametrize(
    "types",
    [
        (),
        ("text/html",),
        ("application/json",),
        ("application/vnd.revento.v2+json",),
        ("application/vnd.revento.v1+json", "text/html"),
    ],
    ids=str,
)
async def test_the_body_of_another_media_type_is_not_even_read(
    server: RawServer, caller: Caller, types: tuple[str, ...]
) -> None:
    """It never comes here: to wait for it would be to run into the deadline."""
    server.answer = [head("200 OK", "Content-Length: 9", *(f"Content-Type: {one}" for one in types))]
    with pytest.raises(ContractBreach) as error:
        await caller.get()
    assert error.value.code == "media_type"
    assert [(record.status, record.error_code) for record in caller.records.pending()] == [(200, "media_type")]


@pytest.mark.fault(12)
@pytest.mark.parametrize("status", ["201", "204", "205", "206", "300", "301", "302", "303", "304", "307", "308", "101"])
async def test_a_status_that_is_no_answer_is_not_followed(server: RawServer, caller: Caller, status: str) -> None:
    async with raw_server() as elsewhere:
        body = b'{"data":[],"has_more":false}' if status in ("201", "206") else b""
        length = [] if status in ("204", "304") else [f"Content-Length: {len(body)}"]
        server.answer = [
            head(f"{status} Odd", f"Content-Type: {MEDIA_TYPE}", f"Location: {elsewhere.url}/", *length) + body
        ]
        with pytest.raises(ContractBreach):
            await caller.get()
        assert (len(server.requests), elsewhere.connections) == (1, 0)
    assert [record.status for record in caller.records.pending()] == [int(status)]


@pytest.mark.fault(12)
@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
async def test_a_refresh_token_is_not_sent_where_a_redirect_points(
    server: RawServer, caller: Caller, status: str
) -> None:
    """It is no word on the grant either: what stands in `auth_url` is not the token endpoint."""
    async with raw_server() as elsewhere:
        server.answer = [head(f"{status} Odd", f"Location: {elsewhere.url}/oauth/token", "Content-Length: 0")]
        with pytest.raises(ConfigError):
            await token_endpoint(server, caller.client).refresh("rev_refresh_x")
        assert (len(server.requests), elsewhere.connections) == (1, 0)


# --- whose reply it is ----------------------------------------------------------------------------------------------


@pytest.mark.fault(13)
@pytest.mark.case("RV-39")
async def test_a_reply_with_another_echo_is_discarded_with_its_connection(server: RawServer, caller: Caller) -> None:
    server.answer = in_turn(
        lambda request: honest({"whose": "another's"}, request, echo="another"),
        lambda request: honest({"whose": "ours"}, request),
    )
    with capture_logs() as logs:
        assert await caller.get() == {"whose": "ours"}
    assert (server.connections, caller.codes) == (2, ["wrong_echo", None])
    assert [entry["log_level"] for entry in logs if entry["event"] == "wrong_echo"] == ["warning"]


@pytest.mark.fault(13)
@pytest.mark.parametrize("pause_s", [0.0, 0.02], ids=["at once", "later"])
async def test_what_follows_a_reply_ends_its_connection(server: RawServer, caller: Caller, pause_s: float) -> None:
    """Left where it is, it would be taken for the reply to the next call."""
    server.pause_s = pause_s
    server.answer = lambda request: [honest({"n": len(server.requests)}, request), honest({"n": "extra"}, request)]
    for n in (1, 2, 3):
        assert await caller.get() == {"n": n}
        async with asyncio.timeout(5):
            await asyncio.gather(*server.tasks)
    assert (server.connections, caller.codes) == (3, [None] * 3)


@pytest.mark.fault(13)
async def test_a_reply_that_comes_before_its_request_is_not_taken(server: RawServer, caller: Caller) -> None:
    """The extra reply meets the next call already on its way."""
    server.pause_s = 0.02
    server.answer = lambda request: [honest({"n": header_of(request, ECHO)}, request), honest({}, request)]
    for _ in range(3):
        body = await caller.get()
        assert body == {"n": str(caller.records.pending()[-1].request_id)}


@pytest.mark.fault(13)
async def test_a_missing_echo_is_counted_and_told_once(server: RawServer, caller: Caller) -> None:
    server.answer = lambda request: [honest({}, request, echo="")]
    with capture_logs() as logs:
        for _ in range(3):
            await caller.get()
    assert [record.server_request_id for record in caller.records.pending()] == [None] * 3
    assert caller.codes == [None] * 3
    assert [entry["log_level"] for entry in logs if entry["event"] == "echo_missing"] == ["warning"]


# --- how old it is --------------------------------------------------------------------------------------------------


def dated(offset_s: float, *, echo: str | None = None, headers: Iterable[str] = ()) -> Callable[[bytes], bytes]:
    """A reply that was made `offset_s` after NOW, by the server's clock."""
    date = formatdate(NOW + offset_s, usegmt=True)
    return lambda request: honest({"at": offset_s}, request, f"Date: {date}", *headers, echo=echo)


@pytest.mark.fault(14)
async def test_a_copy_that_a_cache_kept_is_asked_for_again(server: RawServer, caller: Caller) -> None:
    server.answer = in_turn(dated(0, headers=["Age: 30"]), dated(1, headers=["Age: 0"]))
    assert await caller.get() == {"at": 1}
    assert caller.codes == ["stale_reply", None]


@pytest.mark.fault(14)
async def test_a_reply_that_came_once_is_no_reply_again(server: RawServer, caller: Caller) -> None:
    """A cache on the way keeps the first reply and gives it out as it was, echo and all."""
    kept: list[bytes] = []

    def answer(request: bytes) -> Iterable[bytes]:
        kept.append(honest({"n": len(kept) + 1}, request))
        return [kept[0] if len(kept) < 4 else kept[-1]]

    server.answer = answer
    assert [await caller.get(), await caller.get()] == [{"n": 1}, {"n": 4}]
    assert caller.codes == [None, "wrong_echo", "wrong_echo", None]


@pytest.mark.fault(14)
async def test_without_an_echo_a_date_that_goes_back_tells_a_copy(server: RawServer, caller: Caller) -> None:
    server.answer = in_turn(
        dated(0, echo=""), dated(-3600, echo=""), dated(-7200, echo=""), dated(-30, echo=""), dated(-3600, echo="")
    )
    assert [await caller.get(), await caller.get()] == [{"at": 0}, {"at": -30}]
    assert caller.codes == [None, "stale_reply", "stale_reply", None]
    with pytest.raises(Transient) as error:
        await caller.get()
    assert error.value.code == "stale_reply"
    assert caller.codes[4:] == ["stale_reply"] * MAX_ATTEMPTS, "patience has an end"


@pytest.mark.fault(14)
async def test_a_clock_that_was_set_back_costs_one_attempt(server: RawServer, caller: Caller) -> None:
    """The echo proves that the reply is ours, so it is the server's clock that went back."""
    server.answer = in_turn(dated(0), dated(-3600), dated(-3599), dated(-3598))
    assert [await caller.get(), await caller.get(), await caller.get()] == [{"at": 0}, {"at": -3599}, {"at": -3598}]
    assert caller.codes == [None, "stale_reply", None, None]


@pytest.mark.fault(14)
@pytest.mark.parametrize("offset_s", [-1e9, 1e9])
async def test_a_clock_that_is_merely_wrong_costs_nothing(server: RawServer, caller: Caller, offset_s: float) -> None:
    server.answer = in_turn(dated(offset_s), dated(offset_s - 20), dated(offset_s + 1))
    for _ in range(3):
        await caller.get()
    assert caller.codes == [None] * 3


@pytest.mark.fault(14)
@pytest.mark.parametrize("value", ["", "0", "00", "-5", "soon", "1e3", "٣"])
async def test_an_age_that_is_none_says_nothing(server: RawServer, caller: Caller, value: str) -> None:
    server.answer = in_turn(dated(0, headers=[f"Age: {value}"]))
    await caller.get()
    assert caller.codes == [None]


async def test_what_is_refused_by_its_head_names_its_request(server: RawServer, caller: Caller) -> None:
    server.answer = [head("200 OK", "Content-Type: text/html", "Content-Length: 0")]
    with pytest.raises(ApiError) as error:
        await caller.get()
    assert error.value.request_id == str(caller.records.pending()[-1].request_id)
