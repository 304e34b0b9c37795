"""What a participant's own token opens: their application to the event, their profile (contracts/revento.md §12.2)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Table

from syncd.errors import NotFound, ScopeMissing
from syncd.model import Api, Change, Installation, Page, Row
from syncd.sources.base import Source, Stream
from syncd.sources.columns import join_key, read_row
from syncd.sources.revento import tables as t
from syncd.sources.revento.admin import walk_connections
from syncd.sources.revento.faults import GONE, PARTICIPANTS_DIALECT, breach
from syncd.wire.left_out import LeftOut
from syncd.wire.position import Position
from syncd.wire.readers import BadValue, Fields, RowRejected, parse_row
from syncd.wire.reply import Reply, read_object

# The object, the ids of its account, the reply that it stood in. Raises RowRejected, ScopeMissing.
Decode = Callable[[Fields, Row, Reply], Row]


@dataclass(frozen=True, slots=True)
class ObjectWalk:
    """The walk of one object of the person: one call, one page. That there is none is a state (§11)."""

    endpoint: str
    table: Table
    decode: Decode

    async def __call__(
        self, api: Api, installation: Installation, position: Position, page_size: int
    ) -> AsyncGenerator[Page]:
        """Yield the only page. Raises ScopeMissing where the person has declined to show it."""
        try:
            page = self.reread(await api.get(self.endpoint), installation)
        except NotFound as error:
            if error.code != GONE or error.request_id is None:
                raise
            gone = Change(self.table, _ids_of(installation), is_gone=True)
            page = Page(UUID(error.request_id), (gone,), None)
        yield page

    def reread(self, reply: Reply, installation: Installation) -> Page:
        """The object. Raises ContractBreach unless it is of the token's own person and event."""
        raw, ids, bad_values = read_object(reply), _ids_of(installation), list[BadValue]()
        try:
            fields = parse_row(raw, "$", bad_values)
            row = self.decode(fields, ids, reply)
        except RowRejected as error:
            raise breach(reply, str(error)) from error
        for name, ours in ids.items():
            if fields.ref(name) not in {None, ours}:
                raise breach(reply, f"$.{name} is not the one that the token was given for")
        change = Change(self.table, row, unmapped=fields.rest())
        left_out = (LeftOut(bytes(raw), join_key(*ids.values()), (), tuple(bad_values)),) if bad_values else ()
        return Page(UUID(reply.request_id), (change,), None, left_out=left_out)


def decode_application(fields: Fields, ids: Row, reply: Reply) -> Row:
    """The application, which is not withdrawn as long as there is one."""
    return read_row(fields, t.user_applications, **ids, application_id=fields.id(), withdrawn_at=None)


def decode_profile(fields: Fields, ids: Row, reply: Reply) -> Row:
    """The profile. Where it comes without an e-mail the person has declined to show it (G28): none of it is kept."""
    if fields.id("user_id") != ids["user_id"]:
        raise RowRejected(BadValue("$.user_id", "not the one that the token was given for", ""))
    row = read_row(fields, t.user_profiles, **ids)
    if row["email"] is None and not fields.bad:
        raise ScopeMissing(
            "the participant has declined profile.read: the profile came without an e-mail",
            status=reply.status,
            code="email_missing",
            request_id=reply.request_id,
        )
    return row


def _ids_of(installation: Installation) -> dict[str, str]:
    return dict(SOURCE.ids(installation.account))


def _stream(name: str, scope: str, walk: ObjectWalk) -> Stream:
    return Stream(name, scope, walk, walk.reread)


# The application first: nobody can decline it, so that it shows whether a token is good.
STREAMS = (
    _stream("application", "event.attendance", ObjectWalk("/me/application", t.user_applications, decode_application)),
    _stream("profile", "profile.read", ObjectWalk("/me/profile", t.user_profiles, decode_profile)),
)

SOURCE = Source(
    name="revento-user",
    account=("event_id", "user_id"),
    consenter="participant",
    streams=STREAMS,
    schema=t.METADATA,
    tables=(t.user_applications, t.user_profiles),
    dialect=PARTICIPANTS_DIALECT,
    connections=walk_connections,
)
