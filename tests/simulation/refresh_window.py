"""A crash at every turn of a history with one refresh: which of them cost the grant, and how wide that window is.

`python -m tests.simulation` prints it. Nothing a client can do closes it: between the server's reply and
our commit the new pair exists in one process alone (docs/faults.md 45).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.batch import READINGS
from tests.simulation.linked import Engine, link
from tests.simulation.scenario import Plan, Play, Verdict

# The second listing call finds its access token expired.
ONE_REFRESH = {2: ("refresh", 0)}


@dataclass
class _Watched(Play):
    """A history that notes when a pair was issued for the first refresh, and when it was stored."""

    plan: Plan
    engine: Engine
    issued: tuple[int, float] | None = None  # turn of the loop, seconds
    stored: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        super().__init__(self.plan, self.engine)
        self.authorization.refresh = self._issuing(self.authorization.refresh)  # type: ignore[assignment,method-assign]
        self.model.write = self._storing(self.model.write)

    def _issuing(self, refresh: Callable[[str], Any]) -> Callable[[str], Any]:
        def issuing(refresh_token: str) -> Any:
            self.issued = self.issued or (self.loop.turns, self.loop.time())
            return refresh(refresh_token)

        return issuing

    def _storing(self, write: Callable[..., None]) -> Callable[..., None]:
        def storing(**values: Any) -> None:
            before = self.model.state.tokens.refresh_token
            write(**values)
            if "tokens" in values and self.model.state.tokens.refresh_token != before:
                self.stored = self.stored or (self.loop.turns, self.loop.time())

        return storing


@dataclass
class Window:
    """What a crash at each turn came to."""

    turns: int  # of the undisturbed history, before its quiet rounds
    inside: list[int]  # turns between the server's answer and our commit, in the undisturbed history
    width_s: float
    lost: list[int] = field(default_factory=list)  # crashes after which a new consent was needed
    asked_again: list[int] = field(default_factory=list)  # how often the spent token was shown after each of those
    violations: dict[int, list[str]] = field(default_factory=dict)


def measure(reading: str) -> Window:
    """Crash at every turn under this reading."""
    engine = link()
    calm, verdict = _play(engine, reading)
    assert calm.issued is not None
    assert calm.stored is not None
    (issued, issued_s), (stored, stored_s) = calm.issued, calm.stored
    window = Window(verdict.worked, [*range(issued + 1, stored + 1)], stored_s - issued_s)
    for turn in range(1, verdict.worked + 1):
        history, ended = _play(engine, reading, turn)
        if ended.violations:
            window.violations[turn] = ended.violations
        if "consent" in ended.fired:
            window.lost.append(turn)
            window.asked_again.append(history.authorization.reused)
    return window


def _play(engine: Engine, reading: str, *crash_at: int) -> tuple[_Watched, Verdict]:
    history = _Watched(Plan(READINGS[reading], ONE_REFRESH, crash_at=crash_at), engine)
    return history, history.run()


def show(window: Window) -> None:
    """Say it."""
    lost, inside, again = len(window.lost), len(window.inside), sorted(set(window.asked_again))
    print(
        f"refresh: a crash at each of {window.turns} turns of a history with one; violations: {len(window.violations)}"
    )
    print(f"the grant is lost by {lost} of them, at turns {window.lost}: between the server's answer and our commit")
    print(f"that is {inside} turns, {window.width_s * 1000:.0f} ms, of which 250 ms are the reply's way to us")
    print(f"the spent token is then shown {'/'.join(map(str, again))} time, and a consent is asked for")
