"""The reaction to each failure, as a table."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import (
    ApiError,
    ContractBreach,
    CursorRefused,
    NotFound,
    PageTooLarge,
    RateLimited,
    RefreshFailed,
    ScopeMissing,
    TokenExpired,
    TokenRefused,
    TooManyInFlight,
    Transient,
)
from syncd.wire.retry import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MAX_ATTEMPTS,
    UNNAMED_WAIT_S,
    GiveUp,
    Refresh,
    RetryAfter,
    decide,
    pause_after,
)


def decided(error: ApiError, *, attempt: int = 1, refreshed: bool = False) -> Any:
    return decide(error, attempt=attempt, refreshed=refreshed, random=Random(1))


@pytest.mark.parametrize(
    "error", [ContractBreach, CursorRefused, NotFound, PageTooLarge, ScopeMissing, TokenRefused, RefreshFailed]
)
def test_what_a_repeat_would_not_change_is_not_repeated(error: type[ApiError]) -> None:
    assert decided(error("no")) == GiveUp()


@pytest.mark.case("RV-11")
def test_a_token_is_renewed_once_for_a_call() -> None:
    assert decided(TokenExpired("old")) == Refresh()
    assert decided(TokenExpired("old"), attempt=5) == Refresh(), "whatever came before it"
    assert decided(TokenExpired("old"), refreshed=True) == GiveUp()


@pytest.mark.parametrize("error", [Transient, RateLimited, TooManyInFlight])
def test_patience_ends(error: type[Transient]) -> None:
    assert isinstance(decided(error("no"), attempt=MAX_ATTEMPTS - 1), RetryAfter)
    assert decided(error("no"), attempt=MAX_ATTEMPTS) == GiveUp()


@pytest.mark.fault(17)
@pytest.mark.parametrize(("error", "is_repeated"), [(Transient, False), (RateLimited, True), (TooManyInFlight, True)])
def test_in_an_outage_only_what_was_answered_is_repeated(error: type[Transient], is_repeated: bool) -> None:
    decision = decide(error("no"), attempt=1, refreshed=False, outage=True, random=Random(1))
    assert isinstance(decision, RetryAfter) == is_repeated


@given(attempt=st.integers(1, MAX_ATTEMPTS - 1), seed=st.integers())
def test_pauses_are_jittered_under_a_doubling_cap(attempt: int, seed: int) -> None:
    decision = decide(Transient("no"), attempt=attempt, refreshed=False, random=Random(seed))
    assert isinstance(decision, RetryAfter)
    assert 0 <= decision.pause_s <= min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempt - 1))


@given(wait_s=st.floats(0, 3600), seed=st.integers(), attempt=st.integers(1, MAX_ATTEMPTS - 1))
@pytest.mark.case("RV-17")
def test_a_named_wait_is_kept_to_the_full(wait_s: float, seed: int, attempt: int) -> None:
    limited = RateLimited("no", retry_after_s=wait_s)
    assert decide(limited, attempt=attempt, refreshed=False, random=Random(seed)) == RetryAfter(0.0)
    assert wait_s <= pause_after(limited, Random(seed)) <= wait_s + 1
    transient = decide(Transient("no", retry_after_s=wait_s), attempt=attempt, refreshed=False, random=Random(seed))
    assert isinstance(transient, RetryAfter)
    assert transient.pause_s >= wait_s


@pytest.mark.fault(62)
def test_a_limit_that_names_no_time_waits_a_minute_for_the_whole_token() -> None:
    assert UNNAMED_WAIT_S <= pause_after(RateLimited("no"), Random(1)) <= UNNAMED_WAIT_S + 1


@pytest.mark.fault(64)
def test_those_who_may_go_on_at_the_same_second_do_not_all_do_so() -> None:
    """Five hundred tokens that were told the same wait: in no tenth of a second more than a fifth of them."""
    pauses_s = [pause_after(RateLimited("no", retry_after_s=42.0), Random(seed)) for seed in range(500)]
    assert min(pauses_s) >= 42.0
    assert max(Counter(int(pause_s * 10) for pause_s in pauses_s).values()) <= 100


@pytest.mark.case("RV-19")
def test_too_many_in_flight_pauses_its_own_call_for_a_moment() -> None:
    decision = decided(TooManyInFlight("no", retry_after_s=None))
    assert decision.pause_s <= FIRST_PAUSE_S
