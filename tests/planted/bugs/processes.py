"""Who may write, for how long, and over which connection (docs/faults.md 85-87, 92-101): each bug lets two drivers at
one installation, holds what it should not, or tells too much."""

from __future__ import annotations

from tests.planted.bug import Bug

_DATABASE, _LEASES, _EXPLAIN = (f"syncd/store/{name}.py" for name in ("database", "leases", "explain"))
_REFRESH, _TOKEN_CUTS = "syncd/credentials/refresh.py", "tests/credentials/test_token_cuts.py"
_STREAM, _SCHEDULE, _RUNS = "syncd/sync/stream.py", "syncd/daemon/schedule.py", "syncd/store/runs.py"
_LEASE, _OF_LEASES, _CUTS = "tests/sync/test_lease.py", "tests/store/test_leases.py", "tests/sync/test_database_cuts.py"
_SESSIONS, _DAEMON = "tests/sync/test_database_sessions.py", "tests/daemon/test_schedule.py"

BUGS = (
    Bug(
        "a pair that the database refuses is given up",
        "syncd/credentials/refresh.py", "            except DatabaseError as error:\n"
        "                log.error(\"token_pair_not_stored_yet\"",
        "            except ZeroDivisionError as error:\n                log.error(\"token_pair_not_stored_yet\"",
        ("tests/sync/test_hardships.py::test_a_new_pair_outlives_a_database_that_refuses_it",), (85,),
    ),
    Bug(
        "a token reply that was lost is not asked for again",
        _REFRESH, "            log.warning(\"refresh_unanswered\", reason=str(error))\n",
        "            raise RefreshFailed(\"lost\") from error\n",
        (f"{_TOKEN_CUTS}::test_a_reply_that_is_cut_anywhere_is_asked_for_again",), (48,),
    ),
    Bug(
        "a token reply that was lost is asked for twice more",
        _REFRESH, "            await self.clock.sleep(REPEAT_AFTER_S)\n",
        "            await self.clock.sleep(REPEAT_AFTER_S)\n            await self.endpoint.refresh(refresh_token)\n",
        (f"{_TOKEN_CUTS}::test_a_reply_that_is_cut_anywhere_is_asked_for_again",), (48,),
    ),
    Bug(
        "a grant that is lost is not written down",
        _REFRESH, "            if not await self.store.refuse(tokens.refresh_token, error.code or \"refused\", reason):"
        "\n                return await self._load()\n", "",
        (f"{_TOKEN_CUTS}::test_a_strict_server_is_asked_once_more_and_no_more",), (45, 48),
    ),
    Bug(
        "statements are prepared behind a pooler",
        _DATABASE, "({\"prepare_threshold\": None} if behind_pooler else {})", "{}",
        (f"{_SESSIONS}::test_a_pooler_that_forgets_the_session_after_each_transaction",), (86,),
    ),
    Bug(
        "a pooler that nobody declared is not noticed",
        _DATABASE, "behind_pooler |= await _finds_pooler(url)", "await _finds_pooler(url)",
        (f"{_SESSIONS}::test_a_pooler_that_forgets_the_session_after_each_transaction",), (86,),
    ),
    Bug(
        "a setting outlives its transaction",
        _DATABASE, "\"set_config('enable_seqscan', 'off', true)\"", "\"set_config('enable_seqscan', 'off', false)\"",
        (f"{_SESSIONS}::test_nothing_is_left_in_a_session",), (86,),
    ),
    Bug(
        "a transaction is open as long as the walk",
        _STREAM, "    async with aclosing(one_ahead(",
        "    async with run.database.begin(run.lease, run.run_id, stream.name), aclosing(one_ahead(",
        (f"{_SESSIONS}::test_no_transaction_waits_for_the_api",), (87,),
    ),
    Bug(
        "a token is renewed within a transaction",
        _STREAM, "    if dies_with_token:\n        await api.renew_unless_it_lasts(takes_s)\n",
        "        if dies_with_token:\n            await api.renew_unless_it_lasts(takes_s)\n",
        (f"{_SESSIONS}::test_no_transaction_waits_for_the_api",), (87,),
    ),
    Bug(
        "tables are found by the search path",
        "syncd/store/walks.py", "SELECT position FROM syncd.positions WHERE", "SELECT position FROM positions WHERE",
        (f"{_SESSIONS}::test_whatever_the_database_sets_for_its_sessions",), (92,),
    ),
    Bug(
        "a session speaks the encoding that the database sets",
        _DATABASE, "    \"client_encoding\": \"UTF8\",\n", "",
        (f"{_SESSIONS}::test_whatever_the_database_sets_for_its_sessions",), (92,),
    ),
    Bug(
        "a database may have any encoding",
        "syncd/store/oldest.py", "not in (None, \"UTF8\")", "in (\"unheard of\",)",
        (f"{_SESSIONS}::test_a_database_that_does_not_know_its_encoding_is_refused",), (92,),
    ),
    Bug(
        "a database may tell times as it likes",
        "syncd/store/oldest.py", ".startswith(\"ISO\")", ".startswith(\"\")",
        (f"{_SESSIONS}::test_a_database_that_tells_times_in_a_form_of_its_own_is_refused",), (92,),
    ),
    Bug(
        "the database's words are repeated whatever they hold",
        _EXPLAIN, "said = error.diag.message_primary if error.sqlstate[:2] in _NAMES_NO_VALUE else None",
        "said = error.diag.message_primary",
        ("tests/store/test_explain.py::test_no_value_of_a_row_is_repeated",), (93,),
    ),
    Bug(
        "the database's details are told",
        _EXPLAIN, "said = error.diag.message_primary if error", "said = error.diag.message_detail if error",
        ("tests/store/test_changes.py::test_an_error_of_the_database_shows_no_row",
         "tests/store/test_explain.py::test_no_value_of_a_row_is_repeated"), (93,),
    ),
    Bug(
        "a round that was cut off is never taken up",
        "syncd/sync/round.py", "return not self.fresh and self.trigger", "return self.fresh and self.trigger",
        ("tests/sync/test_resume.py::test_a_round_that_is_cancelled_after_every_page_goes_on_as_one_round",), (94,),
    ),
    Bug(
        "a walk that was cut off begins anew",
        "syncd/store/walks.py", "    if walk and isinstance(position, CursorAt):\n        return walk\n", "",
        ("tests/store/test_walks.py::test_a_walk_is_taken_up_where_its_last_page_left_it",), (94,),
    ),
    Bug(
        "a driver that stops in mid-message keeps its rescuer out",
        "syncd/store/stalled.py", "asyncio.sleep(database.lease_s / 2)", "asyncio.sleep(database.lease_s * 1000)",
        (f"{_LEASE}::test_a_driver_that_stops_in_the_middle_of_a_message_is_ended_by_its_rescuer",), (96, 97),
    ),
    Bug(
        "a lease begins before its driver has waited for it",
        _LEASES, "epoch = lease.epoch + 1, until = clock_timestamp() + make_interval(secs => :lease_s)",
        "epoch = lease.epoch + 1, until = EXCLUDED.until",
        (f"{_LEASE}::test_who_is_at_work_or_waits_too_or_holds_a_table_is_not_ended",), (96,),
    ),
    Bug(
        "a rescuer ends who is at work",
        "syncd/store/stalled.py", "WHERE wait_event = 'ClientRead' AND state_change <", "WHERE state_change <",
        (f"{_LEASE}::test_who_is_at_work_or_waits_too_or_holds_a_table_is_not_ended",), (96,),
    ),
    Bug(
        "a rescuer ends a migration",
        "syncd/store/stalled.py", "lock.locktype IN ('transactionid', 'tuple')", "lock.locktype IS NOT NULL",
        (f"{_LEASE}::test_who_is_at_work_or_waits_too_or_holds_a_table_is_not_ended",), (96,),
    ),
    Bug(
        "a rescuer ends who still holds the lease",
        "syncd/store/stalled.py", "AND until < clock_timestamp())", ")",
        (f"{_LEASE}::test_nobody_is_ended_while_the_lease_lasts",), (96,),
    ),
    Bug(
        "the fence does not ask for the epoch",
        _DATABASE, "WHERE installation = %s AND epoch = %s", "WHERE installation = %s AND epoch >= %s",
        (f"{_OF_LEASES}::test_every_write_under_an_older_epoch_is_refused",), (96, 97),
    ),
    Bug(
        "the fence does not ask for the owner",
        _DATABASE, "AND epoch = %s AND owner = %s FOR SHARE\"", "AND epoch = %s AND owner <= %s FOR SHARE\"",
        (f"{_OF_LEASES}::test_an_epoch_that_a_failover_gives_out_once_more_is_its_new_owners",), (83, 96),
    ),
    Bug(
        "the fence of control queries does not ask for the owner",
        _DATABASE, "AND epoch = :epoch AND owner = :owner FOR SHARE", "AND epoch = :epoch FOR SHARE",
        (f"{_OF_LEASES}::test_an_epoch_that_a_failover_gives_out_once_more_is_its_new_owners",), (83, 96),
    ),
    Bug(
        "the fence reads without a lock",
        _DATABASE, "AND epoch = %s AND owner = %s FOR SHARE\"", "AND epoch = %s AND owner = %s\"",
        (f"{_LEASE}::test_the_fence_holds_a_takeover_off_until_the_page_is_committed",), (96,),
    ),
    Bug(
        "the fence of control queries lets everybody in",
        _DATABASE, "    if claim.first() is None:\n", "    if claim is None:\n",
        ("tests/store/test_tokens.py::test_who_was_overtaken_changes_nothing",), (96,),
    ),
    Bug(
        "a takeover keeps the epoch",
        _LEASES, "epoch = lease.epoch + 1", "epoch = lease.epoch",
        (f"{_OF_LEASES}::test_of_many_who_claim_at_once_one_wins",
         f"{_OF_LEASES}::test_every_write_under_an_older_epoch_is_refused"), (96, 97),
    ),
    Bug(
        "a lease that another driver holds is taken",
        _LEASES, "    WHERE lease.until IS NULL OR lease.until < clock_timestamp()\n    RETURNING epoch\n",
        "    RETURNING epoch\n",
        (f"{_OF_LEASES}::test_of_many_who_claim_at_once_one_wins",), (96,),
    ),
    Bug(
        "a lease is judged by our clock",
        _LEASES, "await control.execute(\n                _CLAIM, {\"installation\": installation, \"owner\": owner, "
        "\"lease_s\": database.lease_s}\n            )",
        "await control.execute(\n"
        "                text(_CLAIM.text.replace(\"< clock_timestamp()\", \"< CAST(:now AS timestamptz)\")),\n"
        "                {\"installation\": installation, \"owner\": owner, \"lease_s\": database.lease_s,\n"
        "                 \"now\": datetime.now().astimezone()},\n            )",
        (f"{_LEASE}::test_a_lease_is_judged_by_the_databases_clock_alone",), (96, 97),
    ),
    Bug(
        "a lease is never renewed",
        _LEASES, "await asyncio.sleep(database.lease_s / 3)", "await asyncio.sleep(database.lease_s * 30)",
        (f"{_LEASE}::test_the_second_driver_leaves_when_it_may_not_wait",
         f"{_LEASE}::test_a_claim_that_was_not_renewed_runs_out"), (96,),
    ),
    Bug(
        "a renewal that fails is the last",
        _LEASES, "        except DatabaseError as error:\n            log.warning(\"lease_not_renewed\"",
        "        except ZeroDivisionError as error:\n            log.warning(\"lease_not_renewed\"",
        (f"{_LEASE}::test_a_renewal_that_fails_is_tried_again",), (96,),
    ),
    Bug(
        "a lease that ran out is nobody's to take",
        _LEASES, "    WHERE lease.until IS NULL OR lease.until < clock_timestamp()\n",
        "    WHERE lease.until IS NULL\n",
        (f"{_LEASE}::test_a_claim_that_was_not_renewed_runs_out",), (94, 96),
    ),
    Bug(
        "a lease is renewed by who had it once",
        _LEASES, "    UPDATE syncd.leases SET until = clock_timestamp() + make_interval(secs => :lease_s)\n"
        "    WHERE installation = :installation AND epoch = :epoch AND owner = :owner\n",
        "    UPDATE syncd.leases SET until = clock_timestamp() + make_interval(secs => :lease_s)\n"
        "    WHERE installation = :installation AND epoch >= :epoch AND owner = :owner\n",
        (f"{_LEASE}::test_who_was_overtaken_keeps_no_lease_alive",), (97,),
    ),
    Bug(
        "a lease is given back by who had it once",
        _LEASES, "waits_until = NULL\n    WHERE installation = :installation AND epoch = :epoch",
        "waits_until = NULL\n    WHERE installation = :installation AND epoch >= :epoch",
        (f"{_OF_LEASES}::test_a_lease_is_given_back_by_who_has_it",), (96, 97),
    ),
    Bug(
        "a driver that stalls in a transaction keeps its rescuer out",
        _DATABASE, "[f\"{self.lease_s * 1000 // 3:.0f}ms\"]", "[\"0\"]",
        (f"{_LEASE}::test_a_driver_that_stalls_in_a_transaction_does_not_keep_its_rescuer_out",), (97,),
    ),
    Bug(
        "an installation whose round failed is never due again",
        _SCHEDULE, "        try:\n            async with Slot(self._slots) as slot:\n"
        "                await self.run_due(name, slot.giving_way)\n"
        "        finally:\n            del self._running[name]\n",
        "        async with Slot(self._slots) as slot:\n            await self.run_due(name, slot.giving_way)\n"
        "        del self._running[name]\n",
        (f"{_DAEMON}::test_a_round_that_fails_comes_back_and_takes_no_other_with_it",), (101,),
    ),
    Bug(
        "a schedule that could not be read is never read again",
        _SCHEDULE, "except Exception:  # the daemon must not go deaf", "except ZeroDivisionError:  # the",
        (f"{_DAEMON}::test_a_schedule_that_cannot_be_read_is_read_again",), (101,),
    ),
    Bug(
        "a round that failed is told to nobody",
        _SCHEDULE, "jobs.add_listener(_report, EVENT_JOB_ERROR | EVENT_JOB_MISSED)",
        "jobs.add_listener(_report, EVENT_JOB_MISSED)",
        (f"{_DAEMON}::test_a_round_that_fails_comes_back_and_takes_no_other_with_it",), (101,),
    ),
    Bug(
        "a daemon that went deaf is healthy",
        "syncd/daemon/health.py", "if silent_s > STUCK_AFTER_S else None", "if False else None",
        (f"{_DAEMON}::test_health_speaks_of_what_is_wrong",), (101,),
    ),
)  # fmt: skip
