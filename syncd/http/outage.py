"""Whether an API answers at all, as the calls of all its installations show."""

from __future__ import annotations

from dataclasses import dataclass

from syncd.errors import ApiError, RateLimited, TooManyInFlight, Transient
from syncd.logs import get_logger

# In a row, whoever called. More than two calls that use up their repeats: one listing of one event that is broken
# for good is no outage.
FAILURES_OF_AN_OUTAGE = 15

log = get_logger(__name__)


@dataclass(slots=True)
class Outage:
    """One API, in the eyes of this process.

    In an outage no call is repeated: what is due asks once, so that each of these calls is a probe, none that would
    work is held back, and the first that is answered ends it.
    """

    failures: int = 0

    @property
    def is_on(self) -> bool:
        """No call has been answered for so long that a repeat would be one of many."""
        return self.failures >= FAILURES_OF_AN_OUTAGE

    def note(self, error: ApiError | None) -> None:
        """How an attempt ended; None: with its reply. A refusal is an answer too."""
        was_on = self.is_on
        is_answer = not isinstance(error, Transient) or isinstance(error, RateLimited | TooManyInFlight)
        self.failures = 0 if is_answer else self.failures + 1
        if self.is_on and not was_on:
            log.warning("outage_began", failures=self.failures, reason=str(error))
        elif was_on and not self.is_on:
            log.warning("outage_ended")
