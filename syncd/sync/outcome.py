"""What a round amounts to: its state and its exit code (docs/interface.md §3). Pure."""

from __future__ import annotations

from collections.abc import Iterable

from syncd.store.runs import HELD_EXIT_CODE, StreamResult

# Of several the first wins.
PRECEDENCE = (2, 8, 7, 4, 5, 1, 75, 3, 6, 0)
_STATES = {0: "succeeded", 3: "partial", 4: "refused", 5: "refused"}


def worst(codes: Iterable[int]) -> int:
    """The code that a command ends with when its parts end with these; 0 for no part at all."""
    return min(codes, key=PRECEDENCE.index, default=0)


def exit_code(results: Iterable[StreamResult]) -> int:
    """The exit code of one installation's round."""
    tried = [result for result in results if result.status != "skipped"]
    failed = [result for result in tried if result.status not in ("certified", "held")]
    if any(result.exit_code == 4 for result in failed):
        return 4
    if any(result.status == "held" for result in tried):
        return HELD_EXIT_CODE
    if failed and len(failed) == len(tried):
        return worst(result.exit_code for result in failed)
    is_spotless = not failed and not any(result.counts.quarantined_values for result in tried)
    return 0 if is_spotless else 3


def state(code: int) -> str:
    """The run's state that goes with an exit code."""
    return _STATES.get(code, "failed")
