"""The OAuth host: consent (contracts/revento.md §3, §4), tokens (§5) and revocation (§6). Outside the API's budgets."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl

from syncd.sandbox.authorize import Consents
from syncd.sandbox.call import basic_credentials
from syncd.sandbox.client import Client
from syncd.sandbox.collection import Json, dump
from syncd.sandbox.http import Reply, Request
from syncd.sandbox.refusals import PLAIN_JSON, Refusal
from syncd.sandbox.settings import SandboxSettings
from syncd.sandbox.tokens import Tokens

AUTHORIZE_ENDPOINT = "/oauth/authorize"
TOKEN_ENDPOINT = "/oauth/token"  # noqa: S105 - a path
REVOKE_ENDPOINT = "/oauth/revoke"
METHODS = {AUTHORIZE_ENDPOINT: "GET", TOKEN_ENDPOINT: "POST", REVOKE_ENDPOINT: "POST"}
FORM = "application/x-www-form-urlencoded"


def form_of(request: Request) -> dict[str, str]:
    """The form fields of a body; empty when the body is not a form."""
    if not request.headers.get("content-type", "").lower().startswith(FORM):
        return {}
    return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))


class OAuthHost:
    """Authorization, token and revocation endpoints; errors are `Refusal`."""

    def __init__(
        self, client: Client, tokens: Tokens, consents: Consents, settings: Callable[[], SandboxSettings]
    ) -> None:
        self._client, self._tokens, self._consents, self._settings = client, tokens, consents, settings

    def handle(self, endpoint: str | None, request: Request) -> Reply:
        """Answer one request to the OAuth host."""
        if endpoint is None:
            raise Refusal("resource_not_found")
        if request.method != METHODS[endpoint]:
            raise Refusal("method_not_allowed")
        if endpoint == AUTHORIZE_ENDPOINT:
            return Reply(302, b"", {"Location": self._consents.ask(request.query)})
        form = form_of(request)
        return self._token(form) if endpoint == TOKEN_ENDPOINT else self._revoke(form, request)

    def _token(self, form: dict[str, str]) -> Reply:
        """Credentials travel in the body; every refresh rotates the pair."""
        self._client.authenticate(form.get("client_id", ""), form.get("client_secret", ""))
        match form.get("grant_type"):
            case None:
                raise Refusal("invalid_request", "grant_type is missing.")
            case "authorization_code":
                pair = self._consents.redeem(form)
            case "refresh_token":
                pair = self._refresh(form)
            case _:
                raise Refusal("unsupported_grant_type")
        return Reply(200, dump(pair), {"Content-Type": PLAIN_JSON, "Cache-Control": "no-store"})

    def _refresh(self, form: dict[str, str]) -> Json:
        if "refresh_token" not in form:
            raise Refusal("invalid_request", "refresh_token is missing.")
        return self._tokens.refresh(form["refresh_token"], self._settings())

    def _revoke(self, form: dict[str, str], request: Request) -> Reply:
        """RFC 7009: always 200 with an empty body, unknown tokens included."""
        self._client.authenticate(*basic_credentials(request.headers.get("authorization", "")))
        self._tokens.revoke_token(form.get("token", ""))
        return Reply(200)
