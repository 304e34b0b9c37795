"""One consent by code and PKCE: what the browser is sent to, and what it brings back (contracts/revento.md §3)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlencode

from syncd.errors import ConfigError, NeedsAuthorization, Transient

VERIFIER_BYTES = 32
STATE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Consent:
    """A consent that is being asked for. `state` and `verifier` are secrets until it is over."""

    client_id: str
    redirect_uri: str
    event_id: str
    scopes: tuple[str, ...]
    state: str = field(repr=False)
    verifier: str = field(repr=False)

    @classmethod
    def begin(cls, client_id: str, redirect_uri: str, event_id: str, scopes: Sequence[str]) -> Self:
        """Ask for these scopes of this event, with secrets of its own."""
        return cls(
            client_id,
            redirect_uri,
            event_id,
            tuple(scopes),
            secrets.token_urlsafe(STATE_BYTES),
            secrets.token_urlsafe(VERIFIER_BYTES),
        )

    def address(self, auth_url: str) -> str:
        """Where the organizer's browser has to go."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self.scopes),
            "state": self.state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "event_id": self.event_id,
        }
        return f"{auth_url}/oauth/authorize?{urlencode(query)}"

    def read(self, query: Mapping[str, str]) -> str | None:
        """The code that a redirect brings; None for one that does not answer to us: anybody may send a browser here.

        Raises NeedsAuthorization for a refusal, Transient where the server is in trouble (RFC 6749 §4.1.2.1),
        ConfigError where it is our request that was refused.
        """
        if not hmac.compare_digest(query.get("state", "").encode(), self.state.encode()):
            return None
        if query.get("error") == "access_denied":
            raise NeedsAuthorization("the organizer refused to connect the event", hint="ask why, and connect it again")
        if query.get("error") in ("server_error", "temporarily_unavailable"):
            raise Transient(
                f"the authorization server could not answer ({query['error']})",
                code=query["error"],
                hint="try again later: connect the event again",
            )
        if "error" in query:
            raise ConfigError(
                f"the authorization server refused the request ({query['error'][:50]!r})",
                hint="compare revento.client_id, revento.redirect_uri and the scopes with the developer console",
            )
        return query.get("code") or None
