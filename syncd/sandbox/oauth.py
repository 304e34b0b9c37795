"""The OAuth host: refresh (contracts/revento.md §5) and revoke (§6). Outside the budgets of the API (G13)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from urllib.parse import parse_qsl, unquote_plus

from syncd.sandbox.collection import dump
from syncd.sandbox.http import Reply, Request
from syncd.sandbox.refusals import PLAIN_JSON, Refusal
from syncd.sandbox.settings import SandboxSettings
from syncd.sandbox.tokens import Tokens

TOKEN_ENDPOINT = "/oauth/token"  # noqa: S105 - a path
REVOKE_ENDPOINT = "/oauth/revoke"
FORM = "application/x-www-form-urlencoded"


def form_of(request: Request) -> dict[str, str]:
    """The form fields of a body; empty when the body is not a form."""
    if not request.headers.get("content-type", "").lower().startswith(FORM):
        return {}
    return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


class OAuthHost:
    """Token and revocation endpoints; errors are `Refusal`."""

    def __init__(self, tokens: Tokens, settings: Callable[[], SandboxSettings]) -> None:
        self._tokens = tokens
        self._settings = settings

    def handle(self, endpoint: str | None, request: Request) -> Reply:
        """Answer one request to the OAuth host."""
        if endpoint is None:
            raise Refusal("resource_not_found")
        if request.method != "POST":
            raise Refusal("method_not_allowed")
        form = form_of(request)
        return self._token(form) if endpoint == TOKEN_ENDPOINT else self._revoke(form, request)

    def _token(self, form: dict[str, str]) -> Reply:
        """Credentials travel in the body; every refresh rotates the pair."""
        self._authenticate(form.get("client_id", ""), form.get("client_secret", ""))
        if "grant_type" not in form:
            raise Refusal("invalid_request", "grant_type is missing.")
        if form["grant_type"] != "refresh_token":
            raise Refusal("unsupported_grant_type")
        if "refresh_token" not in form:
            raise Refusal("invalid_request", "refresh_token is missing.")
        pair = self._tokens.refresh(form["refresh_token"], self._settings())
        return Reply(200, dump(pair), {"Content-Type": PLAIN_JSON, "Cache-Control": "no-store"})

    def _revoke(self, form: dict[str, str], request: Request) -> Reply:
        """RFC 7009: always 200 with an empty body, unknown tokens included."""
        self._authenticate(*_basic(request.headers.get("authorization", "")))
        self._tokens.revoke_token(form.get("token", ""))
        return Reply(200)

    def _authenticate(self, client_id: str, client_secret: str) -> None:
        settings = self._settings()
        known = f"{settings.client_id}\n{settings.client_secret}".encode()
        if not hmac.compare_digest(f"{client_id}\n{client_secret}".encode(), known):
            raise Refusal("invalid_client")


def _basic(header: str) -> tuple[str, str]:
    """The pair of a Basic header, each half form-decoded (RFC 6749 §2.3.1)."""
    scheme, _, value = header.partition(" ")
    try:
        decoded = base64.b64decode(value, validate=True).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeError) as error:
        raise Refusal("invalid_client") from error
    client_id, _, client_secret = decoded.partition(":")
    return unquote_plus(client_id), unquote_plus(client_secret)
