"""What other tools spend on a token, as far as `X-RateLimit-Remaining` gives them away (contracts/revento.md §8).

The server's count of the hour is `Limit - Remaining`. What of it cannot be ours is theirs: a lower bound, however the
server counts its hour (C1), because ours is counted from the replies on and so for longer than the server's.
"""

from __future__ import annotations

from bisect import bisect_right

from syncd.wire.rate_limit import Headroom

# An hour that is larger is nothing that anybody has to share, or nonsense (docs/faults.md 59).
MOST = 10_000


class Others:
    """Calls that are not ours, by when they were noticed; each is worth an hour from then on."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._heard_at = float("-inf")
        self.noticed: list[float] = []
        self.limit: int | None = None  # of the hour, as the newest reply says

    def learn(self, said: Headroom, *, ours: int, sent_at: float, now: float) -> None:
        """Take in the reply to a call that left at `sent_at`; `ours`: at most so many calls in the server's count
        can be ours.

        Replies overtake each other. Each shows calls of others; that they are fewer than was thought is believed of a
        call only that left when everything else had been heard.
        """
        if said.limit is None or said.remaining is None or not max(said.remaining, 1) <= said.limit <= MOST:
            return
        self.expire(now)
        used = said.limit - said.remaining
        if sent_at >= self._heard_at:
            self.limit = said.limit
            del self.noticed[: max(len(self.noticed) - used, 0)]
        self.noticed.extend([now] * (used - ours - len(self.noticed)))
        self._heard_at = now

    def expire(self, now: float) -> None:
        """Forget what was noticed a whole window ago."""
        del self.noticed[: bisect_right(self.noticed, now - self._window_s)]
