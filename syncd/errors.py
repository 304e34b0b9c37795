"""The error tree: one class per *reaction*, data as attributes, exit codes of the interface (docs/interface.md §3).

Foreign errors are translated where they enter, with the cause kept (`raise … from`).
"""

from __future__ import annotations

from typing import Any


class SyncdError(Exception):
    """Something a person should read: one sentence that says what and where, and a hint that says what to do."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(SyncdError):
    """Reaction: correct the configuration or the command line."""

    exit_code = 2


class DatabaseError(SyncdError):
    """Reaction: look at the database server; nothing that was stored is lost."""


class SchemaOutdated(SyncdError):
    """Reaction: `syncd db upgrade`."""

    exit_code = 8


class Paused(SyncdError):
    """Reaction: leave the installation alone until a person resumes it."""

    exit_code = 2


class RunCancelled(SyncdError):
    """Reaction: end the round; a person has asked for it, and what it stored stays: `result` tells what that is."""

    result: Any = None


class LeaseHeld(SyncdError):
    """Reaction: wait; another process drives this installation, or rotates the keys."""

    exit_code = 7


class LeaseLost(SyncdError):
    """Reaction: stop at once; another driver has taken over and our writes are refused."""

    exit_code = 7


class NeedsAuthorization(SyncdError):
    """Reaction: park the installation until a person connects it again."""

    exit_code = 4


class DatabaseRestored(SyncdError):
    """Reaction: `syncd db restored`; the stored refresh token may be spent, and using it could kill the grant."""

    exit_code = 4


class ApiError(SyncdError):
    """A call that did not yield a usable reply. `code` is the API's own word, `request_id` ours."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.token_fingerprint = ""  # of the access token that the call was made with
        self.retry_after_s = retry_after_s


class Transient(ApiError):
    """Reaction: repeat after a pause; when the pauses are used up, try again in a later round."""

    exit_code = 75


class RateLimited(Transient):
    """Reaction: no call on this token before `retry_after_s`; None means the reply named no time."""


class TooManyInFlight(Transient):
    """Reaction: wait until one of our own calls has ended, then repeat."""


class TokenExpired(ApiError):
    """Reaction: refresh once, repeat the call once."""

    exit_code = 4


class TokenRefused(ApiError):
    """Reaction: park the installation; neither retry nor refresh helps."""

    exit_code = 4


class RefreshFailed(ApiError):
    """Reaction: end the round; the token endpoint gave no answer, and the next round asks it again."""

    exit_code = 75


class ScopeMissing(ApiError):
    """Reaction: skip this stream, keep the others."""

    exit_code = 4


class CursorRefused(ApiError):
    """Reaction: restart the walk at its first page, `limit` rows a page where that is known.

    `by_refresh`, `by_limit`: the access token, or the page size, was all that had changed since the cursor was issued.
    """

    exit_code = 3
    limit: int | None = None
    by_refresh = False
    by_limit = False


class PageTooLarge(ApiError):
    """Reaction: ask for fewer rows a page."""


# An id that is no part of an address: what has it cannot be asked for.
UNUSABLE_ID = "unusable_id"


class NotFound(ApiError):
    """Reaction: the stream's own; a missing single object is a state, not a failure."""


class ContractBreach(ApiError):
    """Reaction: fail the stream, keep what is stored; a repeat would bring the same."""


class ListingBroken(ContractBreach):
    """Reaction: fail the stream, and begin its next walk at the first page: this one's cursors lead nowhere."""
