"""One request on its way through the sandbox, and what a rule of good conduct is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from syncd.sandbox.budgets import Budget
from syncd.sandbox.http import Reply, Request
from syncd.sandbox.log import KEPT_ENTRIES, Entry
from syncd.sandbox.tokens import Grant

# What arrives so soon after a reply left may have been sent before the client had read it.
IN_TRANSIT_S = 0.1
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Visit:
    """A request, its log entry, who sent it (`token` as presented, the `grant` that ever issued it), and the budget it
    draws on (None: it went to the OAuth host)."""

    request: Request
    entry: Entry
    token: str
    grant: Grant | None
    budget: Budget | None

    @property
    def is_api(self) -> bool:
        """Whether it went to the API, not to the OAuth host."""
        return self.budget is not None

    @property
    def url(self) -> str:
        """Path and query as sent."""
        return self.request.path + ("?" + self.request.query_text if self.request.query_text else "")


class Rule(Protocol):
    """Yields the codes of what a request breaks, when it has arrived and when it is answered."""

    def arrived(self, visit: Visit) -> Iterable[str]:
        """Before anything is done about it."""

    def answered(self, visit: Visit, reply: Reply) -> Iterable[str]:
        """When the reply, damage included, is about to be sent."""


class Memory(dict[Key, Value]):
    """The things noted last, as many as the log keeps entries."""

    def __setitem__(self, key: Key, value: Value) -> None:
        super().__setitem__(key, value)
        if len(self) > KEPT_ENTRIES:
            del self[next(iter(self))]
