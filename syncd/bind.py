"""Where the configuration file is and which address the daemon listens on, with the standard library alone.

`syncd healthcheck` runs every few seconds and must not pay for the rest of the configuration; `syncd.config` reads the
file through here too, so that there is one truth.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from syncd.errors import ConfigError

DEFAULT_BIND = "127.0.0.1:8440"
BIND_VARIABLE = "SYNCD_HTTP__BIND"
CONFIG_VARIABLE = "SYNCD_CONFIG"
DEFAULT_FILES = (Path("config/syncd.toml"), Path("/etc/syncd/syncd.toml"))


def config_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: `path`, else `SYNCD_CONFIG`, else the first default file that exists, else None."""
    if path is not None:
        return path
    if named := environ.get(CONFIG_VARIABLE):
        return Path(named)
    return next((file for file in DEFAULT_FILES if file.is_file()), None)


def read_toml(file: Path | None) -> dict[str, Any]:
    """The file as nested tables; {} without a file. Raises ConfigError; the message shows no value of the file."""
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}", hint=_unreadable(error)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not UTF-8 text (byte {error.start})", hint="save the file as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file}: is not valid TOML: {error}", hint="correct that line; text needs quotes") from error


def _unreadable(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "let this account read the file and enter the folders above it"
    return f"give the path of a file in --config or {CONFIG_VARIABLE}"


def parse_bind(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8440` or `[::1]:8440`; port 0 lets the kernel choose. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not (colon and bare and port.isascii() and port.isdigit() and int(port) <= 65535) or (
        ":" in host and bare == host
    ):
        raise ValueError("must be host:port, such as 127.0.0.1:8440 or [::1]:8440")
    return bare, int(port)


def read_bind(environ: Mapping[str, str], path: Path | None = None) -> tuple[str, int]:
    """The host and port of `http.bind` as the daemon would use them, nothing else being checked. Raises ConfigError."""
    if text := environ.get(BIND_VARIABLE):
        return _checked(text, BIND_VARIABLE)
    file = config_file(path, environ)
    group = read_toml(file).get("http", {})
    text = group.get("bind", DEFAULT_BIND) if isinstance(group, dict) else None
    return _checked(text, f"{file}: http.bind")


def _checked(text: object, where: str) -> tuple[str, int]:
    try:
        return parse_bind(text if isinstance(text, str) else "")
    except ValueError as error:
        raise ConfigError(f"{where}: {error}", hint=f"write it as {DEFAULT_BIND}") from error


def reason_of(error: OSError) -> str:
    """Why an address cannot be had, without the address, which asyncio and socket write into the reason."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or "no such address"
