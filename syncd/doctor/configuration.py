"""The configuration, as far as it can be judged without network or database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from syncd.config import PREFIX, SECRET_FILES, SECRETS, Settings, examine, shown, variable
from syncd.credentials.vault import parse_keys
from syncd.errors import ConfigError
from syncd.findings import Finding

TOPIC = "configuration"
# What the work itself lacks without them; contracts/revento.md §5.
NEEDED = {
    "revento.api_url": "an installation can be added with --api-url only",
    "revento.auth_url": "an installation can be added with --auth-url only",
    "revento.client_id": "no access token can be renewed, and each lives an hour",
    "revento.client_secret": "no access token can be renewed, and each lives an hour",
}


def read_configuration(path: Path | None, environ: Mapping[str, str]) -> tuple[Settings | None, list[Finding]]:
    """The settings, None when there are none to be had, and what is to be said of them."""
    try:
        read = examine(path, environ)
    except ConfigError as error:
        read = [error]
    if isinstance(read, list):
        return None, [_wrong(str(problem), problem.hint) for problem in read]
    return read, [_read(read), *check_configuration(read, environ)]


def check_configuration(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """What is wrong with settings that could be read, or is missing for real work."""
    origins = {key: origin for key, _, origin in shown(settings)}
    return [
        *_pooler(settings, origins),
        *_keys(settings, origins),
        *_needed(origins),
        *_open_files(_secret_files(settings, origins, environ)),
    ]


def _read(settings: Settings) -> Finding:
    number = sum(origin != "default" for _, _, origin in shown(settings))
    source = f"the file {settings.source_path}" if settings.source_path else "no file"
    return Finding(TOPIC, "ok", f"the configuration can be read ({source}; keys set: {number})")


def _pooler(settings: Settings, origins: Mapping[str, str]) -> Iterator[Finding]:
    database = settings.database
    if database.url is None and database.direct_url is not None:
        yield Finding(
            TOPIC, "warning", f"database.direct_url ({origins['database.direct_url']}) is set without database.url: "
            "the embedded database is used", "set database.url too, or remove database.direct_url",
        )  # fmt: skip


def _keys(settings: Settings, origins: Mapping[str, str]) -> Iterator[Finding]:
    keys = settings.security.encryption_keys
    if keys is None:
        if settings.database.url is not None:
            yield _wrong(
                "security.encryption_keys is not set, and credentials are stored only encrypted",
                'make one with `echo "k1:$(head -c 32 /dev/urandom | base64)"`, keep it safe, and give it as '
                "SYNCD_SECURITY__ENCRYPTION_KEYS",
            )
        return
    try:
        parse_keys(keys.get_secret_value())
    except ConfigError as error:
        yield _wrong(f"{origins['security.encryption_keys']}: {error}", error.hint)


def _needed(origins: Mapping[str, str]) -> Iterator[Finding]:
    for key, consequence in NEEDED.items():
        if origins[key] == "default":
            yield Finding(TOPIC, "warning", f"{key} is not set: {consequence}", f"set {variable(key)}")


def _secret_files(
    settings: Settings, origins: Mapping[str, str], environ: Mapping[str, str]
) -> Iterator[tuple[str, Path]]:
    """Files that hold a secret, with what names them."""
    file = settings.source_path
    if file and any(SECRETS[key] and origin == str(file) for key, origin in origins.items()):
        yield "the configuration file", file
    for name in environ:
        if name.startswith(PREFIX) and name in SECRET_FILES and environ[name]:
            yield f"the file of {name}", Path(environ[name])


def _open_files(files: Iterable[tuple[str, Path]]) -> Iterator[Finding]:
    for what, path in files:
        if path.stat().st_mode & 0o077:
            yield Finding(TOPIC, "warning", f"{what} holds a secret and can be read by others", f"chmod 600 {path}")


def _wrong(sentence: str, fix: str | None) -> Finding:
    return Finding(TOPIC, "wrong", sentence, fix)
