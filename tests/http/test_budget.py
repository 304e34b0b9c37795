"""The budgets, held against a server that counts arrivals: never one too many, and hardly one too few."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from syncd.http.budget import HOUR_S, MINUTE_S, TokenBudget
from syncd.wire.rate_limit import STRAY_S, Headroom, Limits
from tests.http.virtual import EPOCH, VirtualClock

REVENTO = Limits(500, 30, 5)
Latency = Callable[[], tuple[float, float]]


class Server:
    """Notes when calls arrive and how many are with it at once."""

    def __init__(self, clock: VirtualClock, latency: Latency) -> None:
        self._clock, self._latency = clock, latency
        self.departures: list[float] = []
        self.arrivals: list[float] = []
        self.replies: list[float] = []
        self.most_in_flight = 0
        self._in_flight = 0

    async def call(self, budget: TokenBudget) -> None:
        """One call: it leaves when the budget lets it, arrives some time later, and its reply takes some time too."""
        async with budget.slot():
            self.departures.append(self._clock.monotonic())
            there_s, back_s = self._latency()
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            await self._clock.sleep(there_s)
            self.arrivals.append(self._clock.monotonic())
            await self._clock.sleep(back_s)
            self._in_flight -= 1
            self.replies.append(self._clock.monotonic())

    async def calls(self, budget: TokenBudget, count: int) -> None:
        """One worker's calls, one after the other."""
        for _ in range(count):
            await self.call(budget)

    def most_in(self, window_s: float) -> int:
        """The most arrivals in any window, as the server counts them: one that is a whole window old has left it."""
        arrivals = sorted(self.arrivals)
        first, most = 0, 0
        for last, at in enumerate(arrivals):
            while arrivals[first] <= at - window_s:
                first += 1
            most = max(most, last - first + 1)
        return most


def random_latency(seed: int, most_s: float) -> Latency:
    rng = Random(seed)
    return lambda: (rng.choice((0.0, rng.uniform(0, most_s))), rng.choice((0.0, rng.uniform(0, most_s))))


