"""The forms that a setting's value can have, each with the check that it must pass.

A check raises ValueError with what is wrong, never with the value itself: it may be a secret.
"""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from syncd.bind import parse_bind
from syncd.errors import ConfigError

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: object) -> timedelta:
    """A positive whole number with its unit: `30s`, `15m`, `6h`, `1d`. Raises ValueError."""
    found = re.fullmatch(r"([0-9]+)([smhd])", text) if isinstance(text, str) else None
    if found is None:
        raise ValueError("must be a whole number with its unit, such as 30s, 15m, 6h or 1d")
    if not re.fullmatch("[1-9][0-9]{0,5}", found[1]):
        raise ValueError("must be between 1 and 999999 of its unit, such as 30s, 15m, 6h or 1d")
    return timedelta(seconds=int(found[1]) * UNITS_S[found[2]])


def show_duration(duration: timedelta) -> str:
    """The shortest text that `parse_duration` reads back, in the largest unit that divides it."""
    seconds = int(duration.total_seconds())
    unit = next(unit for unit, size_s in reversed(UNITS_S.items()) if seconds % size_s == 0)
    return f"{seconds // UNITS_S[unit]}{unit}"


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine, without asking a resolver."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def base_url(text: str) -> str:
    """An API's base URL, without a slash at its end. Raises ValueError, never with the URL's text.

    Anything but https is refused, loopback hosts apart: a token would cross the network in the clear.
    """
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a full address, such as https://api.example.com/v1")
    if parts.username is not None or parts.query or parts.fragment or re.search(r"\s", text):
        raise ValueError("must hold no user, password, query, fragment or space")
    _ = parts.port  # raises ValueError unless it is a port
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must begin with https://; http:// is for loopback hosts only")
    return text.rstrip("/")


def redirect_uri(text: str | None) -> str | None:
    """A redirect URI, as it is registered: compared byte for byte (contracts/revento.md §3). Raises ValueError."""
    if text is None:
        return None
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.fragment or re.search(r"\s", text):
        raise ValueError("must be the full address that is registered, such as http://127.0.0.1:8440/oauth/callback")
    _ = parts.port  # raises ValueError unless it is a port
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must begin with https://; http:// is for loopback hosts only")
    return text


def _optional_base_url(text: str | None) -> str | None:
    return None if text is None else base_url(text)


def _bind(text: str) -> str:
    parse_bind(text)
    return text


def _postgresql(url: SecretStr | None) -> SecretStr | None:
    if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    return url


def _proxy(url: SecretStr | None) -> SecretStr | None:
    if url is not None and not re.match(r"https?://[^/]", url.get_secret_value()):
        raise ValueError("must begin with http:// or https://")
    return url


def secret_file(name: str, file: Path) -> str:
    """A secret file's text. The path is not shown: by mistake it may be the secret itself."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"{name}: the file it names cannot be read: {error.strerror}", hint="give the path of a readable file"
        ) from None
    except ValueError:  # not text, or a path that no system call takes
        raise ConfigError(f"{name}: does not name a text file", hint="give the path of a UTF-8 file") from None
    if not text:
        raise ConfigError(f"{name}: the file it names is empty", hint="write the secret into the file")
    return text


Address = Annotated[str, AfterValidator(_bind)]
BaseUrl = Annotated[str | None, AfterValidator(_optional_base_url)]
RedirectUri = Annotated[str | None, AfterValidator(redirect_uri)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Secret = SecretStr | None
DatabaseUrl = Annotated[Secret, AfterValidator(_postgresql)]
ProxyUrl = Annotated[Secret, AfterValidator(_proxy)]
