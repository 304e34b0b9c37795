"""A wait for a call budget, in words."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from syncd.cli.text import show_time

_WORDS = {
    "hour": "waits for room in its hourly budget",
    "minute": "waits for room in its budget of a minute",
    "server": "waits because the server has told it to",
}


class Waiting(Protocol):
    """Whatever may be waiting."""

    @property
    def waits_for(self) -> str | None: ...  # noqa: D102

    @property
    def waits_until(self) -> datetime | None: ...  # noqa: D102


def tell_wait(name: str, waiting: Waiting) -> str | None:
    """`revento/evt_1 waits for room in its hourly budget until 2026-05-09 14:22:31Z`; None for who does not wait."""
    if waiting.waits_for is None:
        return None
    return f"{name} {_WORDS[waiting.waits_for]} until {show_time(waiting.waits_until)}"
