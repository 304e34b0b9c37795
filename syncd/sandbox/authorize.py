"""Consent with code and PKCE (contracts/revento.md §3, §4). No page: settings say how the person answers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from syncd.sandbox.clock import Clock
from syncd.sandbox.collection import Json
from syncd.sandbox.refusals import Refusal
from syncd.sandbox.settings import SCOPES, Kind, SandboxSettings
from syncd.sandbox.tokens import Tokens
from syncd.sandbox.world import World

CODE_LIFE_S = 600.0
# What an authorization request must carry (§3), beside the client and where to return to.
REQUIRED = ("response_type", "scope", "state", "code_challenge", "code_challenge_method", "event_id")
REDEEMED_WITH = ("code", "code_verifier", "redirect_uri")


@dataclass(frozen=True, slots=True)
class Code:
    """What a person has agreed to, waiting to be redeemed."""

    event_id: str
    scopes: tuple[str, ...]
    person: Json | None
    redirect_uri: str
    challenge: str
    issued_at: float


class Consents:
    """Asks the person and redeems the codes; errors are `Refusal`."""

    def __init__(self, world: World, tokens: Tokens, clock: Clock, settings: Callable[[], SandboxSettings]) -> None:
        self._world, self._tokens, self._clock, self._settings = world, tokens, clock, settings
        self._codes: dict[str, Code] = {}

    def ask(self, query: Mapping[str, str]) -> str:
        """Where the browser goes next: back to the client, with a code or `access_denied`. A request that cannot be
        trusted or understood is refused and never redirected."""
        self._check(query)
        kind = _kind_of(query["scope"].split())
        code = self._consent(kind, query)
        answer = {"error": "access_denied"} if code is None else {"code": self._keep(code)}
        uri = query["redirect_uri"]
        return f"{uri}{'&' if '?' in uri else '?'}{urlencode(answer | {'state': query['state']})}"

    def redeem(self, form: Mapping[str, str]) -> Json:
        """The token response for a code; one that was used, is unknown, over 10 minutes old, for another redirect_uri
        or presented with another verifier is `invalid_grant`. Presenting it uses it up."""
        if missing := [name for name in REDEEMED_WITH if name not in form]:
            raise Refusal("invalid_request", f"{', '.join(missing)} is missing.")
        code = self._codes.pop(form["code"], None)
        if (
            code is None
            or self._clock.now() >= code.issued_at + CODE_LIFE_S
            or form["redirect_uri"] != code.redirect_uri
            or not hmac.compare_digest(_challenge(form["code_verifier"]).encode(), code.challenge.encode())
            or code.event_id not in self._world.events
        ):
            raise Refusal("invalid_grant")
        event = self._world.events[code.event_id].row.value
        return self._tokens.connect(event, code.scopes, self._settings(), code.person)

    def _check(self, query: Mapping[str, str]) -> None:
        settings = self._settings()
        if query.get("client_id") != settings.client_id:
            raise Refusal("invalid_request", "client_id is unknown.")
        if query.get("redirect_uri") not in settings.redirect_uris:
            raise Refusal("invalid_request", "redirect_uri is not registered.")
        if missing := [name for name in REQUIRED if not query.get(name)]:
            raise Refusal("invalid_request", f"{', '.join(missing)} is missing.")
        if (query["response_type"], query["code_challenge_method"]) != ("code", "S256"):
            raise Refusal("invalid_request", "Only response_type=code with code_challenge_method=S256 is served.")
        if query["event_id"] not in self._world.events:
            raise Refusal("resource_not_found")

    def _consent(self, kind: Kind, query: Mapping[str, str]) -> Code | None:
        """What the person agrees to: all that is asked for, but for what the settings let them decline."""
        settings, event_id = self._settings(), query["event_id"]
        willing = settings.user_scopes if kind == "user" else settings.scopes
        scopes = tuple(scope for scope in query["scope"].split() if scope in willing)
        person = self._person(event_id) if kind == "user" else None
        if settings.consent == "deny" or not scopes or (kind == "user" and person is None):
            return None
        return Code(event_id, scopes, person, query["redirect_uri"], query["code_challenge"], self._clock.now())

    def _person(self, event_id: str) -> Json | None:
        """Who signs in; nobody can where the organizer has not connected the event or nobody has applied (§4)."""
        grants = [grant for grant in self._tokens.grants("installation") if grant.event_id == event_id]
        if not any(self._tokens.status_of(grant) == "active" for grant in grants):
            return None
        participants = self._world.events[event_id].lists["participants"]
        chosen = self._settings().login_as or next(iter(participants.ids()), "")
        row = participants.find(chosen)
        return None if row is None else row.value

    def _keep(self, code: Code) -> str:
        key = secrets.token_urlsafe(24)
        self._codes[key] = code
        return key


def _kind_of(scopes: list[str]) -> Kind:
    """The flow that scopes belong to; the other flow's scope among them, or an unknown one, is `invalid_scope`."""
    for kind, known in SCOPES.items():
        if set(scopes) <= set(known):
            return kind
    raise Refusal("invalid_scope", "Ask for scopes of one kind of token only.")


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