@pytest.mark.case("RV-20")
@given(
    seed=st.integers(0, 2**32),
    workers=st.integers(1, 8),
    limits=st.builds(Limits, st.integers(3, 40), st.integers(2, 12), st.integers(1, 5)),
    most_s=st.sampled_from([0.0, 0.1, 5.0, 90.0]),
)
@settings(max_examples=60, deadline=None)
def test_the_server_never_counts_one_call_too_many(seed: int, workers: int, limits: Limits, most_s: float) -> None:
    async def play() -> Server:
        clock = VirtualClock()
        server = Server(clock, random_latency(seed, most_s))
        budget = TokenBudget(limits, clock)
        await clock.run(*(server.calls(budget, 60 // workers) for _ in range(workers)))
        return server

    server = asyncio.run(play())
    assert len(server.arrivals) == 60 // workers * workers
    assert server.most_in(HOUR_S) <= limits.per_hour
    assert server.most_in(MINUTE_S) <= limits.per_minute
    assert server.most_in_flight <= limits.in_flight


class Record:
    """Calls whose replies are here and that are not stored; to store them takes a while."""

    def __init__(self, server: Server, clock: VirtualClock, store_s: float) -> None:
        self._server, self._clock, self._store_s = server, clock, store_s
        self.stored, self.times = 0, 0

    async def keep_up(self, most: int) -> bool:
        """Store what is not stored if that is more than `most`."""
        replies = len(self._server.replies)
        if replies - self.stored <= most:
            return False
        await self._clock.sleep(self._store_s)
        self.stored, self.times = replies, self.times + 1
        return True


@pytest.mark.fault(63)
@given(
    seed=st.integers(0, 2**32),
    workers=st.integers(1, 8),
    limits=st.builds(Limits, st.integers(3, 40), st.integers(2, 12), st.integers(1, 5)),
    store_s=st.sampled_from([0.0, 1.0, 30.0]),
)
@settings(max_examples=60, deadline=None)
def test_no_more_calls_can_be_lost_than_may_be_in_flight(
    seed: int, workers: int, limits: Limits, store_s: float
) -> None:
    """Whenever a driver is killed: of what has left, so many calls at most are on no record."""

    latency, would_be_lost = random_latency(seed, 5.0), []

    async def play() -> tuple[Server, Record]:
        def departed() -> tuple[float, float]:
            would_be_lost.append(len(server.departures) - record.stored)
            return latency()

        clock = VirtualClock()
        server = Server(clock, departed)
        record = Record(server, clock, store_s)
        budget = TokenBudget(limits, clock, keep_up=record.keep_up)
        await clock.run(*(server.calls(budget, 60 // workers) for _ in range(workers)))
        return server, record

    server, record = asyncio.run(play())
    assert max(would_be_lost) <= limits.in_flight
    assert server.most_in(MINUTE_S) <= limits.per_minute
    assert server.most_in_flight <= limits.in_flight
    if workers == 1:
        assert record.times <= 60 // limits.in_flight, "stored at once, not one by one"


async def test_a_pause_that_comes_while_the_record_is_stored_counts() -> None:
    clock = VirtualClock()
    server = Server(clock, lambda: (0.0, 0.0))
    record = Record(server, clock, store_s=10.0)
    budget = TokenBudget(Limits(0, 0, 1), clock, keep_up=record.keep_up)

    async def refused() -> None:
        await clock.sleep(5.0)
        budget.pause(42.0)

    await clock.run(server.calls(budget, 2), refused())
    assert server.departures == [0.0, 47.0]


@pytest.mark.parametrize("latency_s", [0.0, 0.3, 1.0])
async def test_nearly_the_whole_budget_can_be_used(latency_s: float) -> None:
    """Four hours of a backfill: of the 500 calls an hour at least 95 in 100 leave, and of the 30 a minute too."""
    clock = VirtualClock()
    server = Server(clock, lambda: (latency_s / 2, latency_s / 2))
    budget = TokenBudget(REVENTO, clock)
    await clock.run(*(server.calls(budget, 10_000) for _ in range(8)), until_s=4 * HOUR_S - 1)
    assert len(server.arrivals) >= 0.95 * 4 * REVENTO.per_hour
    first_quarter = [at for at in server.arrivals if at < 15 * MINUTE_S]
    assert len(first_quarter) >= 0.95 * 15 * REVENTO.per_minute
    assert (server.most_in(HOUR_S), server.most_in(MINUTE_S)) == (500, 30)


async def test_a_wait_ends_when_the_oldest_call_leaves_the_window() -> None:
    clock = VirtualClock()
    server = Server(clock, lambda: (0.0, 0.0))
    budget = TokenBudget(Limits(0, 3, 0), clock)
    await clock.run(server.calls(budget, 7))
    assert server.departures == pytest.approx([0, 0, 0, 60, 60, 60, 120], abs=0.01)


async def test_without_limits_nothing_waits() -> None:
    clock = VirtualClock()
    server = Server(clock, lambda: (0.0, 0.0))
    await clock.run(server.calls(TokenBudget(Limits(0, 0, 0), clock), 2000))
    assert set(server.departures) == {0.0}


@pytest.mark.case("RV-19")
async def test_a_full_flight_waits_for_one_of_its_own_calls() -> None:
    clock = VirtualClock()
    server = Server(clock, lambda: (0.0, 10.0))
    budget = TokenBudget(Limits(0, 0, 2), clock)
    await clock.run(*(server.call(budget) for _ in range(5)))
    assert server.departures == [0, 0, 10, 10, 20]


@pytest.mark.case("RV-18")
async def test_a_pause_holds_every_call_and_never_shrinks() -> None:
    clock = VirtualClock()
    server = Server(clock, lambda: (0.0, 0.0))
    budget = TokenBudget(REVENTO, clock)
    budget.pause(42)
    budget.pause(5)
    await clock.run(server.calls(budget, 2), server.calls(budget, 2))
    assert server.departures == [42.0] * 4


async def test_a_pause_that_comes_during_a_wait_counts() -> None:
    clock = VirtualClock()
    server = Server(clock, lambda: (0.0, 0.0))
    budget = TokenBudget(Limits(0, 1, 0), clock)

    async def told_later() -> None:
        await clock.sleep(30)
        budget.pause(100)

    await clock.run(server.calls(budget, 2), told_later())
    assert server.departures == pytest.approx([0, 130], abs=0.01)


@given(seed=st.integers(0, 2**32), cut_s=st.floats(1, 4000))
@example(seed=489, cut_s=3601.0)  # ages that were rounded gave a slot back a hair too early
@settings(max_examples=30, deadline=None)
@pytest.mark.fault(63)
def test_a_budget_that_is_rebuilt_after_a_crash_knows_what_was_spent(seed: int, cut_s: float) -> None:
    """The next driver knows the age of each reply, and that calls under way may be lost."""
    limits = Limits(20, 6, 3)

    async def play() -> Server:
        clock = VirtualClock()
        server = Server(clock, random_latency(seed, 5.0))
        first = TokenBudget(limits, clock)
        await clock.run(*(server.calls(first, 1000) for _ in range(5)), until_s=cut_s)
        ages_s = [clock.monotonic() - at for at in server.replies]
        second = TokenBudget(limits, clock, [*ages_s, *[0.0] * limits.in_flight])
        under_way = len(server.departures) - len(server.arrivals)
        assert under_way <= limits.in_flight
        server.arrivals += [clock.monotonic()] * under_way  # a call that was cut off arrives all the same
        await clock.run(*(server.calls(second, 8) for _ in range(5)))
        return server

    server = asyncio.run(play())
    assert server.most_in(HOUR_S) <= limits.per_hour
    assert server.most_in(MINUTE_S) <= limits.per_minute


async def test_a_cancelled_wait_gives_its_turn_to_the_next() -> None:
    clock = VirtualClock()
    server = Server(clock, lambda: (0.0, 0.0))
    budget = TokenBudget(Limits(0, 1, 1), clock)

    async def impatient() -> None:
        waiting = asyncio.ensure_future(server.call(budget))
        await clock.sleep(20)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    async def second() -> None:
        await clock.sleep(10)
        await server.call(budget)

    await clock.run(server.call(budget), impatient(), second())
    assert server.departures == pytest.approx([0, 60], abs=0.01)


@pytest.mark.fault(63)
async def test_a_cancelled_call_has_been_spent_all_the_same() -> None:
    """Nobody knows when it arrives: on its way when it was given up, it counts from when it can be so no longer."""
    clock = VirtualClock()
    server = Server(clock, lambda: (0.0, 30.0))
    budget = TokenBudget(Limits(0, 1, 1), clock)

    async def cut_off() -> None:
        under_way = asyncio.ensure_future(server.call(budget))
        await clock.sleep(10)
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)
        await server.call(budget)

    await clock.run(cut_off())
    assert server.departures == pytest.approx([0, 70 + STRAY_S], abs=0.01)


class Shared(Server):
    """A server that counts its hour, rolling or in fixed windows, and says what is left of it."""

    def __init__(self, clock: VirtualClock, latency: Latency, limit: int, *, is_rolling: bool) -> None:
        super().__init__(clock, latency)
        self.limit, self.is_rolling = limit, is_rolling
        self.others: list[float] = []
        self.refused = 0

    def used(self) -> int:
        now = self._clock.monotonic()
        start = now - HOUR_S if self.is_rolling else now // HOUR_S * HOUR_S - 1e-9
        return sum(at > start for at in (*self.arrivals, *self.others))

    async def call(self, budget: TokenBudget) -> None:
        async with budget.slot():
            sent_at = self._clock.monotonic()
            there_s, back_s = self._latency()
            await self._clock.sleep(there_s)
            if self.used() >= self.limit:
                self.refused += 1
                first = sorted(self.arrivals)[-self.limit]
                budget.pause(first + HOUR_S - self._clock.monotonic() + 1)
                return
            self.arrivals.append(self._clock.monotonic())
            said = Headroom(self.limit, self.limit - self.used())
            await self._clock.sleep(back_s)
            budget.learn(said, sent_at=sent_at)


@pytest.mark.fault(63)
@pytest.mark.parametrize("is_rolling", [True, False])
async def test_what_another_tool_spends_is_seen_and_left_to_it(is_rolling: bool) -> None:
    """A hundred calls of another tool in the first minutes: none of ours is refused, and none of the rest is wasted."""
    clock = VirtualClock()
    server = Shared(clock, random_latency(3, 1.0), 500, is_rolling=is_rolling)
    budget = TokenBudget(Limits(475, 30, 5, reserved=25), clock)

    async def another() -> None:
        for _ in range(100):
            await clock.sleep(3)
            server.others.append(clock.monotonic())

    await clock.run(another(), *(server.calls(budget, 10_000) for _ in range(8)), until_s=HOUR_S - 60)
    assert (server.refused, len(server.arrivals)) == (0, 400)


@pytest.mark.fault(63)
@given(seed=st.integers(0, 2**32), is_rolling=st.booleans())
@settings(max_examples=20, deadline=None)
def test_nobody_else_is_seen_where_there_is_nobody(seed: int, is_rolling: bool) -> None:
    """Replies overtake each other; whatever they say, our own calls are not taken for another's."""

    async def play() -> tuple[Shared, TokenBudget]:
        clock = VirtualClock()
        server = Shared(clock, random_latency(seed, 30.0), 40, is_rolling=is_rolling)
        budget = TokenBudget(Limits(40, 12, 5), clock)
        await clock.run(*(server.calls(budget, 15) for _ in range(6)))
        return server, budget

    server, budget = asyncio.run(play())
    assert (server.refused, budget._others.noticed) == (0, [])


@pytest.mark.fault(62)
async def test_nothing_left_without_a_refusal_is_a_wait() -> None:
    """`Remaining: 0` on a call that succeeded: whoever has spent the hour, no call of ours leaves to be refused."""
    clock = VirtualClock()
    budget = TokenBudget(Limits(20, 0, 5), clock)
    async with budget.slot():
        budget.learn(Headroom(20, 0), sent_at=0.0)
    server = Server(clock, lambda: (0.0, 0.0))
    await clock.run(server.call(budget))
    assert server.departures == pytest.approx([HOUR_S], abs=0.01)


@pytest.mark.fault(64)
async def test_a_limit_that_is_lowered_live_is_kept() -> None:
    clock = VirtualClock()
    server = Shared(clock, random_latency(5, 1.0), 100, is_rolling=True)
    budget = TokenBudget(Limits(95, 0, 5, reserved=5), clock)

    async def lower() -> None:
        await clock.sleep(HOUR_S / 2)
        server.limit = 60

    await clock.run(lower(), *(paced(server, budget, clock) for _ in range(5)), until_s=4 * HOUR_S)
    assert server.refused <= 5, "as many as were under way when the first was refused"
    late = [at for at in server.arrivals if at > 2 * HOUR_S]
    assert len(late) == 2 * 55


async def paced(server: Shared, budget: TokenBudget, clock: VirtualClock) -> None:
    while True:
        await server.call(budget)
        await clock.sleep(150)


@pytest.mark.fault(59)
@pytest.mark.parametrize(
    "said",
    [
        Headroom(),
        Headroom(500),
        Headroom(None, 3),
        Headroom(0, 0),
        Headroom(10, 11),
        Headroom(9_999_999_999, 4_294_967_295),
    ],
)
async def test_what_makes_no_sense_teaches_nothing(said: Headroom) -> None:
    clock = VirtualClock()
    budget = TokenBudget(Limits(5, 0, 5), clock)
    async with budget.slot():
        budget.learn(said, sent_at=0.0)
    server = Server(clock, lambda: (0.0, 0.0))
    await clock.run(server.calls(budget, 4))
    assert server.departures == [0.0] * 4


async def test_a_newer_reply_shows_that_others_have_left_the_hour() -> None:
    """The server's window was reset: what others had spent in the old one is spent no longer."""
    clock = VirtualClock()
    budget = TokenBudget(Limits(20, 0, 5), clock)
    async with budget.slot():
        budget.learn(Headroom(20, 2), sent_at=0.0)
    await clock.run(clock.sleep(10))
    async with budget.slot():
        budget.learn(Headroom(20, 19), sent_at=10.0)
        budget.learn(Headroom(20, 18), sent_at=5.0)  # an older one that was overtaken
    server = Server(clock, lambda: (0.0, 0.0))
    await clock.run(server.calls(budget, 17))
    assert server.departures == [10.0] * 17


@pytest.mark.fault(65)
async def test_a_wall_clock_that_jumps_moves_no_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the monotonic clock is asked: an hour forth or back neither shortens a wait nor lengthens it."""
    clock = VirtualClock()
    jumps = iter((3600, -3600, 86_400) * 9)
    monkeypatch.setattr(clock, "now", lambda: EPOCH + timedelta(seconds=next(jumps)))
    server = Server(clock, lambda: (0.0, 0.0))
    await clock.run(server.calls(TokenBudget(Limits(0, 3, 0), clock), 7))
    assert server.departures == pytest.approx([0, 0, 0, 60, 60, 60, 120], abs=0.01)


@pytest.mark.fault(63)
async def test_an_older_reply_takes_nothing_back() -> None:
    """Of two replies the one that left first says less was spent: it was overtaken."""
    clock = VirtualClock()
    budget = TokenBudget(Limits(20, 0, 5), clock)
    await clock.run(clock.sleep(10))
    async with budget.slot():
        budget.learn(Headroom(20, 2), sent_at=10.0)
        budget.learn(Headroom(20, 15), sent_at=5.0)
    server = Server(clock, lambda: (0.0, 0.0))
    await clock.run(server.calls(budget, 3))
    assert server.departures == pytest.approx([10.0, 10.0, 10.0 + HOUR_S], abs=0.01)
