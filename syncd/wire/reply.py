"""A reply as bytes, and the two shapes every listing and error comes in (contracts/revento.md §7, §9, §11)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

import msgspec

from syncd.errors import ContractBreach

T = TypeVar("T")
# The API's own codes are lower case and far shorter; what is no such word is not stored as one.
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply, whole: header names in lower case, the body decoded from its transfer and content codings.

    `host` is the host and port that were asked, for a person to read.
    """

    request_id: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    host: str = ""

    @property
    def media_type(self) -> str:
        """The media type without its parameters, in lower case; empty when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


class ErrorEnvelope(msgspec.Struct):
    """`{"error", "message", "request_id"}`; only the code is for programs, and it may add fields."""

    error: str


class Listing(msgspec.Struct):
    """A page of a listing; rows stay undecoded, so that one bad row does not lose the page."""

    data: list[msgspec.Raw]
    next_cursor: str | None = None
    has_more: bool | msgspec.UnsetType = msgspec.UNSET  # never sent by /roles, /threads, /registration-waves


def read_error_code(body: bytes) -> str | None:
    """The code of an error envelope, or None when the body is something else (a proxy's HTML, nothing at all)."""
    try:
        code = msgspec.json.decode(body, type=ErrorEnvelope).error
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return code if _CODE.match(code) else "unreadable_code"


def read_listing(reply: Reply, *, paged: bool) -> Listing:
    """One page of a listing.

    A paged listing must say `has_more`, and where it promises more it must say how to get there; a reply
    that does not is a contract breach, never the end of the walk.
    """
    listing = _decode_listing(reply)
    if paged and listing.has_more is msgspec.UNSET:
        raise _breach(reply, "$.has_more is missing")
    if listing.has_more is True and not listing.next_cursor:
        raise _breach(reply, "$.has_more is true but $.next_cursor is empty")
    return listing


def read_object(reply: Reply) -> msgspec.Raw:
    """A single JSON object, undecoded."""
    _decode(reply, dict[str, msgspec.Raw])
    return msgspec.Raw(reply.body)


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
        page = json.loads(reply.body)
    except (ValueError, RecursionError) as error:
        raise _breach(reply, str(error)) from error
    if not isinstance(page, dict) or not isinstance(page.get("data"), list):
        raise _breach(reply, "it is no object with a list of rows in $.data")
    return [msgspec.Raw(json.dumps(row).encode()) for row in page["data"]], json.dumps({**page, "data": []}).encode()


def _decode(reply: Reply, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(reply.body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _breach(reply, str(error)) from error


def _breach(reply: Reply, what: str) -> ContractBreach:
    return ContractBreach(
        f"the reply is not what the API promises: {what}",
        status=reply.status,
        code="contract_breach",
        request_id=reply.request_id,
    )
