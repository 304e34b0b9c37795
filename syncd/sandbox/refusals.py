"""The error envelope and the codes of contracts/revento.md §11."""

from __future__ import annotations

import json
from collections.abc import Mapping

API_MEDIA_TYPE = "application/vnd.revento.v1+json; charset=utf-8"
# 429 replies are plain JSON in the documented samples (§7).
PLAIN_JSON = "application/json"

STATUS = {
    "invalid_token": 401,
    "token_expired": 401,
    "token_revoked": 401,
    "invalid_client": 401,
    "invalid_grant": 400,
    "invalid_scope": 400,
    "invalid_request": 400,
    "invalid_cursor": 400,
    "unsupported_grant_type": 400,
    "insufficient_scope": 403,
    "event_not_authorized": 403,
    "user_token_required": 403,
    "installation_token_required": 403,
    "resource_not_found": 404,
    "method_not_allowed": 405,
    "unsupported_version": 406,
    "cursor_expired": 410,
    "payload_too_large": 413,
    "unprocessable_request": 422,
    "rate_limit_exceeded": 429,
    "concurrent_limit_exceeded": 429,
    "internal_error": 500,
    "service_unavailable": 503,
}


class Refusal(Exception):
    """The API says no: an error `code`, its HTTP `status`, and extra `headers`."""

    def __init__(self, code: str, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.status = STATUS[code]
        self.message = message or code.replace("_", " ").capitalize() + "."
        self.headers = dict(headers or {})


class BadRequest(Refusal):
    """The query itself is wrong: its limit, its cursor, or its body."""


def envelope(code: str, message: str, request_id: str) -> bytes:
    """`{"error", "message", "request_id"}` as every error reply carries it."""
    return json.dumps({"error": code, "message": message, "request_id": request_id}).encode()


def media_type(status: int) -> str:
    """The content type of a reply with this status."""
    return PLAIN_JSON if status == 429 else API_MEDIA_TYPE
