"""What leads a walk nowhere, or shows it less than there is (docs/faults.md 25, 32, 42, 43, 79)."""

from __future__ import annotations

from tests.planted.bug import Bug

_WALKS, _SUMMARIES = "syncd/sources/revento/walks.py", "syncd/sources/revento/summaries.py"
_OF_SUMMARIES = "tests/sources/revento/test_summaries.py"
_WALKS_STORE, _INSTALLATION = "syncd/store/walks.py", "syncd/sync/installation.py"
_TRAIL = "syncd/sources/revento/trail.py"
_BROKEN = "tests/sync/test_broken_walks.py"

BUGS = (
    Bug(
        "cursors that lead nowhere are gone on from",
        "syncd/sync/installation.py",
        "                await abandon_open_walk(tx, str(error), keeps_limit=True)\n", "                pass\n",
        (f"{_BROKEN}::test_cursors_that_lead_nowhere_are_not_gone_on_from",), (25,),
    ),
    Bug(
        "a cursor of any length is kept",
        "syncd/wire/reply.py",
        "        return len(quote(cursor, safe=\"\")) <= LONGEST_CURSOR\n", "        return True\n",
        (f"{_BROKEN}::test_cursors_that_lead_nowhere_are_not_gone_on_from",), (25,),
    ),
    Bug(
        "what names the cursor does not count",
        _WALKS, "    if \"cursor\" in (error.code or \"\"):\n        return True\n", "",
        (f"{_BROKEN}::test_a_cursor_that_is_refused_in_other_words_is_begun_anew_at_once",), (32,),
    ),
    Bug(
        "a walk of which nothing could be read is certified",
        "syncd/store/walks.py", " AND (ledger.rows = 0 OR ledger.rejected < ledger.rows)", "",
        (f"{_BROKEN}::test_a_listing_of_which_nothing_can_be_read_is_never_green",), (79,),
    ),
    Bug(
        "a branch that cannot be read is an empty one",
        "syncd/sources/revento/decode.py", "        self._served[-1].rejected += bad_values[before:]\n", "",
        ("tests/sources/revento/test_decode_places.py::test_what_cannot_be_read_inside_the_graph_is_told",), (79,),
    ),
    Bug(
        "one thin reply tells what the API does not send",
        _SUMMARIES, "WITNESSES = 2\n", "WITNESSES = 1\n",
        (f"{_OF_SUMMARIES}::test_a_field_that_is_sent_nowhere_is_not_looked_for_for_ever",), (43,),
    ),
    Bug(
        "an API may send next to nothing",
        _SUMMARIES, "MOST_UNSENT = 3\n", "MOST_UNSENT = 30\n",
        (f"{_OF_SUMMARIES}::test_where_every_reply_is_thin_nothing_is_stored",), (43,),
    ),
    Bug(
        "half an activity is stored",
        _WALKS, "        if item.flaw:\n", "        if False:\n",
        (f"{_OF_SUMMARIES}::test_a_thin_reply_costs_its_own_activity_and_no_other",), (43,),
    ),
    Bug(
        "a gateway's 404 takes an activity away",
        _SUMMARIES, "            if error.code != GONE:\n                raise\n", "",
        (f"{_OF_SUMMARIES}::test_an_activity_is_gone_by_the_apis_own_word_only",), (43,),
    ),
    Bug(
        "more is accepted than a person was asked about",
        "syncd/sync/removals.py", "load_pending(tx, until=shown)", "load_pending(tx)",
        ("tests/sync/test_removals.py::test_what_is_held_since_a_person_was_asked_stays_held",), (28,),
    ),
    Bug(
        "a count that cannot be read closes a cut list",
        "syncd/sources/revento/decode_program.py", "(is_counted and is_readable)", "is_readable",
        ("tests/sources/revento/test_decode_program.py::test_sign_up_list",), (38,),
    ),
    Bug(
        "a list of hosts that cannot be read is an empty one",
        "syncd/sources/revento/decode_program.py", " if has_hosts else []", " if True else []",
        ("tests/sources/revento/test_decode_program.py::test_a_list_that_cannot_be_read_says_nothing_of_who_was_on_it",),
        (38,),
    ),
    Bug(
        "a page size that was shrunk never grows again",
        "syncd/sync/stream.py", "return None if await may_grow(tx, page.request_id) else page.limit",
        "return page.limit",
        ("tests/sync/test_failures.py::test_a_larger_page_is_tried_again_once_a_day",), (20,),
    ),
    Bug(
        "a larger page is tried in every walk",
        _WALKS_STORE, "return await tx.cursor.fetchone() is None", "return True",
        ("tests/sync/test_failures.py::test_a_larger_page_is_tried_again_once_a_day",), (20,),
    ),
    Bug(
        "one listing's page size is another's",
        _WALKS_STORE, "USING (installation, endpoint)", "USING (installation)",
        ("tests/sync/test_failures.py::test_a_larger_page_is_tried_again_once_a_day",), (20,),
    ),
    Bug(
        "a value that came back is as old as it was",
        "syncd/store/quarantine.py", "tx.now, is_news])", "tx.now, False])",
        ("tests/sync/test_replay.py::test_a_value_that_went_and_came_back_is_not_outdated",), (78,),
    ),
    Bug(
        "a cursor that breaks the server is tried for ever",
        _INSTALLATION, "await give_up_if_it_stands(tx, failed[-1].endpoint, why)", "pass",
        (f"{_BROKEN}::test_a_cursor_that_fails_for_an_hour_is_given_up",), (17, 32),
    ),
    Bug(
        "two failures within the hour give a walk up",
        _WALKS_STORE, "AND failed.ended_at <= %s - interval '1 hour'", "AND failed.ended_at <= %s",
        (f"{_BROKEN}::test_a_cursor_that_fails_for_an_hour_is_given_up",), (17, 32),
    ),
    Bug(
        "a failure before the last page counts too",
        _WALKS_STORE, "AND failed.ended_at > saved_at AND failed.ended_at <= %s", "AND failed.ended_at <= %s",
        (f"{_BROKEN}::test_a_walk_that_has_come_further_since_is_not_given_up",), (17,),
    ),
    Bug(
        "a walk is given up because nobody answers",
        _WALKS_STORE, " AND (request.status >= 400 OR request.error_code IS NULL)", "",
        (f"{_BROKEN}::test_one_failure_after_a_long_pause_gives_no_walk_up",), (17,),
    ),
    Bug(
        "a refusal of the pace gives a walk up",
        _WALKS_STORE, " AND request.status <> ALL (%s)", " AND (%s::int[]) IS NOT NULL",
        (f"{_BROKEN}::test_one_failure_after_a_long_pause_gives_no_walk_up",), (17,),
    ),
    Bug(
        "a walk is given up for what is asked beside it",
        _WALKS_STORE, " AND request.endpoint = %s AND", " AND (%s::text) IS NOT NULL AND",
        (f"{_BROKEN}::test_a_cursor_is_not_given_up_for_what_is_asked_beside_it",), (17,),
    ),
    Bug(
        "whatever is refused is refused for its cursor",
        _WALKS, "        log.info(\"first_page_refused_too\", reason=str(another))\n        return False\n",
        "        log.info(\"first_page_refused_too\", reason=str(another))\n",
        (f"{_BROKEN}::test_a_server_that_refuses_everything_for_a_while_costs_no_walk",), (32,),
    ),
    Bug(
        "a walk that is given up takes its page size along",
        _INSTALLATION, "tx, str(error), keeps_limit=True)", "tx, str(error))",
        (f"{_BROKEN}::test_a_walk_that_is_given_up_leaves_its_page_size",), (20,),
    ),
    Bug(
        "who changes is somebody new",
        _TRAIL, "        return msgspec.json.decode(raw, type=_Identified).id\n", "        return hash(bytes(raw))\n",
        ("tests/sources/revento/test_walk_graphs.py::test_a_page_that_is_served_for_ever_ends_though_its_rows_change",),
        (25,),
    ),
    Bug(
        "the rows of any listing are taken",
        _TRAIL, "        self._require_own(reply, listing.data)\n", "",
        ("tests/sources/revento/test_walk_graphs.py::test_the_rows_of_another_listing_are_not_stored",), (33,),
    ),
    Bug(
        "what is listed and unknown alone is in no book",
        _SUMMARIES, " else \"\")) for item in found]", " else \"\")) for item in found if item.flaw != GONE_ALONE]",
        ("tests/sync/test_summaries.py::test_what_is_listed_is_never_gone_though_nobody_knows_it_alone",), (43,),
    ),
    Bug(
        "a branch that is not there is an empty one",
        "syncd/sources/revento/decode.py", "fields.rows(name, required=True)", "fields.rows(name)",
        ("tests/sources/revento/test_decode_places.py::test_a_branch_that_is_not_there_is_not_an_empty_one",), (38,),
    ),
    Bug(
        "only the row itself may have been another meanwhile",
        "syncd/sync/stream.py", "is_news = any(one.inserted or one.updated for one in (shared, counts))",
        "is_news = bool(counts.inserted)",
        ("tests/sync/test_replay.py::test_a_value_inside_a_tree_that_went_and_came_back_is_not_outdated",), (78,),
    ),
    Bug(
        "of two rows with one key both are read again",
        "syncd/store/quarantine.py", "ref = None if row.key in repeated else row_ref(row)", "ref = row_ref(row)",
        ("tests/sync/test_replay.py::test_a_row_that_was_not_stored_is_not_read_again",), (34,),
    ),
    Bug(
        "a replay takes a row out of what is held",
        "syncd/sync/replay.py", "        return Counts(), Settled(0, 0, Counter({PENDING: 1}))\n", "        pass\n",
        ("tests/sync/test_replay.py::test_what_waits_for_a_decision_is_not_read_again",), (28,),
    ),
    Bug(
        "a cursor's age is told by the driver's clock",
        "syncd/sync/stream.py", "stamped(page.resume_at, tx.now)", "page.resume_at",
        ("tests/sync/test_resume.py::test_a_walk_is_resumed_though_the_drivers_clock_is_wrong",), (31, 52),
    ),
    Bug(
        "a walk is given up though its page has just been served",
        _WALKS_STORE, " or position.query != endpoint:", ":",
        (f"{_BROKEN}::test_a_cursor_is_not_given_up_for_what_is_asked_beside_it",), (17,),
    ),
    Bug(
        "what the first page is refused for is not told",
        _WALKS, "        if another.status in NOT_THE_CURSORS:\n            raise\n", "",
        ("tests/sources/revento/test_walks.py::test_what_the_first_page_is_refused_for_counts_where_it_is_plain",),
        (32,),
    ),
    Bug(
        "a byte that is no text ends the round",
        _TRAIL, "(raw, type=_Identified).id\n    except (msgspec.MsgspecError, UnicodeDecodeError)",
        "(raw, type=_Identified).id\n    except msgspec.MsgspecError",
        ("tests/sources/revento/test_walk_graphs.py::test_a_byte_that_is_no_text_costs_its_own_row",), (70, 79),
    ),
    Bug(
        "a round is taken up in part",
        "syncd/store/runs.py", "WHERE ordered <> ALL (CAST(:streams AS text[])) AND ordered NOT IN",
        "WHERE (CAST(:streams AS text[])) IS NULL AND ordered NOT IN",
        ("tests/sync/test_resume.py::test_a_round_is_not_taken_up_by_one_that_would_leave_streams_undone",), (94,),
    ),
    Bug(
        "a round is taken up past what failed in it",
        "syncd/store/runs.py", " AND status IN ('certified', 'skipped')))", "))",
        ("tests/sync/test_resume.py::test_a_round_is_not_taken_up_past_what_failed_or_is_held_in_it",), (94,),
    ),
    Bug(
        "a failure hides what is held",
        "syncd/store/reports.py", "is_held=row.held_rows > 0)", "is_held=row.status == \"held\")",
        ("tests/sync/test_removals.py::test_what_is_held_shows_behind_a_later_failure",), (28,),
    ),
)  # fmt: skip
