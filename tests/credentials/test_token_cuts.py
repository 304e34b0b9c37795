"""The token endpoint's reply, and the request for it, cut at any byte: one repeat at most, and then the pair is there
or the loss is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from syncd.credentials.refresh import TokenManager
from syncd.errors import NeedsAuthorization
from syncd.wire.tokens import Tokens
from tests.credentials.test_refresh import events, leased, manager, refreshes
from tests.harness import Bench, OpenBench
from tests.http_proxy import HttpProxy, Strike, http_proxy

# Every byte is tried by `make prove`; the default run takes each so many-th.
SHARE = 173
amounts = pytest.mark.parametrize(
    "every", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["a share", "every byte"]
)
either_end = pytest.mark.parametrize("how", ["end", "reset"])


@asynccontextmanager
async def before_token_endpoint(bench: Bench) -> AsyncIterator[HttpProxy]:
    """A proxy that only the installation's refreshes go through."""
    async with http_proxy(bench.sandbox.auth_url) as proxy:
        yield proxy


async def through(bench: Bench, proxy: HttpProxy, lease: Any) -> TokenManager:
    """A driver of the installation's newest grant, which is told of the proxy."""
    bench.execute("UPDATE syncd.installations SET auth_url = %s", proxy.url)
    return await manager(bench, lease=lease)


async def size_of(proxy: HttpProxy, tokens: TokenManager, way: Any) -> int:
    """Bytes of one refresh."""
    proxy.strike()
    await tokens.renew(await tokens.current())
    return proxy.passed[way]


def places(size: int, *, every: bool) -> Iterable[int]:
    return range(size) if every else range(0, size, SHARE)


async def assert_newest(bench: Bench, pair: Tokens) -> None:
    """What is stored is what the server gave last, and it is alive."""
    grant = bench.sandbox.tokens.grant_of(pair.access_token)
    assert grant is not None
    assert (grant.refresh_token, grant.revoked) == (pair.refresh_token, False)
    assert bench.sandbox.tokens.authenticate(pair.access_token)
    assert bench.value("SELECT intent_at FROM syncd.credentials") is None


@pytest.mark.fault(48)
@either_end
@amounts
async def test_a_reply_that_is_cut_anywhere_is_asked_for_again(open_bench: OpenBench, how: Any, every: bool) -> None:
    """The server gives the pair of the spent token again for a while."""
    bench = await open_bench(gaps={"G7": "grace"})
    await bench.add()
    lease = await leased(bench)
    async with before_token_endpoint(bench) as proxy:
        tokens = await through(bench, proxy, lease)
        for at in places(await size_of(proxy, tokens, "replies"), every=every):
            before = len(refreshes(bench))
            proxy.strike(Strike(at, how))
            await tokens.renew(await tokens.current())
            assert (len(proxy.struck), len(refreshes(bench)) - before) == (1, 2), at
            await assert_newest(bench, await tokens.store.load())


@pytest.mark.fault(45)
@pytest.mark.fault(48)
@either_end
@amounts
async def test_a_strict_server_is_asked_once_more_and_no_more(open_bench: OpenBench, how: Any, every: bool) -> None:
    """It takes the repeat for a theft: the window that no client closes. The loss is final, and written down."""
    bench = await open_bench()
    await bench.add()
    lease = await leased(bench)
    async with before_token_endpoint(bench) as proxy:
        tokens = await through(bench, proxy, lease)
        for at in places(await size_of(proxy, tokens, "replies"), every=every):
            await bench.add()
            tokens = await through(bench, proxy, lease)
            before = len(refreshes(bench))
            token = await tokens.current()
            proxy.strike(Strike(at, how))
            with pytest.raises(NeedsAuthorization):
                await tokens.renew(token)
            assert (len(proxy.struck), len(refreshes(bench)) - before) == (1, 2), at
            assert events(bench)[-1] == "refused"
            assert bench.value("SELECT intent_at FROM syncd.credentials") is None


@pytest.mark.fault(3)
@pytest.mark.fault(48)
@either_end
@amounts
async def test_a_request_that_is_cut_anywhere_spends_nothing(open_bench: OpenBench, how: Any, every: bool) -> None:
    """The strictest server has not seen the whole of it, so that the repeat is the first it hears."""
    bench = await open_bench()
    await bench.add()
    lease = await leased(bench)
    async with before_token_endpoint(bench) as proxy:
        tokens = await through(bench, proxy, lease)
        for at in places(await size_of(proxy, tokens, "requests"), every=every):
            before = len(refreshes(bench))
            proxy.strike(Strike(at, how, "requests"))
            await tokens.renew(await tokens.current())
            assert (len(proxy.struck), len(refreshes(bench)) - before) == (1, 1), at
            await assert_newest(bench, await tokens.store.load())
