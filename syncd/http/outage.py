"""Whether an API answers at all, as the calls of all its installations show."""

from __future__ import annotations

from dataclasses import dataclass, field

from syncd.clock import Clock
from syncd.errors import ApiError, RateLimited, TooManyInFlight, Transient
from syncd.logs import get_logger

# In a row, whoever called. More than two calls that use up their repeats: one listing of one event that is broken
# for good is no outage.
FAILURES_OF_AN_OUTAGE = 15
# Many calls at once fail as often within an instant that six attempts of each outlast.
SHORTEST_OUTAGE_S = 30.0
# What nobody has tried for so long may well be over.
FORGOTTEN_AFTER_S = 600.0

log = get_logger(__name__)


@dataclass(slots=True)
class Outage:
    """One API, in the eyes of this process.

    In an outage no call is repeated: what is due asks once, so that each of these calls is a probe, none that would
    work is held back, and the first that is answered ends it.
    """

    clock: Clock
    _failures: int = field(default=0, init=False)
    _since: float = field(default=0.0, init=False)
    _latest: float = field(default=0.0, init=False)

    @property
    def is_on(self) -> bool:
        """No call has been answered for so long that a repeat would be one of many."""
        return self._failures >= FAILURES_OF_AN_OUTAGE and self._latest - self._since >= SHORTEST_OUTAGE_S

    def note(self, error: ApiError | None) -> None:
        """How an attempt ended; None: with its reply. A refusal is an answer too."""
        was_on, now = self.is_on, self.clock.monotonic()
        if not isinstance(error, Transient) or isinstance(error, RateLimited | TooManyInFlight):
            self._failures = 0
        else:
            if self._failures == 0 or now - self._latest > FORGOTTEN_AFTER_S:
                self._failures, self._since = 0, now
            self._failures, self._latest = self._failures + 1, now
        if self.is_on and not was_on:
            log.warning("outage_began", failures=self._failures, reason=str(error))
        elif was_on and not self.is_on:
            log.warning("outage_ended")
