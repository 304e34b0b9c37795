"""What must stay inside (docs/faults.md 93, 117): each bug lets a token or an address out in another way."""

from __future__ import annotations

from tests.planted.bug import Bug

_API = "syncd/http/api.py"
_FIRST_SYNC = "tests/sync/test_equality.py::test_a_first_sync_makes_the_tables_equal_to_the_api"
_OF_REFUSALS = "tests/credentials/test_refresh.py"
_OF_USERS = "tests/sync/test_users.py"

BUGS = (
    Bug(
        "a line of the log names the token",
        _API, "endpoint=endpoint, token_fp=record.token_fingerprint)", "endpoint=endpoint, token_fp=token)",
        (_FIRST_SYNC,), (117,),
    ),
    Bug(
        "a request is stored with its token",
        _API, "token_fingerprint=fingerprint(token),", "token_fingerprint=token,", (_FIRST_SYNC,), (117,),
    ),
    Bug(
        "the error of a refusal names the refresh token",
        "syncd/credentials/refresh.py", 'f"the refresh token is refused ({error.code})"',
        'f"{tokens.refresh_token} is refused ({error.code})"', (_OF_REFUSALS,), (117,),
    ),
    Bug(
        "an address is shown as a name",
        "syncd/sources/revento/me.py", 'if row["email"] is None and not fields.bad:',
        'row["display_name"] = row["email"]\n    if row["email"] is None and not fields.bad:',
        (f"{_OF_USERS}::test_the_event_and_its_people_share_a_warehouse",), (80,),
    ),
)  # fmt: skip
