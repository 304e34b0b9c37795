"""A reply as bytes, and the two shapes every listing and error comes in (contracts/revento.md §7, §9, §11)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote

import msgspec

from syncd.errors import ContractBreach, ListingBroken
from syncd.wire.json_text import holds_more_than
from syncd.wire.readers import LONGEST_INTEGER

T = TypeVar("T")
# What Python makes of a value takes up to a hundred times its bytes, so values are counted before any is built. The
# thinnest that the API serves, an id in a list, has some 13 bytes: 150,000 of them are a whole reply of 2 MB.
MOST_VALUES = 200_000
# No listing is asked for more than 50 rows a page, and those without pages are settings that people type in.
MOST_ROWS = 20_000
# An address may be no longer than httpx builds, and most servers take far less.
LONGEST_CURSOR = 32_000
# The API's own codes are lower case and far shorter; what is no such word is not stored as one.
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply, whole: header names in lower case, the body decoded from its transfer and content codings.

    `host` is the host and port that were asked, for a person to read; `token_fingerprint` names the access token.
    """

    request_id: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    host: str = ""
    token_fingerprint: str = ""


class ErrorEnvelope(msgspec.Struct):
    """`{"error", "message", "request_id"}`; only the code is for programs, and it may add fields."""

    error: str


class Listing(msgspec.Struct):
    """A page of a listing; rows stay undecoded, so that one bad row does not lose the page."""

    data: list[msgspec.Raw]
    next_cursor: str | None = None
    has_more: bool | msgspec.UnsetType = msgspec.UNSET  # never sent by /roles, /threads, /registration-waves


def read_media_type(headers: Mapping[str, str]) -> str:
    """The media type without its parameters, in lower case; empty when there is none."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()


def read_error_code(body: bytes) -> str | None:
    """The code of an error envelope, or None when the body is something else (a proxy's HTML, nothing at all)."""
    try:
        code = msgspec.json.decode(body, type=ErrorEnvelope).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return code if _CODE.match(code) else "unreadable_code"


def read_listing(reply: Reply, *, paged: bool) -> Listing:
    """One page of a listing.

    A paged listing must say `has_more`, and where it promises more it must say how to get there; a reply
    that does not is a contract breach, never the end of the walk. Raises ListingBroken where its cursor cannot be sent.
    """
    _judge_amount(reply)
    listing = _decode_listing(reply)
    if len(listing.data) > MOST_ROWS:
        raise _breach(reply, f"$.data has more than {MOST_ROWS} rows")
    if paged and listing.has_more is msgspec.UNSET:
        raise _breach(reply, "$.has_more is missing")
    if listing.has_more is True and not listing.next_cursor:
        raise _breach(reply, "$.has_more is true but $.next_cursor is empty", ListingBroken)
    if listing.has_more is True and not _can_be_sent(listing.next_cursor or ""):
        raise _breach(reply, "$.next_cursor does not fit into an address", ListingBroken)
    return listing


def _can_be_sent(cursor: str) -> bool:
    try:
        return len(quote(cursor, safe="")) <= LONGEST_CURSOR
    except UnicodeEncodeError:  # half a surrogate pair
        return False


def read_object(reply: Reply) -> msgspec.Raw:
    """A single JSON object, undecoded."""
    _judge_amount(reply)
    _decode(reply, dict[str, msgspec.Raw])
    return msgspec.Raw(reply.body)


def _judge_amount(reply: Reply) -> None:
    if holds_more_than(MOST_VALUES, reply.body):
        raise _breach(reply, f"it holds more than {MOST_VALUES} values")


def _decode_listing(reply: Reply) -> Listing:
    """A row with a lone surrogate makes the fast decoder refuse its page; the slow one lets the other rows through."""
    try:
        return _decode(reply, Listing)
    except ContractBreach:
        rows, rest = _decode_slowly(reply)
        listing = _decode(replace(reply, body=rest), Listing)
        listing.data = rows
        return listing


def _decode_slowly(reply: Reply) -> tuple[list[msgspec.Raw], bytes]:
    """The rows, each as JSON again, and the page without them."""
    try:
        page = json.loads(reply.body, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise _breach(reply, str(error)) from error
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        raise _breach(reply, "it is no object with a list of rows in $.data")
    return [msgspec.Raw(json.dumps(row).encode()) for row in page["data"]], json.dumps({**page, "data": []}).encode()


def _whole(literal: str) -> int | float:
    """Python refuses integers of some thousand digits: one becomes an infinity, which costs its value alone."""
    return int(literal) if len(literal) <= LONGEST_INTEGER else float(literal)


def _decode(reply: Reply, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(reply.body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _breach(reply, str(error)) from error


def _breach(reply: Reply, what: str, kind: type[ContractBreach] = ContractBreach) -> ContractBreach:
    return kind(
        f"the reply is not what the API promises: {what}",
        status=reply.status,
        code="contract_breach",
        request_id=reply.request_id,
    )
