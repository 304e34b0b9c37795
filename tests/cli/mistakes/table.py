"""What a mistake is: how it is provoked for real, and what a person then sees, should know and should do."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.cli.mistakes.scene import Scene


@dataclass(frozen=True)
class Mistake:
    """One row of docs/mistakes.md. In `sees` and `hint` each ‹word› stands for a text that varies.

    `provoke` sets the scene for the command, once for each time it runs; `afterwards` looks at what was left behind.
    """

    title: str
    command: str
    sees: str
    hint: str
    exit_code: int
    why: str
    provoke: Callable[[Scene], object]
    afterwards: Callable[[Scene], object] = lambda _: None
    begins: str = "error"
    fault: int | None = None

    @property
    def arguments(self) -> list[str]:
        """The command's arguments, the environment's variables left out."""
        return re.sub(r"^.*\bsyncd ", "", self.command).split()


@dataclass(frozen=True)
class Theme:
    """Mistakes that belong together."""

    title: str
    mistakes: Sequence[Mistake]


def pattern(text: str) -> str:
    """A regular expression for a text of the table."""
    return "".join(".+" if part.startswith("‹") else re.escape(part) for part in re.split(r"(‹[^›]*›)", text))
