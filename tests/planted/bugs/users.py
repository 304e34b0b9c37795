"""What participants show of themselves (contracts/revento.md §12.2): each bug takes too much, keeps too much, or tells
a state from a failure no longer."""

from __future__ import annotations

from tests.planted.bug import Bug

_ME, _GONE, _APP = "syncd/sources/revento/me.py", "syncd/store/withdrawals.py", "syncd/main/app.py"
_USERS = "tests/sync/test_users.py"

BUGS = (
    Bug(
        "any 404 withdraws an application",
        _ME, "if error.code != GONE or error.request_id is None:", "if error.request_id is None:",
        (f"{_USERS}::test_a_404_that_is_not_the_apis_own_withdraws_nothing",),
    ),
    Bug(
        "the data of somebody else are taken",
        _ME, "if fields.ref(name) not in {None, ours}:", "if False:",
        (f"{_USERS}::test_nobody_elses_data_are_taken",), (33,),
    ),
    Bug(
        "a profile that was declined is kept",
        _ME, "if row[\"email\"] is None and not fields.bad:", "if False:",
        (f"{_USERS}::test_a_declined_profile_that_is_asked_for_is_skipped",),
    ),
    Bug(
        "what was kept of a profile outlives it",
        _GONE, "        await forget_rows(tx, keys)\n", "",
        (f"{_USERS}::test_a_profile_that_is_no_more_is_deleted_with_all_that_was_kept_of_it",),
    ),
    Bug(
        "a person's calls are paced like an event's",
        _APP, "limits = revento.user_limits if source.consenter == \"participant\" else revento.limits",
        "limits = revento.limits",
        (f"{_USERS}::test_it_is_paced_by_the_limits_of_user_tokens",),
    ),
    Bug(
        "a renewed token may be anybody's",
        "syncd/credentials/refresh.py", "if (theirs := fresh.opens.get(name, ours)) != ours:",
        "if (theirs := ours) != ours:",
        (f"{_USERS}::test_a_renewed_token_of_somebody_else_ends_the_work",),
    ),
)  # fmt: skip
