"""What one reply may take of our time and memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of every exchange of one client; a test may draw them closer."""

    # The API caps a reply at 2 MB (contracts/revento.md §10); twice that is no longer its reply.
    body_bytes: int = 4_000_000
    # An error is an envelope of three short fields (contracts/revento.md §11), a token reply eight (§5).
    small_body_bytes: int = 64_000
    # A dozen header lines, and now and then an interim reply before them.
    head_bytes: int = 64_000
    # As they come over the wire: the largest body in chunks of some twenty bytes, or a coding that yields nothing.
    wire_bytes: int = 5_000_000
    connect_s: float = 10.0
    deadline_s: float = 60.0
    # A body that comes more slowly than this for longer than the patience is given up: at one thousand bytes a second
    # a usual page of 50 rows (some 40 kB) still arrives within the deadline, a trickle does not hold one of the
    # token's five calls in flight for a minute (docs/faults.md 8).
    slowest_bytes_per_s: float = 1_000.0
    patience_s: float = 5.0
