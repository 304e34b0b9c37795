"""The vocabulary: what a source yields, what the store keeps, and what the parts need of each other.

Parts that may not import one another (CONTRIBUTING.md, the map) meet in these Protocols; `syncd.main` wires them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import Table

from syncd.errors import ApiError
from syncd.wire.left_out import LeftOut
from syncd.wire.position import NOTHING_SHOWN, Position, Readings
from syncd.wire.rate_limit import Headroom
from syncd.wire.readers import BadValue
from syncd.wire.reply import Reply
from syncd.wire.tokens import Tokens

Row = Mapping[str, Any]
InstallationState = Literal["active", "paused", "suspended", "needs_consent"]
Consenter = Literal["organizer", "participant"]  # whose consent a source's tokens come from


@dataclass(frozen=True, slots=True)
class Installation:
    """One connection to one account (for Revento: one event). Its name is its identity: `revento/evt_1`."""

    name: str
    source: str
    account: str
    organization: str | None
    timezone: str
    environment: str
    api_url: str
    auth_url: str | None
    scopes: tuple[str, ...]
    state: InstallationState
    grant_id: UUID  # a new consent is a new grant; a token refresh is not
    cursor_survives_refresh: bool | None = None  # what its API was seen to do; None: not seen yet
    cursor_survives_limit: bool | None = None


class StreamKey(NamedTuple):
    """One listing of one installation."""

    installation: str
    stream: str


# --- what a source yields -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Content:
    """All rows of `table` that belong to one entity and change with it; rows not named here go."""

    table: Table
    owner: str  # the column that holds the entity's key
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Spells:
    """Members seen in an entity's list: new ones open a spell; absent ones close theirs only if `closes`."""

    table: Table
    owner: str
    member: str  # the column that holds the member's key
    rows: tuple[Row, ...]
    closes: bool


@dataclass(frozen=True, slots=True)
class Links:
    """Rows that two entities both report; `flag` is the column that says that this side does."""

    table: Table
    owner: str
    flag: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Dictionary:
    """Rows that any entity may add to and none takes away: `grows` is the array column that gathers what was seen."""

    table: Table
    grows: str
    rows: tuple[Row, ...]


Part = Content | Spells | Links | Dictionary


@dataclass(frozen=True, slots=True)
class Change:
    """One entity as the API served it: the columns of its table, and everything that belongs to it alone.

    `version` is the source's own stamp, None where it has none. `unmapped` holds the fields that have no column.
    `request_id` names the call that brought it, where that is another than its page's. `is_gone`: the API says that
    there is none any more, and `row` is its key alone. What is known of it stays, with `withdrawn_at`, the time when
    that was first said; of a personal table the row goes.
    """

    table: Table
    row: Row
    version: datetime | None = None
    parts: tuple[Part, ...] = ()
    unmapped: Row = field(default_factory=dict)
    request_id: UUID | None = None
    is_gone: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One reply, decoded. `resume_at` is where a crash after this page goes on; None: this was the last page.

    `changes` are what the stream counts; `shared` are entities that its rows merely repeat (an activity's markers).
    """

    request_id: UUID
    changes: tuple[Change, ...]
    resume_at: Position | None
    shared: tuple[Change, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    limit: int | None = None
    readings: Readings = NOTHING_SHOWN

    @property
    def rejected(self) -> tuple[BadValue, ...]:
        """Each row that could not be stored at all."""
        return tuple(bad for row in self.left_out for bad in row.rejected)

    @property
    def bad_values(self) -> tuple[BadValue, ...]:
        """Each value that was left out of its row."""
        return tuple(bad for row in self.left_out for bad in row.bad_values)


@dataclass(frozen=True, slots=True)
class View:
    """A view of schema `bi`: its SELECT, and a comment for it and each column that it yields, in their order."""

    name: str
    select: str
    comment: str
    columns: Mapping[str, str]


# --- what the store counts ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Counts:
    """The books of a page, a walk or a run: `seen = inserted + updated + unchanged + superseded + rejected`."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    superseded: int = 0
    rejected: int = 0
    quarantined_values: int = 0
    reverted: int = 0  # those of the updated rows that went back to an older version

    @property
    def seen(self) -> int:
        """Rows that the API served."""
        return self.inserted + self.updated + self.unchanged + self.superseded + self.rejected

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, name) + getattr(other, name) for name in Counts.__slots__))


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to drive one installation, for as long as owner and epoch are those of the newest claim."""

    installation: str
    owner: str
    epoch: int


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One attempt of one call: what was asked, under which token, and what the server said of it."""

    request_id: UUID
    endpoint: str
    token_fingerprint: str
    sent_at: datetime
    ended_at: datetime | None = None  # None: no reply came
    duration_ms: int = 0
    status: int | None = None
    error_code: str | None = None
    bytes: int = 0
    headroom: Headroom = field(default_factory=Headroom)
    retry_after_s: float | None = None
    server_request_id: str | None = None
    waited_ms: int = 0  # for the budget, before it left
    noted_at: float = field(default=0.0, compare=False)  # when it was over, on the monotonic clock; the log's word


