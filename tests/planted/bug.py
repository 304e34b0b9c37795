"""A planted bug: a change of one place in the code that a named test must notice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


class BugDoesNotFit(Exception):
    """The code has changed since the bug was written: its place is not there any more, or is there twice."""


@dataclass(frozen=True, slots=True)
class Bug:
    """What goes wrong (`name`), where, and the tests of which at least one must fail.

    `old` stands in the module exactly once and becomes `new`. `faults` are the numbers of docs/faults.md whose handler
    this takes away.
    """

    name: str
    path: str
    old: str
    new: str
    tests: tuple[str, ...]
    faults: tuple[int, ...] = ()

    def applied(self) -> str:
        """The module with the bug in it. Raises BugDoesNotFit."""
        text = (ROOT / self.path).read_text()
        if text.count(self.old) != 1:
            raise BugDoesNotFit(f"{self.name}: {self.path} holds its place {text.count(self.old)} times, not once")
        planted = text.replace(self.old, self.new)
        try:
            ast.parse(planted)
        except SyntaxError as error:
            raise BugDoesNotFit(f"{self.name}: {self.path} is no Python any more: {error}") from error
        return planted


def files_of(tests: tuple[str, ...]) -> Iterator[str]:
    """The files that pytest's selectors name."""
    return (test.partition("::")[0] for test in tests)
