"""How rows are written, and hidden (docs/faults.md 26-42, 79-89): each bug loses, doubles, tears or rewrites some."""

from __future__ import annotations

from tests.planted.bug import Bug

_CHANGES, _STATEMENTS, _PARTS = (f"syncd/store/{name}.py" for name in ("changes", "statements", "parts"))
_GONE, _RULES, _STREAM = "syncd/store/removals.py", "syncd/sync/removals.py", "syncd/sync/stream.py"
_DATABASE, _REQUESTS = "syncd/store/database.py", "syncd/store/requests.py"
_OF_CHANGES, _WORLD = "tests/store/test_changes.py", "tests/sync/test_world_changes.py"
_REMOVALS, _CUTS, _RESUME = (f"tests/sync/test_{name}.py" for name in ("removals", "database_cuts", "resume"))

BUGS = (
    Bug(
        "each table of a page is committed alone",
        "syncd/store/changes.py", "            await _write(tx, table, rows, brought_by)\n",
        "            await _write(tx, table, rows, brought_by)\n"
        "            await tx.cursor.execute(\"COMMIT AND CHAIN\")\n",
        ("tests/sync/test_readers.py::test_a_graph_of_places_is_swapped_whole",), (42,),
    ),
    Bug(
        "a page is committed in halves",
        _STREAM, "    counts = await apply_changes(tx, page.changes, page.request_id, walk.walk_id)\n",
        "    counts = await apply_changes(tx, page.changes[::2], page.request_id, walk.walk_id)\n"
        "    await tx.cursor.execute(\"COMMIT AND CHAIN\")\n"
        "    counts += await apply_changes(tx, page.changes[1::2], page.request_id, walk.walk_id)\n",
        ("tests/sync/test_readers.py::test_a_page_is_seen_whole",),
    ),
    Bug(
        "unchanged rows are written again",
        _CHANGES, "if known.content_hash == row.content_hash:", "if False:",
        (f"{_OF_CHANGES}::test_the_verdict_on_a_row", f"{_OF_CHANGES}::test_an_unchanged_row_is_not_touched"), (26, 88),
    ),
    Bug(
        "unchanged parts of a changed row are written again",
        _PARTS, "return f\"UPDATE SET {assignments} WHERE ROW({ours}) IS DISTINCT FROM ROW({theirs})\"",
        "return f\"UPDATE SET {assignments}\"",
        (f"{_WORLD}::test_what_belongs_to_a_changed_row_and_stays_is_not_touched",), (88,),
    ),
    Bug(
        "a row is hidden after one walk",
        _GONE, "[*tx.stream, witnesses - 1]", "[*tx.stream, 0]",
        (f"{_REMOVALS}::test_who_withdrew_is_hidden_by_the_second_walk_and_forgotten",), (28,),
    ),
    Bug(
        "what a broken walk met counts for nothing",
        _GONE, "WHERE installation = %s AND stream = %s AND committed_at >= %s::timestamptz",
        "WHERE installation = %s AND stream = %s AND committed_at >= %s::timestamptz AND outcome = 'certified'",
        (f"{_REMOVALS}::test_what_a_broken_walk_met_is_not_gone",), (28,),
    ),
    Bug(
        "a ledger that was cleared away is a witness",
        _GONE, "AND pages = (SELECT count(*) FROM syncd.walk_pages AS page",
        "AND 0 <= (SELECT count(*) FROM syncd.walk_pages AS page",
        (f"{_REMOVALS}::test_a_ledger_that_was_cleared_away_is_no_witness",), (28,),
    ),
    Bug(
        "nobody is asked before the second walk",
        _RULES, "newest = await missed_by(1)", "newest = await missed_by(rules.witnesses)",
        (f"{_REMOVALS}::test_where_the_brake_takes_hold", f"{_REMOVALS}::test_a_sandbox_that_is_reset"), (28,),
    ),
    Bug(
        "the brake does not hold",
        _RULES, "return due > 0 and (was_empty or is_large_share or due > rules.max_rows)", "return False",
        (f"{_REMOVALS}::test_a_large_set_is_held_whole_until_it_is_accepted",
         f"{_REMOVALS}::test_where_the_brake_takes_hold"), (28,),
    ),
    Bug(
        "the brake lets an empty listing pass",
        _RULES, "(was_empty or is_large_share or ", "(is_large_share or ",
        (f"{_REMOVALS}::test_an_empty_walk_over_rows_is_held_however_few_they_are",), (28,),
    ),
    Bug(
        "a row that is listed again stays hidden",
        _STATEMENTS, "\"_syncd_deleted_at = NULL, _syncd_is_stub = false\"", "\"_syncd_is_stub = false\"",
        (f"{_WORLD}::test_a_row_that_was_away_comes_back",), (28,),
    ),
    Bug(
        "an older version overwrites",
        _CHANGES, "if known.version and row.change.version and row.change.version < known.version <= now + AHEAD:",
        "if False:",
        (f"{_OF_CHANGES}::test_the_verdict_on_a_row", f"{_WORLD}::test_an_older_stamp_never_overwrites"), (29,),
    ),
    Bug(
        "a source that went back is never followed",
        _CHANGES, "return Verdict.REVERT if is_met_again else Verdict.SUPERSEDED", "return Verdict.SUPERSEDED",
        (f"{_WORLD}::test_an_older_version_that_two_walks_meet_is_accepted",), (40,),
    ),
    Bug(
        "an older version that was met anywhere is met again",
        _CHANGES, "known.is_older_certified and known.older_hash == row.content_hash", "known.older_hash is not None",
        (f"{_WORLD}::test_an_older_version_that_two_walks_meet_is_accepted",
         f"{_WORLD}::test_a_walk_that_was_not_certified_says_nothing_of_older_versions"), (29,),
    ),
    Bug(
        "a walk that was broken off says that the source went back",
        "syncd/store/statements.py", "coalesce(walk.outcome = 'certified', false)", "true",
        (f"{_WORLD}::test_a_walk_that_was_not_certified_says_nothing_of_older_versions",), (29,),
    ),
    Bug(
        "an older version stays remembered when ours is met",
        _CHANGES, "if key in known and known[key].older_hash]", "if False]",
        (f"{_WORLD}::test_an_older_version_counts_only_where_nothing_newer_is_met_since",
         f"{_WORLD}::test_an_older_version_that_two_walks_meet_is_accepted"), (29,),
    ),
    Bug(
        "a replay counts as a walk that meets an older version again",
        _CHANGES, "        if walk_id is None:\n", "        if False:\n",
        ("tests/sync/test_replay.py::test_an_older_row_does_not_count_as_met_again_when_it_is_read_again",), (29,),
    ),
    Bug(
        "a dry run does not forget an older version",
        _CHANGES, "_without_older(known[key]) for key in _met_as_stored(verdicts, known)}",
        "known[key] for key in ()}",
        (f"{_WORLD}::test_a_dry_run_foretells_a_row_that_is_listed_in_two_versions",), (29,),
    ),
    Bug(
        "any of the older versions of a page is remembered",
        _CHANGES, "if verdict is Verdict.SUPERSEDED and newest[row.key] is row]", "if verdict is Verdict.SUPERSEDED]",
        (f"{_WORLD}::test_of_older_versions_within_one_page_the_newest_is_remembered",), (40,),
    ),
    Bug(
        "a row that is listed in two versions goes back",
        "syncd/store/older_versions.py", "position(met.key_hash IN page.key_hashes) > 0)", "false)",
        (f"{_WORLD}::test_a_row_that_is_listed_in_two_versions_keeps_the_newer_one",), (29,),
    ),
    Bug(
        "a stamp from the future is believed",
        _CHANGES, " < known.version <= now + AHEAD:", " < known.version:",
        (f"{_OF_CHANGES}::test_the_verdict_on_a_row",
         f"{_WORLD}::test_a_stamp_from_the_future_freezes_no_row"), (40,),
    ),
    Bug(
        "a version has to be newer, not just as new",
        _CHANGES, "row.change.version < known.version <=", "row.change.version <= known.version <=",
        (f"{_OF_CHANGES}::test_the_verdict_on_a_row", f"{_WORLD}::test_a_change_within_the_same_second_is_not_lost"),
        (40,),
    ),
    Bug(
        "a row without a stamp never changes",
        _CHANGES, "    if known.version and row.change.version and row.change.version < known.version <= now + AHEAD:",
        "    if row.change.version is None or (known.version and row.change.version < known.version):",
        (f"{_OF_CHANGES}::test_the_verdict_on_a_row",
         f"{_WORLD}::test_a_renamed_role_arrives_though_no_stamp_moves"), (40,),
    ),
    Bug(
        "rows that repeat a key within a page are all written",
        _CHANGES, "judge(known.get(row.key), row, now) if newest[row.key] is row else Verdict.SUPERSEDED)",
        "judge(known.get(row.key), row, now))",
        (f"{_WORLD}::test_of_a_row_that_repeats_in_a_page_the_newest_counts",), (34,),
    ),
    Bug(
        "of rows that repeat a key the last counts, however old",
        _CHANGES, "if rival is None or not _older(row.change, rival.change):", "if True:",
        (f"{_OF_CHANGES}::test_of_rows_with_one_key_the_newest_wins_and_the_rest_is_superseded",), (29, 34),
    ),
    Bug(
        "two events are taken for one when rows are hidden",
        _STATEMENTS, "f\"WHERE {table.info['key'][0]} = %b AND _syncd_deleted_at IS NULL\"",
        "f\"WHERE %b <> '' AND _syncd_deleted_at IS NULL\"",
        (f"{_REMOVALS}::test_two_events_are_judged_apart",), (35,),
    ),
    Bug(
        "a row is known by its id alone",
        _STATEMENTS, "for name in table.info[\"key\"])\n\n\n@cache\ndef written_columns",
        "for name in table.info[\"key\"][-1:])\n\n\n@cache\ndef written_columns",
        ("tests/sync/test_equality.py::test_two_events_with_the_same_role_ids_keep_apart",), (35,),
    ),
    Bug(
        "what a row names has to be there",
        _CHANGES, "    await insert_missing_parents(tx, written)\n", "",
        (f"{_OF_CHANGES}::test_what_a_row_names_is_a_stub_until_it_comes",), (41,),
    ),
    Bug(
        "a stub overwrites a row",
        _STATEMENTS, "f\"ON CONFLICT ({key_column(table)}) DO NOTHING\"",
        "f\"ON CONFLICT ({key_column(table)}) DO UPDATE SET _syncd_is_stub = true\"",
        (f"{_OF_CHANGES}::test_what_a_row_names_is_a_stub_until_it_comes",), (41,),
    ),
    Bug(
        "where a location stands is no content of it",
        _CHANGES, "[SCHEMA_VERSION, change.row, parts,",
        "[SCHEMA_VERSION, {name: value for name, value in change.row.items() if name != \"venue_id\"}, parts,",
        (f"{_WORLD}::test_a_location_moves_to_another_venue",), (42,),
    ),
    Bug(
        "the position is saved before the rows",
        _STREAM, "            async with run.database.begin(run.lease, run.run_id, stream.name) as tx:  # one page",
        "            if page.resume_at is not None:\n"
        "                async with run.database.begin(run.lease, run.run_id, stream.name) as tx:\n"
        "                    await save_position(tx, page.resume_at)\n"
        "            async with run.database.begin(run.lease, run.run_id, stream.name) as tx:  # one page",
        (f"{_CUTS}::test_a_session_that_is_ended_at_any_statement",), (81, 83, 94),
    ),
    Bug(
        "the rows are stored before their page",
        _STREAM, "                await record_page(tx, walk, page, counts)\n",
        "            async with run.database.begin(run.lease, run.run_id, stream.name) as tx:\n"
        "                await record_page(tx, walk, page, counts)\n",
        (f"{_CUTS}::test_a_session_that_is_ended_at_any_statement",), (81, 94),
    ),
    Bug(
        "the certificate comes before the last page",
        _STREAM, "            async with run.database.begin(run.lease, run.run_id, stream.name) as tx:  # one page",
        "            if page.resume_at is None:\n"
        "                async with run.database.begin(run.lease, run.run_id, stream.name) as tx:\n"
        "                    result = await _close(tx, walk, page, stream, run)\n"
        "                page = replace(page, resume_at=Start())\n"
        "            async with run.database.begin(run.lease, run.run_id, stream.name) as tx:  # one page",
        (f"{_CUTS}::test_a_session_that_is_ended_at_any_statement",), (81, 94),
    ),
    Bug(
        "a call is written down twice",
        _REQUESTS, "    ON CONFLICT (request_id) DO NOTHING\n", "",
        (f"{_CUTS}::test_a_commit_whose_reply_is_lost",), (82,),
    ),
    Bug(
        "what is personal is read by everybody",
        "syncd/store/grants.py", ".info.get(\"personal\", False) is personal)", ".info is not None)",
        ("tests/store/test_grants.py::test_a_bi_login_reads_no_personal_table",), (80,),
    ),
    Bug(
        "a session that was ended is used again",
        _DATABASE, "        check=AsyncConnectionPool.check_connection,\n", "",
        (f"{_CUTS}::test_sessions_that_were_ended_while_nobody_used_them",
         f"{_CUTS}::test_a_server_that_is_killed_in_mid_walk"), (81, 83),
    ),
    Bug(
        "a control session that was ended is used again",
        _DATABASE, "        pool_pre_ping=True,\n", "",
        (f"{_CUTS}::test_sessions_that_were_ended_while_nobody_used_them",
         f"{_CUTS}::test_a_server_that_is_killed_in_mid_walk"), (81, 83),
    ),
    Bug(
        "rows are written in the order in which they came",
        _CHANGES, "for row in sorted(rows, key=lambda row: row.key)", "for row in rows",
        (f"{_OF_CHANGES}::test_two_pages_that_meet_in_the_middle_do_not_lock_each_other_out",), (84,),
    ),
    Bug(
        "a list that is read again takes new numbers",
        _PARTS, "        f\"WHERE NOT EXISTS (SELECT FROM {table} AS ours WHERE ours.{owner} = rows.{owner} \"\n"
        "        f\"AND ours.{member} = rows.{member} AND ours.removed_at IS NULL)\"\n",
        "        \"ON CONFLICT DO NOTHING\"\n",
        (f"{_WORLD}::test_what_belongs_to_a_changed_row_and_stays_is_not_touched",), (89,),
    ),
)  # fmt: skip
