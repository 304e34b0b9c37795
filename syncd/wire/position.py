"""Where a walk stands, with everything that limits how long that is worth anything.

A duplicate is free, a skip is for ever: whatever is in doubt becomes `Start`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

# A cursor is promised for 24 h from its issue; one hour is left for the walk itself (contracts/revento.md §9).
CURSOR_LIFE = timedelta(hours=23)
# A database that took over from another may be behind it by so much; the hour left above covers it.
CLOCK_SKEW = timedelta(minutes=30)
# Refusals of the token, the page size or the pace; any other may be one of the cursor, whatever its code
# (contracts/revento.md §9, G4).
NOT_THE_CURSORS = frozenset((401, 403, 413, 429))


class Start(msgspec.Struct, frozen=True, tag="start"):
    """The first page. `limit` is the page size that the last walk had to shrink to, if it had to."""

    limit: int | None = None


class CursorAt(msgspec.Struct, frozen=True, tag="cursor"):
    """The page behind an opaque cursor, valid for the query and the grant it was issued to.

    Whether it outlives a change of the page size or of the access token (`token` is its short name, empty where an
    older version wrote none) the contract leaves open: it is tried once (contracts/revento.md G2, G3).
    """

    cursor: str
    issued_at: datetime
    query: str
    limit: int
    grant: str
    token: str = ""


Position = Start | CursorAt


class Readings(msgspec.Struct, frozen=True):
    """What a server was seen to do with a cursor once its circumstances had changed; None: not seen yet."""

    survives_refresh: bool | None = None
    survives_limit: bool | None = None


NOTHING_SHOWN = Readings()


def observe(at: CursorAt | None, *, token: str, limit: int, accepted: bool) -> Readings:
    """What a call with this cursor has shown. A refusal shows something where one circumstance alone had changed."""
    if at is None:
        return NOTHING_SHOWN
    token_changed, limit_changed = bool(at.token and token and at.token != token), at.limit != limit
    if not accepted and token_changed and limit_changed:
        return NOTHING_SHOWN
    return Readings(accepted if token_changed else None, accepted if limit_changed else None)


def stamped(position: Position, now: datetime) -> Position:
    """The position, with its cursor issued at this instant of the database's, by whose clock it will be judged."""
    return position if isinstance(position, Start) else msgspec.structs.replace(position, issued_at=now)


def encode(position: Position) -> str:
    """The position as a JSON document, for `decode` in this or a later version."""
    return msgspec.json.encode(position).decode()


def decode(document: str) -> Position:
    """Read what `encode` wrote; a form that this version does not know is `Start`."""
    try:
        return msgspec.json.decode(document, type=Start | CursorAt)
    except msgspec.MsgspecError:
        return Start()


def usable(position: Position, *, now: datetime, grant: str) -> Position:
    """The position itself, or `Start` when it is too old, from the far future, or was issued to another grant.

    The page size survives: if the server had us shrink it, it would do so again.
    """
    if isinstance(position, Start) or why_unusable(position, now=now, grant=grant) is None:
        return position
    return Start(limit=position.limit)


def why_unusable(at: CursorAt, *, now: datetime, grant: str) -> str | None:
    """Why a walk would not go on at this cursor; None: it would."""
    age = now - at.issued_at
    if at.grant != grant:
        return "the cursor was issued to another grant"
    if age >= CURSOR_LIFE:
        return f"the cursor is older than {CURSOR_LIFE // timedelta(hours=1)} h"
    return "the cursor is from the future: a clock is wrong" if age <= -CLOCK_SKEW else None
