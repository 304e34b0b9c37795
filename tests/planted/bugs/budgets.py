"""What paces the calls (docs/faults.md 58-68): each bug lets one too many leave, or waits for nothing."""

from __future__ import annotations

from tests.planted.bug import Bug

_READS, _RETRY, _BUDGET = "syncd/wire/rate_limit.py", "syncd/wire/retry.py", "syncd/http/budget.py"
_OTHERS, _API, _REQUESTS = "syncd/http/others.py", "syncd/http/api.py", "syncd/store/requests.py"
_SCHEDULE, _READERS = "syncd/daemon/schedule.py", "syncd/wire/readers.py"
_OF_READS, _OF_RETRY, _OF_BUDGET = (
    "tests/wire/test_rate_limit.py",
    "tests/wire/test_retry.py",
    "tests/http/test_budget.py",
)
_OF_API, _OF_REQUESTS, _OF_SCHEDULE = (
    "tests/http/test_api.py",
    "tests/store/test_requests.py",
    "tests/daemon/test_schedule.py",
)
_OF_SUMMARIES = "tests/sync/test_summaries.py"
_LISTING, _APP, _OF_STANDING = "syncd/main/listing.py", "syncd/main/app.py", "tests/sync/test_standing.py"
_LOOKED_BACK = "tests/wire/test_readers.py::test_a_time_that_no_column_holds"
_SEEN = f"{_OF_SCHEDULE}::test_a_round_that_waits_is_seen_and_gives_its_place_to_another"

