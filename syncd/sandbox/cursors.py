"""Opaque, signed cursors: a place in a listing, bound to path and owner (contracts/revento.md §9).

The owner is the grant or, under the other reading of G3, the access token; the limit joins the bound query only under
the strict reading of G2.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

SIGNATURE_BYTES = 12


class CursorRefused(ValueError):
    """The cursor is malformed, belongs to another query, or is too old."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What a cursor is good for; `limit` is None when it is not part of the query."""

    path: str
    owner: str
    limit: int | None = None

    def fields(self) -> list[object]:
        """The binding as it is sealed into the cursor."""
        return [self.path, self.owner, self.limit]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk stands, and since when it lasts (epoch seconds)."""

    position: int
    walk_began_at: float


class Cursors:
    """Issues and opens the cursors of one sandbox."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, binding: Binding, place: Place, now: float) -> str:
        """A cursor for the rows behind a place."""
        sealed = [place.position, place.walk_began_at, now, binding.fields()]
        payload = json.dumps(sealed, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(payload) + payload).decode()

    def open(self, cursor: str, binding: Binding, alive_since: float, *, by_walk: bool) -> Place:
        """The place inside. `CursorRefused` when malformed, foreign, or when the cursor (`by_walk`: its walk) is from
        before `alive_since` (G1)."""
        position, walk_began_at, issued_at, bound = self._read(cursor)
        if bound != binding.fields():
            raise CursorRefused("The cursor belongs to another query.")
        if (walk_began_at if by_walk else issued_at) <= alive_since:
            raise CursorRefused("The cursor has expired.")
        return Place(position, walk_began_at)

    def _read(self, cursor: str) -> tuple[int, float, float, list[object]]:
        try:
            sealed = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeError) as error:
            raise CursorRefused("The cursor is malformed.") from error
        signature, payload = sealed[:SIGNATURE_BYTES], sealed[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(payload)):
            raise CursorRefused("The cursor is malformed.")
        position, walk_began_at, issued_at, bound = json.loads(payload)
        return position, walk_began_at, issued_at, bound

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, hashlib.sha256)[:SIGNATURE_BYTES]
