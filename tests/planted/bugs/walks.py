"""How a listing is walked (docs/faults.md 19-33): each bug takes a judgement on cursors, pages or ends away."""

from __future__ import annotations

from tests.planted.bug import Bug

_WALKS, _POSITION, _REPLY = "syncd/sources/revento/walks.py", "syncd/wire/position.py", "syncd/wire/reply.py"
_LEDGER, _STREAM, _ROUND = "syncd/store/walks.py", "syncd/sync/stream.py", "syncd/sync/installation.py"
_DECODE, _TRAIL = "syncd/sources/revento/decode.py", "syncd/sources/revento/trail.py"
_OF_WALKS, _OF_REPLY = "tests/sources/revento/test_walks.py", "tests/wire/test_reply.py"
_FAILURES, _READINGS = "tests/sync/test_failures.py", "tests/sync/test_cursor_readings.py"
_REMOVALS, _CHANGES, _RESUME = (f"tests/sync/test_{name}.py" for name in ("removals", "world_changes", "resume"))

BUGS = (
    Bug(
        "a stream is green by a certificate that the database has lost",
        "syncd/store/runs.py",
        "    HAVING %(status)s NOT IN ('certified', 'held') OR bool_or(walk.outcome = 'certified')\n", "",
        ("tests/store/test_walks.py::test_a_stream_is_not_green_by_a_certificate_that_a_failover_has_lost",), (83,),
    ),
    Bug(
        "a walk goes on behind a page that the database has lost",
        "syncd/store/walks.py", "           WHERE %s <= (SELECT coalesce(max(page_number), 0) FROM",
        "           WHERE %s IS NOT NULL OR 0 = (SELECT coalesce(max(page_number), 0) FROM",
        ("tests/store/test_walks.py::test_a_walk_does_not_go_on_behind_a_page_that_a_failover_has_lost",), (83,),
    ),
    Bug(
        "a walk begins under a token that will not outlive it",
        _STREAM, "    if dies_with_token:\n", "    if False:\n",
        (f"{_READINGS}::test_a_token_is_renewed_before_a_walk_that_would_outlive_it",), (19,),
    ),
    Bug(
        "a listing that outlives each token is begun for ever",
        _ROUND, "if error.by_refresh and self._began_under_new_token:", "if False:",
        (f"{_READINGS}::test_a_listing_that_outlives_each_token_is_reported",), (19,),
    ),
    Bug(
        "a walk that was restarted is a witness",
        _LEDGER, "is_witness = walk.generation = 1 AND ledger", "is_witness = ledger",
        (f"{_REMOVALS}::test_a_walk_that_was_restarted_is_no_witness",), (19, 28, 32),
    ),
    Bug(
        "the cursor of another grant is used",
        _POSITION, "if at.grant != grant:", "if False:",
        ("tests/store/test_walks.py::test_a_position_that_is_worth_nothing_begins_a_new_generation",), (19,),
    ),
    Bug(
        "a page that is too large is asked for in no smaller one",
        _WALKS, "            if limit <= 1:\n", "            if limit <= LARGEST_LIMIT:\n",
        (f"{_OF_WALKS}::test_page_too_large_shrinks_and_keeps_the_cursor",
         f"{_FAILURES}::test_a_page_that_is_too_large_is_asked_for_in_halves"), (20,),
    ),
    Bug(
        "the page size that the server bore is forgotten",
        _STREAM, "return None if await may_grow(tx, page.request_id) else page.limit", "return None",
        (f"{_FAILURES}::test_a_page_that_is_too_large_is_asked_for_in_halves",), (20,),
    ),
    Bug(
        "a walk whose page size changed is a witness",
        _LEDGER, "AND ledger.page_limits <= 1 ", "",
        (f"{_REMOVALS}::test_a_walk_whose_page_size_changed_is_no_witness",), (20, 28),
    ),
    Bug(
        "a row that fits no page is asked for without a limit",
        _WALKS, "            if limit <= 1:\n", "            if limit < 1:\n",
        (f"{_OF_WALKS}::test_row_that_fits_no_page_ends_the_walk_with_a_clear_error",
         f"{_FAILURES}::test_a_row_that_is_too_large_by_itself_fails_its_stream"), (21,),
    ),
    Bug(
        "more without a cursor is the end",
        _REPLY, "if listing.has_more is True and not listing.next_cursor:", "if False:",
        (f"{_OF_REPLY}::test_more_without_a_way_to_it_is_a_breach",
         f"{_OF_WALKS}::test_more_without_a_cursor_is_a_breach"), (22,),
    ),
    Bug(
        "has_more is ignored: the last page's cursor is followed",
        _WALKS, "if listing.has_more is not True or not listing.next_cursor:", "if not listing.next_cursor:",
        (f"{_OF_WALKS}::test_final_page_ends_the_walk_although_it_has_a_cursor",), (23,),
    ),
    Bug(
        "a listing that is promised whole is not followed",
        _WALKS, "            at = self._behind(listing, reply, limit, str(installation.grant_id))\n",
        "            at = self._behind(listing, reply, limit, str(installation.grant_id)) if self.is_paged else None\n",
        (f"{_OF_WALKS}::test_unpaged_listing_that_says_has_more_is_followed",), (24,),
    ),
    Bug(
        "every listing has to say whether more follows",
        _REPLY, "if paged and listing.has_more is msgspec.UNSET:", "if listing.has_more is msgspec.UNSET:",
        (f"{_OF_REPLY}::test_a_listing_that_is_not_paged_need_not_say_it",
         f"{_OF_WALKS}::test_listing_without_has_more_is_complete"), (24,),
    ),
    Bug(
        "a cursor may lead back",
        _TRAIL, "if listing.next_cursor in self._cursors:", "if False:",
        (f"{_OF_WALKS}::test_cursor_loop_is_a_breach",
         f"{_OF_WALKS}::test_cursor_that_leads_back_to_where_the_walk_resumed_is_a_loop"), (25,),
    ),
    Bug(
        "pages that bring nothing new have no bound",
        _TRAIL, "MOST_BARREN_PAGES = 20", "MOST_BARREN_PAGES = 2000",
        (f"{_OF_WALKS}::test_empty_pages_are_bounded",
         f"{_OF_WALKS}::test_same_pages_under_ever_new_cursors_are_a_breach"), (25, 27),
    ),
    Bug(
        "an empty page is the last one",
        _WALKS, "if listing.has_more is not True or not listing.next_cursor:",
        "if listing.has_more is not True or not listing.data or not listing.next_cursor:",
        (f"{_OF_WALKS}::test_empty_middle_page_is_no_end",
         f"{_FAILURES}::test_an_empty_page_in_the_middle_ends_nothing"), (27,),
    ),
    Bug(
        "a walk whose listing shifted is a witness",
        _LEDGER, "\n            AND (ledger.pages = 1 OR ledger.rows = %(distinct)s)", "",
        (f"{_REMOVALS}::test_a_walk_whose_listing_shifted_is_no_witness",
         f"{_REMOVALS}::test_a_listing_in_no_order_at_all_removes_nothing"), (26, 28, 30),
    ),
    Bug(
        "a walk that could not read a row is a witness",
        _LEDGER, " AND ledger.rejected = 0\n", "\n",
        (f"{_REMOVALS}::test_a_walk_that_could_not_read_a_row_is_no_witness",), (28, 79),
    ),
    Bug(
        "a cursor is used for two days",
        _POSITION, "CURSOR_LIFE = timedelta(hours=23)", "CURSOR_LIFE = timedelta(hours=47)",
        ("tests/wire/test_position.py::test_a_cursor_ages",
         f"{_RESUME}::test_a_cursor_that_is_nearly_a_day_old_is_not_sent"), (31,),
    ),
    Bug(
        "a cursor from the future does not age",
        _POSITION, " if age <= -CLOCK_SKEW else None", " if False else None",
        ("tests/wire/test_position.py::test_a_cursor_ages",), (31,),
    ),
    Bug(
        "a cursor can be refused in one way only",
        _WALKS, "if not 400 <= (error.status or 0) < 500 or error.status in NOT_THE_CURSORS:",
        "if error.status != 400:",
        (f"{_OF_WALKS}::test_a_refusal_is_the_cursors_where_the_first_page_is_served",), (32,),
    ),
    Bug(
        "a refused cursor ends the stream",
        _ROUND, "        if restarts > MAX_RESTARTS:\n", "        if restarts > 0:\n",
        (f"{_FAILURES}::test_a_cursor_that_is_refused_in_mid_walk_restarts_it_once",), (19, 32),
    ),
    Bug(
        "a server that refuses its own cursors is asked for long",
        _ROUND, "MAX_RESTARTS = 2", "MAX_RESTARTS = 20",
        (f"{_FAILURES}::test_a_server_that_refuses_its_own_cursors_is_not_asked_for_ever",), (32,),
    ),
    Bug(
        "the restarts of a run begin anew after a crash",
        _LEDGER, "AND stream = %s AND run_id = %s\n           AND generation > 1",
        "AND stream = %s AND run_id = %s\n           AND generation > 1 AND outcome = 'open'",
        (f"{_READINGS}::test_a_crash_does_not_make_the_restarts_begin_anew",
         f"{_FAILURES}::test_a_server_that_refuses_its_own_cursors_is_not_asked_for_ever"), (32, 94),
    ),
    Bug(
        "rows of another event are taken",
        _DECODE, "if fields.ref(\"event_id\") not in {None, self._event_id}:", "if fields.ref(\"event_id\") == \"\":",
        (f"{_CHANGES}::test_a_page_of_another_event_is_refused_whole",
         f"{_OF_WALKS}::test_row_of_another_event_is_a_breach"), (33,),
    ),
    Bug(
        "another event is taken for ours",
        _WALKS, "if change.row[\"event_id\"] != installation.account:", "if False:",
        (f"{_OF_WALKS}::test_event_that_is_not_ours_is_a_breach",
         f"{_CHANGES}::test_a_page_of_another_event_is_refused_whole"), (33,),
    ),
)  # fmt: skip
