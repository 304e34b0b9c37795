"""What people do by hand: a replay that sets rows back, loses what it cannot read, or a reset that resets nothing."""

from __future__ import annotations

from tests.planted.bug import Bug

_KEEPING, _CHOSEN, _REPLAY = "syncd/store/quarantine.py", "syncd/store/left_out.py", "syncd/store/replay.py"
_SQL, _RESET, _WALKS = "syncd/store/statements.py", "syncd/sync/reset.py", "syncd/store/walks.py"
_REPLAYED, _OF_RESET = "tests/sync/test_replay.py", "tests/sync/test_reset.py"
_OF_COMMAND = "tests/cli/test_quarantine.py"
_NEWER, _GONE = (
    f"{_REPLAYED}::test_an_older_row_never_overwrites_a_newer_one",
    f"{_REPLAYED}::test_a_row_that_is_gone_is_not_brought_back_and_nothing_is_kept_of_it",
)

BUGS = (
    Bug(
        "a replay overwrites what has been written since",
        _SQL, "OR _syncd_synced_at > %b AND _syncd_request_id IS DISTINCT FROM %b)",
        "OR %b::timestamptz IS NULL AND %b IS NULL)",
        (_NEWER,), (39,),
    ),
    Bug(
        "a replay brings back what is hidden",
        _SQL, "(_syncd_deleted_at IS NOT NULL OR ", "(false OR ", (_GONE,),
    ),
    Bug(
        "a replay takes its own writing for a newer row",
        _SQL, " AND _syncd_request_id IS DISTINCT FROM %b)", " AND %b IS NOT NULL)",
        (f"{_REPLAYED}::test_what_still_cannot_be_stored_stays_with_its_reason",),
    ),
    Bug(
        "a replay sets back what a row merely repeats",
        "syncd/sync/replay.py", "await not_outdated(tx, page.shared, kept)", "page.shared",
        (f"{_REPLAYED}::test_what_a_row_merely_repeats_is_not_set_back",),
    ),
    Bug(
        "a replay forgets what it still cannot read",
        _REPLAY, "if tuple(where) not in still]", "]",
        (f"{_REPLAYED}::test_what_still_cannot_be_stored_stays_with_its_reason",), (78,),
    ),
    Bug(
        "a replay forgets nothing",
        _REPLAY, "if tuple(where) not in still]", "if False]",
        (f"{_REPLAYED}::test_a_value_that_can_be_read_now_is_stored_without_a_call",), (78,),
    ),
    Bug(
        "a row stays behind without its values",
        _REPLAY, "    await tx.cursor.execute(_FORGET_EMPTY, [*tx.stream, kept.ref])\n", "",
        (f"{_REPLAYED}::test_a_value_that_can_be_read_now_is_stored_without_a_call",),
    ),
    Bug(
        "one entry replays all rows",
        _REPLAY, "OR quarantine_id = ANY (:ids))", "OR true)",
        (f"{_REPLAYED}::test_one_entry_stands_for_its_row_alone",),
    ),
    Bug(
        "a kept row is the one that was served first",
        _KEEPING, "WHERE kept.raw_row <> EXCLUDED.raw_row", "WHERE false",
        (f"{_REPLAYED}::test_the_row_is_kept_as_it_was_served_last",),
    ),
    Bug(
        "what an older version kept gets no row",
        _KEEPING, "    await tx.cursor.executemany(_ADOPT, adopted)\n", "",
        (f"{_REPLAYED}::test_what_an_older_version_kept_is_told_and_kept_anew_by_the_next_walk",),
    ),
    Bug(
        "rows are kept of people who are gone",
        "syncd/store/removals.py", "            await forget_rows(tx, keys)\n", "", (_GONE,),
    ),
    Bug(
        "a row is kept under its key itself",
        _KEEPING, 'else _digest(b"key", row.key.encode())', "else row.key",
        (f"{_REPLAYED}::test_a_row_with_the_longest_key_is_kept", _GONE), (36,),
    ),
    Bug(
        "dropped values leave their rows behind",
        _CHOSEN, "        await tx.cursor.execute(_DROP_ROWS, [installation])\n", "",
        (f"{_OF_COMMAND}::test_what_is_dropped_is_kept_anew_when_it_is_served_again",),
    ),
    Bug(
        "a terminal is not asked before something is forgotten",
        "syncd/cli/quarantine.py", "if numbers and not yes and not session.confirms(question):", "if False:",
        (f"{_OF_COMMAND}::test_a_terminal_is_asked",),
    ),
    Bug(
        "a reset leaves the cursor",
        _WALKS,
        "    await save_position(tx, Start(limit=(await load_position(tx)).limit if keeps_limit else None))\n", "",
        (f"{_OF_RESET}::test_the_next_walk_begins_at_the_first_page",),
    ),
    Bug(
        "a reset abandons no walk",
        _RESET, '                await abandon_open_walk(tx, "its position was reset by hand")\n', "",
        (f"{_OF_RESET}::test_the_next_walk_begins_at_the_first_page",),
    ),
    Bug(
        "a cursor of another grant is shown as usable",
        "syncd/wire/position.py", 'return "the cursor was issued to another grant"', "return None",
        (f"{_OF_RESET}::test_a_position_is_told_with_what_limits_it",),
    ),
)  # fmt: skip
