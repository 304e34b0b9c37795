"""A share of the simulated histories, and proof that the simulation replays and notices."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.simulation.batch import READINGS, History, Tally, find, histories, one
from tests.simulation.bugs import BUGS, EngineBug
from tests.simulation.linked import link
from tests.simulation.scenario import play

# Each history of one seed's thousands; `make simulate` plays them all.
EVERY = 211


def test_no_oracle_is_violated_wherever_a_fault_strikes() -> None:
    played = [(str(history), one(str(history))) for history in islice(histories(0), 0, None, EVERY)]
    assert {name: verdict.violations for name, verdict in played if verdict.violations} == {}
    tally = Tally()
    for name, verdict in played:
        tally.enter(name, verdict)
    # whether a crash came under each reading, the thousands say
    assert [each for each in tally.never() if not each.startswith("crash under ")] == []


@pytest.mark.parametrize("reading", READINGS)
def test_without_a_fault_too(reading: str) -> None:
    assert one(f"0/{reading}/2/none").violations == []


def test_a_history_replays_exactly() -> None:
    history = History(7, "strictest", 2, (("crash", 120),))
    assert History.named(str(history)) == history
    first, again = play(history.plan(), link()), play(history.plan(), link())
    assert (first.turns, first.calls, first.fired) == (again.turns, again.calls, again.fired)


def test_a_name_of_no_history_is_told() -> None:
    with pytest.raises(ValueError, match="no reading"):
        History.named("1/nonsense/1/none")


@pytest.mark.parametrize("bug", BUGS[:4], ids=lambda bug: bug.name)
def test_a_planted_bug_is_found(bug: EngineBug) -> None:
    """Those that a few histories find; `make simulate` plants all."""
    assert find(bug, 0, 50) is not None
