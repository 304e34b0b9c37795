"""A proof that proves nothing, and a dry run that foretells another round than the one that comes."""

from __future__ import annotations

from tests.planted.bug import Bug

_COMPARISON, _VERIFY, _LOOK = "syncd/store/comparison.py", "syncd/sync/verify.py", "syncd/sync/look.py"
_PREVIEW, _CHANGES, _ABSENCE = "syncd/sync/preview.py", "syncd/store/changes.py", "syncd/store/removals.py"
_PROVES, _FORETELLS = "tests/sync/test_verify.py", "tests/sync/test_preview.py"

_OF_VERIFY = (
    Bug(
        "verify trusts the hashes",
        _COMPARISON, "columns = ours.columns + parts", "columns = ()",
        (f"{_PROVES}::test_a_column_that_was_changed_here",),
    ),
    Bug(
        "verify compares no parts",
        _COMPARISON, "columns = ours.columns + parts", "columns = ours.columns",
        (f"{_PROVES}::test_a_sign_up_list_that_was_changed_here",),
    ),
    Bug(
        "verify compares no hashes",
        _COMPARISON, "if not columns and ours.has_hash:", "if not columns:",
        (f"{_PROVES}::test_a_column_that_was_changed_here",),
    ),
    Bug(
        "verify looks at no unmapped field",
        _COMPARISON, "for key, differing in await _compare_unmapped(tx, table, rows):", "for key, differing in []:",

        (f"{_PROVES}::test_a_column_that_was_changed_here",),
    ),
    Bug(
        "verify looks at no dictionary",
        _COMPARISON, "return await _compare_dictionary(tx, table, grows, parts)", "return []",
        (f"{_PROVES}::test_what_rows_share",),
    ),
    Bug(
        "verify compares closed spells",
        _COMPARISON, 'spell_columns(table), "removed_at IS NULL")', "spell_columns(table))",
        (f"{_PROVES}::test_a_sign_up_list_that_was_changed_here",),
    ),
    Bug(
        "verify takes the other side's links for this one's",
        _COMPARISON, "identity_of(table), flag)", "identity_of(table))",
        (f"{_PROVES}::test_three_events_are_equal_after_a_sync_and_nothing_is_written",),
    ),
    Bug(
        "verify takes a hidden row for a live one",
        _COMPARISON, "if ours.is_hidden:", "if False:",
        (f"{_PROVES}::test_a_row_that_is_hidden_here_is_told_as_such",),
    ),
    Bug(
        "verify takes a stub for a row",
        _COMPARISON, "if ours is None or ours.is_stub:", "if ours is None:",
        (f"{_PROVES}::test_who_is_only_named_by_other_rows_is_missing",),
    ),
    Bug(
        "verify calls every stamped difference newer",
        _COMPARISON, "version and certified_at and version > certified_at", "version and certified_at",
        (f"{_PROVES}::test_a_row_that_is_gone_here",),
    ),
    Bug(
        "a list that was cut testifies to absence",
        _COMPARISON, "if not (is_only_here and key in open_lists)", "if True",
        (f"{_PROVES}::test_a_list_that_was_cut_says_nothing_of_who_is_not_on_it",),
    ),
    Bug(
        "verify looks for no extra row",
        _COMPARISON, "for ref in keys if ref not in met]", "for ref in keys if ref in set()]",
        (f"{_PROVES}::test_a_row_that_is_here_only",),
    ),
    Bug(
        "verify does not know what waits for a person",
        _COMPARISON, '"held" if ref in waiting else None', "None",
        (f"{_PROVES}::test_an_extra_row_whose_removal_waits_is_told_apart",),
    ),
    Bug(
        "a row that cannot be read is no difference",
        _VERIFY, '"differs" if differences or met.rejected else "equal"', '"differs" if differences else "equal"',

        (f"{_PROVES}::test_a_row_that_cannot_be_read_is_told_and_no_equality",),
    ),
    Bug(
        "a sample calls all that it did not read extra",
        _VERIFY, "extra if is_whole else None)", "extra)",
        (f"{_PROVES}::test_a_sample_ends_early_and_says_what_it_cannot_tell",),
    ),
    Bug(
        "a sample fetches the page behind its end",
        _VERIFY, "ahead=sample is None", "ahead=True",
        (f"{_PROVES}::test_a_sample_ends_early_and_says_what_it_cannot_tell",),
    ),
    Bug(
        "verify forgets what rows share",
        _VERIFY, "met.enter(page, shared | compared", "met.enter(page, compared",
        (f"{_PROVES}::test_what_rows_share",),
    ),
    Bug(
        "a walk that broke off counts as equal",
        _VERIFY, "proofs[-1] if proofs else _unproven(result)", "proofs[-1] if proofs else Proof(stream.name, 'equal')",

        (f"{_PROVES}::test_a_declined_scope_is_skipped_and_a_failed_stream_fails",),
    ),
)  # fmt: skip
_OF_DRY_RUNS = (
    Bug(
        "who only looks may write",
        "syncd/store/database.py", 'await cursor.execute("SET TRANSACTION READ ONLY")', "pass",
        (f"{_PROVES}::test_the_database_itself_keeps_it_from_writing",),
    ),
    Bug(
        "who only looks records its calls at the end",
        _LOOK, "            await store_requests(run.database, run.installation.name, None, run.requests)\n", "",

        (f"{_PROVES}::test_it_shows_its_pages",),
    ),
    Bug(
        "who only looks forgets the page size that fitted",
        _LOOK, "Start(limit=(await load_position(tx)).limit)", "Start()",
        (f"{_FORETELLS}::test_a_page_size_that_had_to_shrink_is_kept",),
    ),
    Bug(
        "who only looks does not renew the token in time",
        _LOOK, "if run.installation.cursor_survives_refresh is False:", "if False:",
        (f"{_FORETELLS}::test_a_token_is_renewed_before_a_walk_that_would_outlive_it",),
    ),
    Bug(
        "who only looks walks a listing in vain that outlives each token",
        _LOOK, "            rule.require_hope(error, restarts)\n",
        "            RestartRule().require_hope(error, restarts)\n",
        (f"{_FORETELLS}::test_a_cursor_that_dies_with_its_token",),
    ),
    Bug(
        "a dry run inserts a repeated row twice",
        _CHANGES, "{**await _read_known(tx, table, served), **before}", "await _read_known(tx, table, served)",

        (f"{_FORETELLS}::test_a_row_that_pages_repeat_is_inserted_once_and_the_walk_is_no_witness",),
    ),
    Bug(
        "a dry run quarantines a repeated value twice",
        "syncd/store/quarantine.py", "for bad in bad_values} - foreseen", "for bad in bad_values}",
        (f"{_FORETELLS}::test_what_would_be_quarantined_is_counted_once",),
    ),
    Bug(
        "a dry run takes a shifted listing for a witness",
        _PREVIEW, "and no_shift", "",
        (f"{_FORETELLS}::test_a_row_that_pages_repeat_is_inserted_once_and_the_walk_is_no_witness",),
    ),
    Bug(
        "a dry run takes a restarted walk for a witness",
        _PREVIEW, "is_witness=is_first and ledger.is_whole", "is_witness=ledger.is_whole",
        (f"{_FORETELLS}::test_a_restarted_walk_is_no_witness",),
    ),
    Bug(
        "a dry run removes at the first absence",
        "syncd/sync/removals.py", "witnesses > walked.is_witness:", "witnesses > 2:",
        (f"{_FORETELLS}::test_a_row_that_pages_repeat_is_inserted_once_and_the_walk_is_no_witness",),
    ),
    Bug(
        "a dry run does not count what it met",
        _ABSENCE, "met = await _met(tx, since) | walked", "met = await _met(tx, since)",
        (f"{_FORETELLS}::test_the_configured_number_of_witnesses",),
    ),
    Bug(
        "a dry run judges a removal by the rows of before",
        _ABSENCE, "live = len(walked)", "live = 0",
        (f"{_FORETELLS}::test_a_removal_that_would_be_held",),
    ),
    Bug(
        "a dry run forgets what came before a failure",
        _PREVIEW, "counts=foreseen.counts,", "",
        (f"{_FORETELLS}::test_into_an_empty_warehouse_and_into_a_full_one",),
    ),
    Bug(
        "a dry run calls itself certified",
        "syncd/cli/result.py", 'outcome.is_dry and stream.status == "certified"', "False",
        ("tests/cli/test_verify.py::test_a_dry_run_says_what_a_sync_would_do",),
    ),
    Bug(
        "a dry run syncs",
        "syncd/cli/sync.py", "telling.preview if asked.dry else telling.sync", "telling.sync",
        ("tests/cli/test_verify.py::test_a_dry_run_says_what_a_sync_would_do",),
    ),
)  # fmt: skip

BUGS = (*_OF_VERIFY, *_OF_DRY_RUNS)
