"""What one round of one installation carries with it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from syncd.model import Api, Counts, Installation, Lease
from syncd.store.database import Database
from syncd.store.requests import PendingRequests
from syncd.sync.removals import Rules


class AccountApi(Api, Protocol):
    """One installation's API, as a round sees it."""

    async def renew_unless_it_lasts(self, life_s: float) -> None:
        """Have an access token that lives for so long, where a new one would and the one in use does not.

        Raises the ApiError of a renewal that failed.
        """


@dataclass(frozen=True, slots=True)
class Progress:
    """A page that has just been committed."""

    installation: str
    stream: str
    page_number: int
    rows: int
    counts: Counts
    removed: int = 0  # hidden with the last page, because they were gone at the source


# Entered while a round has nothing to do but wait: others may work in its place.
GivingWay = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Run:
    """One round: who drives what, under which lease, who is told of each page, and to whom it gives way."""

    run_id: UUID
    installation: Installation
    lease: Lease
    database: Database
    requests: PendingRequests
    page_size: int
    note: Callable[[Progress], None]
    removals: Rules = field(default_factory=Rules)
    giving_way: GivingWay = nullcontext
