"""What a check found: a state, a sentence, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "wrong", "unchecked"]

# docs/interface.md §3: the answer is no, unless one of these is the cause; of several the first wins.
NO = 6
CAUSES = {"configuration": 2, "schema": 8}


@dataclass(frozen=True, slots=True)
class Finding:
    """`warning` asks for attention and breaks nothing; `unchecked` says why nothing is known."""

    topic: str
    state: State
    sentence: str
    fix: str | None = None


def unchecked(topic: str, reason: str) -> Finding:
    """A check that could not run."""
    return Finding(topic, "unchecked", f"not checked: {reason}")


def exit_code(findings: Iterable[Finding]) -> int:
    """How a command ends that has found this."""
    wrong = {finding.topic for finding in findings if finding.state == "wrong"}
    return next((code for topic, code in CAUSES.items() if topic in wrong), NO if wrong else 0)
