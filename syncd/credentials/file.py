"""The credentials file of `syncd installations add revento` (docs/interface.md §2): a token reply and its event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import msgspec

from syncd.errors import ApiError, ConfigError, NeedsAuthorization
from syncd.wire.tokens import TokenResponse, Tokens, read_tokens

_FORM = "the file is the JSON reply of the token endpoint: access_token, refresh_token, expires_in, scope, event_id, …"

# contracts/revento.md §2
_PARTICIPANTS = "rev_user_"
# An id is a part of every key, and PostgreSQL's indexes take some 2,700 bytes.
LONGEST_EVENT_ID = 200


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


def read_credentials(document: bytes, *, now: datetime, name: str = "the credentials") -> Credentials:
    """Read the file; `expires_in` counts from `obtained_at`, or else from now. `name` is what messages call the file.

    Raises ConfigError, NeedsAuthorization for a participant's token; shows no secret.
    """
    if not document.strip():
        raise ConfigError(f"{name}: empty", hint=_FORM)
    try:
        file = msgspec.json.decode(document, type=_File)
        _require_text(file, name)
        tokens = read_tokens(file, None, now=_zoned(file.obtained_at) or now)
    except msgspec.ValidationError as error:  # names fields and types, never a value
        raise ConfigError(f"{name}: {error}", hint=_FORM) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: not JSON ({error})", hint=_FORM) from error
    except ApiError as error:
        raise ConfigError(f"{name}: {error}", hint=_FORM) from error
    _require_event(file.event_id, name)
    _require_organizers(tokens)
    return Credentials(file.event_id, file.organization_id, tokens)


def _require_organizers(tokens: Tokens) -> None:
    if tokens.access_token.startswith(_PARTICIPANTS):
        raise NeedsAuthorization(
            "this is a participant's token, and an event is opened by an installation token",
            hint="give the token reply that an organizer's consent to the event brought",
        )


def _require_text(file: _File, name: str) -> None:
    for field in ("access_token", "refresh_token", "scope", "event_id", "organization_id"):
        if "\0" in (getattr(file, field) or ""):
            raise ConfigError(f"{name}: {field} holds a NUL character", hint=_FORM)


def _require_event(event_id: str, name: str) -> None:
    if not event_id:
        raise ConfigError(f"{name}: event_id is missing", hint=_FORM)
    if event_id in (".", "..") or len(event_id) > LONGEST_EVENT_ID:
        raise ConfigError(
            f"{name}: event_id {event_id[:20]!r} is none of Revento's ids", hint="copy it from the token reply"
        )
    if "/" in event_id:
        raise ConfigError(
            f"{name}: event_id {event_id!r} holds a slash, and is none of Revento's ids",
            hint="copy the event's id alone, as the token reply gives it, not its address",
        )


def _zoned(stamp: datetime | None) -> datetime | None:
    if stamp is not None and stamp.tzinfo is None:
        raise ConfigError("obtained_at has no offset from UTC", hint="write it as 2026-05-09T14:22:31Z")
    return stamp
