"""Opaque, signed cursors: a keyset position bound to endpoint, event and owner (contracts/revento.md §9).

The owner is the grant (G3: a refreshed token keeps the cursor) or the access token; the limit joins the bound query
only under the strict reading of G2. Each cursor ages from its own issue (G1).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass

from syncd.sandbox.refusals import Refusal

SIGNATURE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Binding:
    """What a cursor is good for; `limit` is None when it is not part of the query."""

    endpoint: str
    event_id: str
    owner: str
    limit: int | None = None

    def fields(self) -> list[object]:
        """The binding as it is sealed into the cursor."""
        return [self.endpoint, self.event_id, self.owner, self.limit]


class Cursors:
    """Issues and opens the cursors of one sandbox."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def issue(self, binding: Binding, position: int, now: float) -> str:
        """A cursor for the rows created after `position`."""
        payload = json.dumps([position, now, binding.fields()], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(payload) + payload).decode()

    def open(self, cursor: str, binding: Binding, now: float, valid_s: float) -> int:
        """The position inside; `Refusal("invalid_cursor")` when malformed, foreign or older than `valid_s` (G4)."""
        position, issued_at, bound = self._read(cursor)
        if bound != binding.fields():
            raise Refusal("invalid_cursor", "The cursor belongs to another query.")
        if now >= issued_at + valid_s:
            raise Refusal("invalid_cursor", "The cursor has expired.")
        return position

    def _read(self, cursor: str) -> tuple[int, float, list[object]]:
        try:
            sealed = base64.b64decode(cursor.encode(), altchars=b"-_", validate=True)
        except (binascii.Error, UnicodeError) as error:
            raise Refusal("invalid_cursor", "The cursor is malformed.") from error
        signature, payload = sealed[:SIGNATURE_BYTES], sealed[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(payload)):
            raise Refusal("invalid_cursor", "The cursor is malformed.")
        position, issued_at, bound = json.loads(payload)
        return position, issued_at, bound

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, hashlib.sha256)[:SIGNATURE_BYTES]
