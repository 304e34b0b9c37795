"""Tokens, keys and consents (docs/faults.md 45 to 57)."""

from __future__ import annotations

from tests.planted.bug import Bug

_REFRESH = "syncd/credentials/refresh.py"
_TOKENS = "syncd/wire/tokens.py"
_VAULT = "syncd/credentials/vault.py"
_STORED = "syncd/store/tokens.py"
_FAULTS = "syncd/sources/revento/faults.py"
_OF_REFRESH = "tests/credentials/test_refresh.py"
_OF_TOKENS = "tests/wire/test_tokens.py"
_OF_VAULT = "tests/credentials/test_vault.py"
_OF_RESTORED = "tests/credentials/test_restored.py"
_OF_SCOPES = "tests/sync/test_scopes.py"

BUGS = (
    Bug(
        "an event that is gone takes its rows along",
        _FAULTS, "GONE: _Meaning(NotFound,", "GONE: _Meaning(TokenRefused,",
        ("tests/sync/test_failures.py::test_an_event_that_is_gone_keeps_its_rows",), (43,),
    ),
    Bug(
        "a suspended installation waits for a consent",
        "syncd/sync/standing.py", '        case ("needs_consent" | "suspended", "suspended"):\n',
        '        case ("suspended", "suspended"):\n',
        ("tests/sync/test_standing.py::test_a_suspension_is_waited_out",), (44,),
    ),
    Bug(
        "a suspension that nobody can ask after waits for a consent",
        "syncd/sync/standing.py", "    if standing is None:\n        return None\n",
        "    standing = standing or UNLISTED\n",
        ("tests/sync/test_standing.py::test_where_nobody_can_be_asked_a_suspension_stays",), (44,),
    ),
    Bug(
        "who waits for a consent is not asked after again",
        "syncd/store/installations.py",
        "    WHERE state IN ('suspended', 'needs_consent')\n", "    WHERE state = 'suspended'\n",
        ("tests/sync/test_standing.py::test_a_suspension_that_could_not_be_told_from_a_lost_consent_is_asked_after_again",),
        (44,),
    ),
    Bug(
        "the source is asked after an installation again at once",
        "syncd/main/app.py",
        "            if not noted:\n", "            if False:\n",
        ("tests/sync/test_standing.py::test_a_suspension_that_could_not_be_told_from_a_lost_consent_is_asked_after_again",),
        (44,),
    ),
    Bug(
        "the source's answer ends a pause",
        "syncd/store/installations.py", "        installations.c.state == installation.state,\n", "",
        ("tests/sync/test_standing.py::test_who_pauses_while_the_source_is_asked_is_not_overruled",), (44,),
    ),
    Bug(
        "each task that needs a token refreshes for itself",
        _REFRESH, '        """A token other than the refused one: the stored one if it is newer, else a new one."""\n'
        "        async with self._gate:\n",
        '        """A token other than the refused one: the stored one if it is newer, else a new one."""\n'
        "        async with asyncio.Lock():\n",
        (f"{_OF_REFRESH}::test_many_calls_that_meet_the_expiry_together_refresh_once",
         f"{_OF_REFRESH}::test_many_who_need_a_token_refresh_once"), (46, 51),
    ),
    Bug(
        "who was overtaken spends a refresh token all the same",
        _STORED, "            await fence(control, self.lease)\n            noted = await control.execute("
        "self._holding(refresh_token).values(intent_at=func",
        "            noted = await control.execute(self._holding(refresh_token).values(intent_at=func",
        (f"{_OF_REFRESH}::test_who_was_overtaken_spends_no_refresh_token",), (46,),
    ),
    Bug(
        "what an overtaken driver stored late is not looked at",
        _REFRESH, "        if newest.access_token != tokens.access_token:\n", "        if False:\n",
        (f"{_OF_REFRESH}::test_what_an_overtaken_driver_stores_is_used_and_not_renewed_once_more",), (46,),
    ),
    Bug(
        "a pair that was replaced is spent",
        _STORED, "noted = await control.execute(self._holding(refresh_token).values(intent_at=func",
        "noted = await control.execute(update(credentials).values(intent_at=func",
        ("tests/store/test_tokens.py::test_a_pair_that_was_replaced_is_neither_spent_nor_called_dead",), (46,),
    ),
    Bug(
        "who loses a race parks the winner",
        _REFRESH, "            if not await self.store.refuse(tokens.refresh_token, error.code or \"refused\", reason):"
        "\n                return await self._load()\n",
        "            await self.store.refuse(tokens.refresh_token, error.code or \"refused\", reason)\n",
        (f"{_OF_REFRESH}::test_who_loses_a_race_takes_what_the_winner_has_stored",), (47,),
    ),
    Bug(
        "a refusal outside of a round parks nothing",
        _STORED, '.values(state="needs_consent", state_reason=reason,', '.values(state_reason=reason,',
        (f"{_OF_REFRESH}::test_a_refused_token_is_shown_once_whoever_asks",), (50,),
    ),
    Bug(
        "a reply that no pair can be read from is asked for by every stream",
        _REFRESH, "except (Transient, ContractBreach) as error:", "except Transient as error:",
        (f"{_OF_REFRESH}::test_a_reply_that_no_pair_can_be_read_from_is_not_asked_for_by_every_stream",), (49,),
    ),
    Bug(
        "every stream renews a token that is always expired",
        "syncd/sync/installation.py", "except (TokenExpired, TokenRefused,", "except (TokenRefused,",
        (f"{_OF_REFRESH}::test_a_server_that_calls_every_token_expired_costs_one_refresh",), (50,),
    ),
    Bug(
        "a pair whose commit went unanswered was replaced",
        _STORED, "                await self._require_stored(control, tokens)\n                return\n",
        '                raise LeaseLost("replaced")\n',
        ("tests/store/test_tokens.py::test_a_pair_whose_commit_went_unanswered_is_stored_once",), (82,),
    ),
    Bug(
        "removing ends a grant that lives on elsewhere",
        _REFRESH, "            tokens = await self._load()\n            self._require_present(tokens)\n",
        "            tokens = await self._load()\n",
        (f"{_OF_RESTORED}::test_removing_what_was_set_back_or_copied_ends_no_grant",), (55, 57),
    ),
    Bug(
        "credentials that were renewed since are taken up again",
        "syncd/store/installations.py", "        if is_spent:\n", "        if False:\n",
        (f"{_OF_RESTORED}::test_credentials_that_were_renewed_since_are_not_taken_up_again",), (46,),
    ),
    Bug(
        "one grant may have two installations",
        "syncd/store/installations.py", "        if holder != installation.name:\n", "        if False:\n",
        (f"{_OF_RESTORED}::test_one_grant_belongs_to_one_installation",), (46, 63),
    ),
    Bug(
        "a token that somebody else has renewed is renewed once more",
        _REFRESH, "            if self._tokens.access_token == refused:\n", "            if refused:\n",
        (f"{_OF_REFRESH}::test_a_token_that_somebody_else_has_renewed_is_used_as_it_is",), (47,),
    ),
    Bug(
        "a reply without a refresh token loses the one there is",
        _TOKENS, "refresh_token=response.refresh_token or previous_refresh_token",
        "refresh_token=response.refresh_token",
        (f"{_OF_TOKENS}::test_a_reply_without_a_refresh_token_keeps_the_previous_one",), (49,),
    ),
    Bug(
        "a lifetime may be anything",
        _TOKENS, "return min(seconds, LONGEST_LIFE_S) if math.isfinite(seconds) and seconds > 0 else None",
        "return seconds",
        (f"{_OF_TOKENS}::test_a_lifetime_is_held_to_sane_bounds",), (49,),
    ),
    Bug(
        "a revoked token is refreshed",
        _FAULTS, '"token_revoked": _Meaning(\n            TokenRefused,',
        '"token_revoked": _Meaning(\n            TokenExpired,',
        ("tests/sources/revento/test_faults.py::test_known_code",
         "tests/sync/test_failures.py::test_a_dead_token_stops_the_installation"), (50,),
    ),
    Bug(
        "an expiry is taken at its word",
        _REFRESH, "            wanted = timedelta(seconds=life_s) + self._margin\n",
        "            wanted = timedelta(seconds=life_s)\n",
        (f"{_OF_REFRESH}::test_a_token_that_is_about_to_die_is_renewed_first",), (52,),
    ),
    Bug(
        "scopes that a refresh took away are not noticed",
        _STORED, "            await self._note_scopes(control, tokens)\n", "",
        (f"{_OF_REFRESH}::test_scopes_that_a_refresh_took_away_are_noticed",), (53,),
    ),
    Bug(
        "a renewed token may open any event",
        _REFRESH, "        await self._require_ours(fresh)\n", "",
        (f"{_OF_RESTORED}::test_a_renewed_token_of_another_event_is_stored_and_not_used",), (53,),
    ),
    Bug(
        "the client's secret goes into HTTP Basic as it is",
        _TOKENS, 'f"{quote_plus(client_id)}:{quote_plus(client_secret)}"', 'f"{client_id}:{client_secret}"',
        (f"{_OF_TOKENS}::test_the_client_is_named_as_rfc_6749_wants_it",), (54,),
    ),
    Bug(
        "removing revokes the access token alone",
        "syncd/main/steering.py", "revoke(tokens.refresh_token or tokens.access_token)", "revoke(tokens.access_token)",
        ("tests/cli/test_steering.py::test_removing_revokes_the_grant_and_keeps_the_rows",), (55,),
    ),
    Bug(
        "a key that is gone is not named",
        _VAULT, "        if key_id not in self._keys:\n", "        if key_id not in self._keys and not body:\n",
        (f"{_OF_VAULT}::test_a_key_that_is_gone_is_named",), (56,),
    ),
    Bug(
        "a rotation locks no row",
        "syncd/store/resealing.py", "select(credentials).where(mine).with_for_update()",
        "select(credentials).where(mine)",
        ("tests/store/test_resealing.py::test_a_renewal_at_the_same_time_is_not_lost",), (56,),
    ),
    Bug(
        "two rotations add a key each at once",
        "syncd/cli/keys.py", "with nullcontext() if verify else main.lone_rotation(settings):", "with nullcontext():",
        ("tests/cli/test_keys.py::test_of_two_rotations_at_once_one_is_turned_away",), (56,),
    ),
    Bug(
        "a key is used before its name is on disk",
        "syncd/credentials/own_keys.py",
        "    _flush_folder(path.parent)  # at each call: who made the file may have been killed before\n", "",
        ("tests/cli/test_keys.py::test_a_new_key_is_on_disk_before_anything_is_sealed_under_it",), (56,),
    ),
    Bug(
        "a process knows only the keys that it was started with",
        "syncd/main/database.py", "            text = read(self._path)\n",
        '            text = self._text = getattr(self, "_text", None) or read(self._path)\n',
        ("tests/cli/test_keys.py::test_what_runs_goes_on_under_a_key_that_was_rotated_meanwhile",), (56,),
    ),
    Bug(
        "a lost key is replaced by whoever looks for it",
        "syncd/main/database.py", "return self._ring(own_keys.stored_keys).open(sealed, where)",
        "return self._ring(own_keys.own_keys).open(sealed, where)",
        ("tests/cli/test_keys.py::test_a_lost_key_of_our_own_is_told_and_not_replaced_by_a_command_that_reads",), (56,),
    ),
    Bug(
        "a restored backup spends its token again",
        _REFRESH, "        if (newest := self.generations.newest()) > tokens.generation:\n",
        "        if (newest := self.generations.newest()) > tokens.generation + 9:\n",
        (f"{_OF_RESTORED}::test_a_restored_backup_spends_no_token_again",
         f"{_OF_RESTORED}::test_two_renewals_behind_is_told"), (57,),
    ),
    Bug(
        "a copy in another database renews the original's token",
        _REFRESH, "        if tokens.is_from_elsewhere:\n",
        "        if tokens.in_doubt and tokens.is_from_elsewhere:\n",
        (f"{_OF_RESTORED}::test_a_copy_in_another_database_leaves_the_tokens_to_the_original",), (57,),
    ),
    Bug(
        "a server that cannot be asked counts as one that does not say",
        "syncd/store/restored.py", "if not isinstance(error.orig, InsufficientPrivilege):", "if not error.orig:",
        (f"{_OF_RESTORED}::test_a_server_that_is_not_asked_for_want_of_a_connection_is_not_taken_for_unknown",), (57,),
    ),
    Bug(
        "a server that does not say makes the pair's origin forgotten",
        _STORED, 'return row if here is None else row | {"stored_in": here}', 'return row | {"stored_in": here}',
        (f"{_OF_RESTORED}::test_a_server_that_keeps_its_numbers_back_makes_nothing_forgotten",), (57,),
    ),
    Bug(
        "an idle grant is left to die",
        "syncd/store/installations.py", "refresh_expires_at - make_interval(days => :days),",
        "refresh_expires_at + make_interval(days => :days),",
        ("tests/credentials/test_keep_alive.py::test_a_paused_installation_is_kept_alive",),
    ),
    Bug(
        "a redirect is believed whatever its state",
        "syncd/credentials/connect.py", "        if not hmac.compare_digest(",
        "        if not self.state and not hmac.compare_digest(",
        ("tests/credentials/test_connect.py::test_an_answer_to_another_request_is_none",),
    ),
    Bug(
        "the calls of a killed driver count for its rescuer alone",
        "syncd/store/leases.py", "CASE WHEN lease.owner IS NULL THEN lease.cut_off_at ELSE",
        "CASE WHEN lease.owner IS NULL THEN '{}' ELSE",
        ("tests/store/test_requests.py::test_calls_that_nobody_wrote_down_count_for_every_later_driver",), (63,),
    ),
    Bug(
        "a call that was given up counts from then on",
        "syncd/http/budget.py", "        stray_s = STRAY_S\n", "        stray_s = 0.0\n",
        ("tests/http/test_budget.py::test_a_cancelled_call_has_been_spent_all_the_same",), (63,),
    ),
    Bug(
        "a scope that a renewal brings waits for the old promise",
        _STORED, ".values(scopes=granted, updated_at=func.clock_timestamp())", ".values(scopes=granted)",
        (f"{_OF_SCOPES}::test_a_renewal_that_brings_the_scope_makes_its_streams_due_at_once",), (53,),
    ),
    Bug(
        "each renewal makes all that failed due",
        _STORED, "                .where(not_(and_(ours.contains(granted), ours.contained_by(granted))))\n", "",
        (f"{_OF_SCOPES}::test_a_renewal_that_brings_nothing_new_makes_nothing_due",),
    ),
    Bug(
        "a round knows the scopes that it began with alone",
        "syncd/sync/installation.py", "if stream.scope in run.installation.scopes:", "if run:",
        (f"{_OF_SCOPES}::test_a_scope_that_comes_in_the_midst_of_a_round_counts_for_what_is_left_of_it",),
    ),
)  # fmt: skip
