"""A request to the API with its route, and what an endpoint is."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from syncd.sandbox.http import Request
from syncd.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from syncd.sandbox.api import Api
    from syncd.sandbox.tokens import Grant
    from syncd.sandbox.world import Event


@dataclass(frozen=True, slots=True)
class Call:
    """An API request with its route: `path` is below the API base, `endpoint` its template (None: no such path).

    Ordered by a fault: `holds_cursor` (the page's cursor leads to the same page again), `other_event` (of whose rows).
    """

    request: Request
    path: str
    endpoint: str | None
    event_id: str | None = None
    activity_id: str | None = None
    integration_id: str | None = None
    holds_cursor: bool = False
    other_event: bool = False

    @property
    def group(self) -> str:
        """`events`, `me` or `developer`: who may call it (contracts/revento.md §2)."""
        return self.path.split("/")[1]

    @property
    def bearer(self) -> str:
        """The presented access token, empty when there is none."""
        scheme, _, token = self.request.headers.get("authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""


Handler = Callable[["Api", Call, "Grant", "Event"], bytes]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The scope that opens an endpoint of event or user data, and what it answers."""

    scope: str
    handler: Handler


def basic_credentials(header: str) -> tuple[str, str]:
    """Client id and secret of a Basic header, each half form-decoded (RFC 6749 §2.3.1); raises `invalid_client`."""
    scheme, _, value = header.partition(" ")
    try:
        decoded = base64.b64decode(value, validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeError) as error:
        raise Refusal("invalid_client") from error
    client_id, _, client_secret = decoded.partition(":")
    return unquote_plus(client_id), unquote_plus(client_secret)
