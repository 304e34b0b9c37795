"""The credentials file of `syncd installations add` (docs/interface.md §2): a token reply and what it opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from syncd.errors import ApiError, ConfigError, NeedsAuthorization
from syncd.model import Consenter
from syncd.wire.tokens import TokenResponse, Tokens, read_tokens

_FORM = "the file is the JSON reply of the token endpoint: access_token, refresh_token, expires_in, scope, event_id, …"

# An id is a part of every key, and PostgreSQL's indexes take some 2,700 bytes.
LONGEST_ID = 200
_TEXTS = ("access_token", "refresh_token", "scope", "event_id", "user_id", "organization_id")


@dataclass(frozen=True, slots=True)
class _Misplaced:
    """How the tokens of the other kind begin (contracts/revento.md §2), and what to say of one."""

    prefix: str
    sentence: str
    hint: str


_MISPLACED: Mapping[Consenter, _Misplaced] = {
    "organizer": _Misplaced(
        "rev_user_",
        "this is a participant's token, and an event is opened by an installation token",
        "give the token reply that an organizer's consent to the event brought",
    ),
    "participant": _Misplaced(
        "rev_install_",
        "this is an installation token, and a participant's own data are opened by a user token",
        "give the token reply that the participant's consent brought, or add it as `revento`",
    ),
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A token pair and the account that it opens, which is these ids by their names."""

    ids: Mapping[str, str]
    organization_id: str | None
    tokens: Tokens
    obtained_at: datetime | None = None  # None: it is not said, so just now

    @property
    def account(self) -> str:
        """The ids, joined."""
        return "/".join(self.ids.values())


class _File(TokenResponse):
    event_id: str | None = None
    organization_id: str | None = None
    obtained_at: datetime | None = None


def read_credentials(
    document: bytes,
    *,
    now: datetime,
    account: Sequence[str] = ("event_id",),
    consenter: Consenter = "organizer",
    name: str = "the credentials",
) -> Credentials:
    """Read the file; `expires_in` counts from `obtained_at`, or else from now. `name` is what messages call the file.

    `account` are the names of the ids that the source's accounts are made of, `consenter` whose tokens open them.
    Raises ConfigError, NeedsAuthorization for a token of the other kind; shows no secret.
    """
    if not document.strip():
        raise ConfigError(f"{name}: empty", hint=_FORM)
    try:
        file = msgspec.json.decode(document, type=_File)
        _require_text(file, name)
        obtained_at = _zoned(file.obtained_at)
        tokens = read_tokens(file, None, now=obtained_at or now)
    except msgspec.ValidationError as error:  # names fields and types, never a value
        raise ConfigError(f"{name}: {error}", hint=_FORM) from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: not JSON ({error})", hint=_FORM) from error
    except ApiError as error:
        raise ConfigError(f"{name}: {error}", hint=_FORM) from error
    _require_kind(tokens, consenter)
    ids = {each: _require_id(getattr(file, each), each, name) for each in account}
    return Credentials(ids, file.organization_id, tokens, obtained_at)


def _require_kind(tokens: Tokens, consenter: Consenter) -> None:
    misplaced = _MISPLACED[consenter]
    if tokens.access_token.startswith(misplaced.prefix):
        raise NeedsAuthorization(misplaced.sentence, hint=misplaced.hint)


def _require_text(file: _File, name: str) -> None:
    for field in _TEXTS:
        if "\0" in str(getattr(file, field) or ""):
            raise ConfigError(f"{name}: {field} holds a NUL character", hint=_FORM)


def _require_id(value: object, field: str, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{name}: {field} is missing", hint=_FORM)
    if value in (".", "..") or len(value) > LONGEST_ID:
        raise ConfigError(
            f"{name}: {field} {value[:20]!r} is none of Revento's ids", hint="copy it from the token reply"
        )
    if "/" in value:
        raise ConfigError(
            f"{name}: {field} {value!r} holds a slash, and is none of Revento's ids",
            hint="copy the id alone, as the token reply gives it, not an address",
        )
    return value


def _zoned(stamp: datetime | None) -> datetime | None:
    if stamp is not None and stamp.tzinfo is None:
        raise ConfigError("obtained_at has no offset from UTC", hint="write it as 2026-05-09T14:22:31Z")
    return stamp