# --- what the parts need of each other ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one vendor's HTTP looks like: pinned media type, the header of the request id, errors to reactions."""

    media_type: str
    request_id_header: str
    classify: Callable[[Reply], ApiError]


class Api(Protocol):
    """One installation's API, as a source sees it."""

    async def get(
        self, endpoint: str, query: Mapping[str, str | int] | None = None, *, path: Mapping[str, str] | None = None
    ) -> Reply:
        """The 200 reply to one read, retried, refreshed and paced as the contract demands.

        `endpoint` is a template such as `/events/{event_id}/activities/{activity_id}`; `path` holds what stands in it
        besides the event. Raises the ApiError that is left.
        """


class Budget(Protocol):
    """The call budgets of one token."""

    def slot(self) -> AbstractAsyncContextManager[None]:
        """Wait until a call may leave; the slot is held until its reply, and counted from its reply on."""

    def pause(self, pause_s: float) -> None:
        """Let no call leave for this long: the server has said so."""

    def learn(self, said: Headroom, *, sent_at: float) -> None:
        """Take in what a reply says of the hour, within its call's slot; that left at `sent_at` (monotonic)."""


class AccessTokens(Protocol):
    """What authorizes calls: the access token of one installation, or the integration's own credentials."""

    async def current(self, life_s: float = 0.0) -> str:
        """A token that is good for at least the next few minutes, or for `life_s` where a new one lives so long.

        Raises NeedsAuthorization.
        """

    async def renew(self, refused: str) -> str:
        """A token newer than the one that was refused. Raises NeedsAuthorization."""


class RequestLog(Protocol):
    """Where every attempt is written down."""

    def append(self, record: RequestRecord) -> None:
        """Keep the record; it is stored with the next page, or at the end of the run, at the latest."""


class Vault(Protocol):
    """Encryption at rest; `where` binds a ciphertext to its row, so that a copy elsewhere does not open."""

    def seal(self, secret: str, where: str) -> bytes:
        """The ciphertext of a secret."""

    def open(self, sealed: bytes, where: str) -> str:
        """The secret. Raises ConfigError when its key is missing or the ciphertext is not from `where`."""


class TokenStore(Protocol):
    """Durable token pairs, encrypted at rest, each write fenced by the lease."""

    async def load(self) -> Tokens:
        """The newest pair."""

    async def intend(self, refresh_token: str) -> bool:
        """Note, durably, that this refresh token is about to be spent; False where another pair has replaced it."""

    async def save(self, tokens: Tokens, *, spent: str) -> None:
        """Replace the pair whose refresh token was spent and close the intent; committed when this returns.

        Raises DatabaseError when it could not be stored, LeaseLost when a newer consent has replaced the pair.
        """

    async def refuse(self, refresh_token: str | None, code: str, reason: str) -> bool:
        """Park the installation: this pair is no use any more; False where another one has replaced it."""


class TokenEndpoint(Protocol):
    """The authorization server's token endpoint."""

    async def refresh(self, refresh_token: str) -> Tokens:
        """Trade a refresh token for a new pair. Raises TokenRefused when the grant is dead, Transient otherwise."""
