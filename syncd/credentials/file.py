"""The credentials file of `syncd installations add revento` (docs/interface.md §2): a token reply and its event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from syncd.errors import ApiError, ConfigError
from syncd.wire.tokens import TokenResponse, Tokens, read_tokens

_FORM = "the file is the JSON reply of the token endpoint: access_token, refresh_token, expires_in, scope, event_id, …"


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token pair and the event that it opens."""

    event_id: str
    organization_id: str | None
    tokens: Tokens


class _File(TokenResponse):
    event_id: str = ""
    organization_id: str | None = None
    obtained_at: datetime | None = None


def read_credentials(document: bytes, *, now: datetime) -> Credentials:
    """Read the file; `expires_in` counts from `obtained_at`, or else from now. Raises ConfigError; shows no secret."""
    try:
        file = msgspec.json.decode(document, type=_File)
        tokens = read_tokens(file, None, now=_zoned(file.obtained_at) or now)
    except (msgspec.MsgspecError, UnicodeDecodeError, ApiError) as error:
        raise ConfigError(f"the credentials cannot be read: {error}", hint=_FORM) from error
    if not file.event_id or "/" in file.event_id:
        raise ConfigError(
            f"the credentials name no usable event: event_id is {file.event_id!r}",
            hint="it must not be empty and must hold no slash",
        )
    return Credentials(file.event_id, file.organization_id, tokens)


def _zoned(stamp: datetime | None) -> datetime | None:
    if stamp is not None and stamp.tzinfo is None:
        raise ConfigError("obtained_at has no offset from UTC", hint="write it as 2026-05-09T14:22:31Z")
    return stamp