BUGS = (
    Bug(
        "a date to wait for has no zone",
        _READS, "return stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)", "return stamp",
        (f"{_OF_READS}::test_retry_after",), (58,),
    ),
    Bug(
        "a date to wait for is held against our clock",
        _READS, "return (until - (read_http_date(date or \"\") or received_at)).total_seconds()",
        "return (until - received_at).total_seconds()",
        (f"{_OF_READS}::test_a_date_is_held_against_the_servers_own_clock",), (58,),
    ),
    Bug(
        "whatever Python takes for a number is one",
        _READS, "return int(text) if text is not None and _WHOLE.match(text.strip()) else None",
        "return int(text) if text and text.strip().lstrip(\"+\").replace(\"_\", \"\").isdecimal() else None",
        (f"{_OF_READS}::test_retry_after",), (59,),
    ),
    Bug(
        "a wait has no bound",
        _READS, "min(max(seconds, 0.0), MAX_RETRY_AFTER_S)", "float(seconds)",
        (f"{_OF_READS}::test_retry_after",), (59,),
    ),
    Bug(
        "of several waits the first counts",
        _READS, "_NEXT.split(headers.get(\"retry-after\", \"\"))",
        "_NEXT.split(headers.get(\"retry-after\", \"\"))[:1]",
        (f"{_OF_READS}::test_of_several_waits_the_longest_counts",), (60,),
    ),
    Bug(
        "a reset is always an epoch",
        _READS, "if value >= _EPOCH_FROM:", "if True:", (f"{_OF_READS}::test_reset_is_an_epoch_or_a_delta",), (61,),
    ),
    Bug(
        "a reset is on our clock",
        _READS, "datetime.fromtimestamp(value, UTC) - (read_http_date(date or \"\") or received_at)",
        "datetime.fromtimestamp(value, UTC) - received_at",
        (f"{_OF_READS}::test_a_reset_is_held_against_the_servers_own_clock",), (61,),
    ),
    Bug(
        "a refusal that names no time is over at once",
        _RETRY, "UNNAMED_WAIT_S = 60.0", "UNNAMED_WAIT_S = 0.0",
        (f"{_OF_API}::test_a_limit_without_any_header_waits_a_minute",), (62,),
    ),
    Bug(
        "a 503 that names a time holds its own call only",
        _API, "elif error.retry_after_s:", "elif False:",
        (f"{_OF_API}::test_a_503_that_names_a_time_holds_every_call_of_the_token",), (62,),
    ),
    Bug(
        "a token endpoint that asks for patience is misconfigured",
        "syncd/http/token_endpoint.py", "not in (408, 429)", "not in (408,)",
        ("tests/credentials/test_refresh.py::test_a_token_endpoint_that_is_silent_parks_nothing",), (62,),
    ),
    Bug(
        "what others spend is not counted",
        _OTHERS, "self.noticed.extend([now] * (used - ours - len(self.noticed)))", "pass",
        (f"{_OF_BUDGET}::test_what_another_tool_spends_is_seen_and_left_to_it",
         f"{_OF_BUDGET}::test_nothing_left_without_a_refusal_is_a_wait"), (62, 63),
    ),
    Bug(
        "our own calls of just over an hour ago are taken for another's",
        _BUDGET, "_since(self._replies, sent_at - HOUR_S - ROUNDING_S)",
        "_since(self._replies, now - HOUR_S - ROUNDING_S)",
        (f"{_OF_BUDGET}::test_nobody_else_is_seen_where_there_is_nobody",), (63,),
    ),
    Bug(
        "a reply that was overtaken takes back what newer ones have said",
        _OTHERS, "if sent_at >= self._heard_at:", "if True:",
        (f"{_OF_BUDGET}::test_an_older_reply_takes_nothing_back",), (63,),
    ),
    Bug(
        "who takes over counts on no lost call",
        _REQUESTS, "generate_series(1, CAST(:in_flight", "generate_series(1, 0 * CAST(:in_flight",
        (f"{_OF_REQUESTS}::test_calls_that_nobody_wrote_down_count_for_every_later_driver",), (63,),
    ),
    Bug(
        "a page of many calls has none of them on record before it is stored",
        _APP, "partial(idling, run), keeping_up)", "partial(idling, run))",
        (f"{_OF_SUMMARIES}::test_a_page_of_many_calls_has_them_on_record_before_it_is_stored",), (63,),
    ),
    Bug(
        "more calls than may be in flight are on no record",
        _BUDGET, "self._limits.in_flight - self._in_flight - 1", "self._limits.in_flight",
        (f"{_OF_BUDGET}::test_no_more_calls_can_be_lost_than_may_be_in_flight",), (63,),
    ),
    Bug(
        "what is said while the record is stored is not heard",
        _BUDGET, "                await self._wait_for_room()\n            self._in_flight += 1\n",
        "                break\n            self._in_flight += 1\n",
        (f"{_OF_BUDGET}::test_a_pause_that_comes_while_the_record_is_stored_counts",), (63,),
    ),
    Bug(
        "each call's record has a transaction of its own",
        _REQUESTS, "if len(records.pending()) <= most:", "if not records.pending():",
        (f"{_OF_SUMMARIES}::test_a_page_of_one_call_has_no_transaction_for_its_record",),
    ),
    Bug(
        "a call that is over does not count",
        _BUDGET, "            insort(self._replies, self._clock.monotonic() + stray_s)\n", "",
        (f"{_OF_BUDGET}::test_a_wait_ends_when_the_oldest_call_leaves_the_window",), (63,),
    ),
    Bug(
        "the limit that was said first stays",
        _OTHERS, "self.limit = said.limit", "self.limit = self.limit or said.limit",
        (f"{_OF_BUDGET}::test_a_limit_that_is_lowered_live_is_kept",), (64,),
    ),
    Bug(
        "all that were told the same wait go on at once",
        _RETRY, "return wait_s + random.uniform(0.0, 1.0)", "return wait_s",
        (f"{_OF_RETRY}::test_those_who_may_go_on_at_the_same_second_do_not_all_do_so",), (64,),
    ),
    Bug(
        "a wait is measured on the wall clock",
        _BUDGET, "        now = self._clock.monotonic()\n        self._expire(now)\n        ours, hour_s",
        "        now = self._clock.now().timestamp() - 1778328000\n        self._expire(now)\n        ours, hour_s",
        (f"{_OF_BUDGET}::test_a_wall_clock_that_jumps_moves_no_wait",), (65,),
    ),
    Bug(
        "a call from the future has yet to be made",
        _REQUESTS, "[max(float(age_s), -STRAY_S) for (age_s,) in rows]",
        "[float(age_s) for (age_s,) in rows if age_s >= 0]",
        (f"{_OF_REQUESTS}::test_a_call_from_the_future_is_a_call_of_now",), (65,),
    ),
    Bug(
        "a budget is rebuilt by the clock of the host that spent it",
        _REQUESTS, "clock_timestamp() - %(now)s AS ahead", "interval '0' AS ahead",
        (f"{_OF_REQUESTS}::test_times_are_stored_by_the_databases_clock",), (63, 65),
    ),
    Bug(
        "a call counts from when it was stored",
        _REQUESTS, "timedelta(seconds=_CLOCK.monotonic() - record.noted_at)", "timedelta()",
        (f"{_OF_REQUESTS}::test_the_ages_of_what_was_spent",), (63,),
    ),
    Bug(
        "a time without an offset is in UTC",
        _READERS, "stamp.astimezone(UTC) if stamp.tzinfo else None",
        "stamp.replace(tzinfo=stamp.tzinfo or UTC).astimezone(UTC)",
        (_LOOKED_BACK,), (66,),
    ),
    Bug(
        "a round that is late by more than a second is skipped",
        _SCHEDULE, "\"misfire_grace_time\": None", "\"misfire_grace_time\": 1",
        (f"{_OF_SCHEDULE}::test_a_loop_that_stood_still_skips_no_round",), (67,),
    ),
    Bug(
        "a time beyond the calendar ends the round",
        _READERS, "except (msgspec.ValidationError, OverflowError):\n        return None",
        "except msgspec.ValidationError:\n        return None",
        (_LOOKED_BACK,), (68,),
    ),
    Bug(
        "each installation asks for a listing of its own",
        _LISTING, "if listing is None or listing.asked_at < oldest:", "if True:",
        (f"{_OF_STANDING}::test_a_suspension_of_all_asks_for_few_listings",), (44,),
    ),
    Bug(
        "a refused token is looked up in an older listing",
        _APP, "self.consult(order.installation.name, max_age_s=0.0)", "self.consult(order.installation.name)",
        (f"{_OF_STANDING}::test_a_token_that_is_refused_after_a_listing_is_looked_up_in_a_newer_one",), (44,),
    ),
    Bug(
        "what the client credentials have spent is forgotten",
        _LISTING, "TokenBudget(CLIENT_LIMITS, clock, spent)", "TokenBudget(CLIENT_LIMITS, clock)",
        (f"{_OF_STANDING}::test_a_spent_budget_of_the_client_credentials_holds_up_nobody",
         f"{_OF_STANDING}::test_the_minute_of_the_client_credentials_is_waited_for"), (63,),
    ),
    Bug(
        "whoever adds a known name has a budget of its own",
        "syncd/main/accounts.py", "await app.budget(installation), records)",
        "await app.budget(__import__(\"dataclasses\").replace(installation, name=\"\")), records)",
        ("tests/sync/test_check.py::test_whoever_adds_a_known_name_waits_for_its_budget",), (63,),
    ),
    Bug(
        "a spent hour of the client credentials is waited for",
        _LISTING, "if (wait_s := budget.wait_s()) > PATIENCE_S:", "if (wait_s := budget.wait_s()) > 3600:",
        (f"{_OF_STANDING}::test_a_spent_budget_of_the_client_credentials_holds_up_nobody",), (44,),
    ),
    Bug(
        "a full flight waits like a spent hour",
        _RETRY, "            return RetryAfter(_jitter(attempt, random))\n        case Transient() if outage:",
        "            return RetryAfter(UNNAMED_WAIT_S)\n        case Transient() if outage:",
        (f"{_OF_RETRY}::test_too_many_in_flight_pauses_its_own_call_for_a_moment",),
    ),
    Bug(
        "a round that waits keeps its place",
        _SCHEDULE, "        self._give()\n        yield\n", "        yield\n", (_SEEN,),
    ),
    Bug(
        "a wait is told to nobody",
        "syncd/sync/idling.py", "            await tell_wait(run.database, run.lease, wait)\n", "", (_SEEN,),
    ),
)  # fmt: skip
