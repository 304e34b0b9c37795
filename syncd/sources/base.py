"""What a source is: its streams in order, its tables, and how its API is spoken to.

A source yields decoded pages and knows neither HTTP nor the database.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import MetaData, Table

from syncd.model import Api, Consenter, Dialect, Installation, Page, View
from syncd.wire.position import Position
from syncd.wire.reply import Reply


class Walk(Protocol):
    """Asks for a stream's pages, from a position on, until the listing is complete."""

    def __call__(
        self, api: Api, installation: Installation, position: Position, page_size: int
    ) -> AsyncGenerator[Page]:
        """Yield each page once. Raises CursorRefused when the walk must start anew, and any other ApiError."""


class Reread(Protocol):
    """Reads one row of a stream that was kept as it was served, with this version's reader."""

    def __call__(self, reply: Reply, installation: Installation) -> Page:
        """The page that the row comes to, alone; the body of the reply is the row. Raises ContractBreach."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One listing: how it and one kept row of it are read, the scope it needs, the tables whose rows are all in it.

    A row of `tables` that its walks no longer meet is gone at the source. A single object is no listing: it has none.
    """

    name: str
    scope: str
    walk: Walk
    reread: Reread
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Connection:
    """An account as the integration's own listing has it; `status`: active, suspended, revoked, or a word unknown."""

    account: str
    status: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """One remote API under one kind of token. `streams` stand in the order in which a round walks them.

    An account is the ids of `account`, joined by a slash: its tokens open them, endpoints have places for them, and
    every row of the account that is in `tables` carries them.
    """

    name: str
    account: tuple[str, ...]
    consenter: Consenter
    streams: tuple[Stream, ...]
    schema: MetaData
    tables: tuple[Table, ...]
    dialect: Dialect
    views: tuple[View, ...] = ()
    # every account that was ever connected, by the first of its ids, asked under the integration's credentials; one may
    # stand there twice
    connections: Callable[[Api], AsyncIterator[Connection]] | None = None

    def stream(self, name: str) -> Stream:
        """The stream of that name. Raises KeyError."""
        return {stream.name: stream for stream in self.streams}[name]

    def ids(self, account: str) -> Mapping[str, str]:
        """What an account consists of, by name; only the last id may hold a slash."""
        return dict(zip(self.account, account.split("/", len(self.account) - 1), strict=True))
