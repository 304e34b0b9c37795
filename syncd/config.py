"""Frozen settings: a TOML file, over it environment variables, over neither a surprise (docs/interface.md §1).

What is misspelt is refused with the nearest known name. No message, `repr` or cause ever shows a secret's value.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

from pydantic import (
    BaseModel,
    PrivateAttr,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, InitSettingsSource, SettingsConfigDict

from syncd.bind import CONFIG_VARIABLE, config_file, read_toml
from syncd.config_groups import (
    Daemon,
    Database,
    Dispatch,
    Freshness,
    Http,
    Log,
    Removals,
    Revento,
    Security,
)
from syncd.config_types import secret_file, show_duration
from syncd.errors import ConfigError

PREFIX = "SYNCD_"

# Public names of docs/interface.md §1 whose parts this version does not have.
LATER = (
    *("security.pseudonym_keys", "http.admin_token", "http.viewer_token", "http.public_url", "dispatch.mode"),
    *("revento.webhook_secrets", "inevent", "revvvs", "revdesk", "privacy", "retention"),
)


class Settings(BaseSettings):
    """All that can be configured; made by `load`, which knows where each value came from."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", hide_input_in_errors=True
    )

    database: Database = Database()
    security: Security = Security()
    http: Http = Http()
    revento: Revento = Revento()
    freshness: Freshness = Freshness()
    removals: Removals = Removals()
    daemon: Daemon = Daemon()
    dispatch: Dispatch = Dispatch()
    log: Log = Log()

    _source_path: Path | None = PrivateAttr(None)
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def source_path(self) -> Path | None:
        """The file that was read; None when there was none."""
        return self._source_path


def _leaves(group: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, bool]]:
    """Each key below a group with whether it is a secret, in the order of the page."""
    for name, field in group.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _leaves(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, SecretStr in get_args(field.annotation)


def variable(key: str) -> str:
    """The environment variable of a key: `http.bind` -> `SYNCD_HTTP__BIND`."""
    return PREFIX + key.replace(".", "__").upper()


SECRETS = dict(_leaves(Settings))  # key -> is it a secret
VARIABLES = {variable(key): key for key in SECRETS}
LOOK = "docs/interface.md says of every key what it may be"
SECRET_FILES = {f"{variable(key)}_FILE": variable(key) for key, secret in SECRETS.items() if secret}


# --- reading --------------------------------------------------------------------------------------------------------


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of a process. Raises ConfigError that names file or variable, key, what is wrong and what to do."""
    read = examine(path, environ)
    if isinstance(read, Settings):
        return read
    hints = dict.fromkeys(problem.hint for problem in read if problem.hint)
    raise ConfigError("\n".join(map(str, read)), hint="; ".join(hints))


def examine(path: Path | None, environ: Mapping[str, str]) -> Settings | list[ConfigError]:
    """The settings, or everything that is wrong with them. Raises ConfigError when the file cannot be read."""
    file = config_file(path, environ)
    tables = read_toml(file)
    problems: list[ConfigError] = []
    origins = {key: str(file) for key in _known_keys(tables, file, problems)}
    variables = EnvSettingsSource(Settings)
    values: dict[str, str | None] = {}
    for name, (text, origin) in _variables(environ, problems).items():
        values[name.lower()] = text
        origins[VARIABLES[name]] = origin
    variables.env_vars = values
    try:
        sources = (variables, InitSettingsSource(Settings, tables))
        settings = Settings(_build_sources=(sources, {}))  # type: ignore[call-arg]  # mypy knows the fields only
    except ValidationError as error:
        wrong = (each for each in error.errors(include_input=False) if each["type"] != "extra_forbidden")
        return problems + [ConfigError(_sentence(each, origins, file), hint=LOOK) for each in wrong]
    settings._source_path, settings._origins = file, origins
    return [*problems, *_no_way_past_pooler(settings)] or settings


def _no_way_past_pooler(settings: Settings) -> Iterator[ConfigError]:
    """Migrations need a session of their own, which a transaction pooler does not give."""
    if settings.database.pooler == "transaction" and settings.database.direct_url is None:
        yield ConfigError(
            'database.pooler is "transaction", and database.direct_url is not set: migrations cannot pass a pooler',
            hint=f"set {variable('database.direct_url')} to the address of PostgreSQL itself, past the pooler",
        )


def shown(settings: Settings) -> list[tuple[str, str, str]]:
    """Each key with its value as text and its origin (`default`, the file, or the variable); secrets: set / not set."""
    return [(key, _text(key, _value(settings, key)), settings._origins.get(key, "default")) for key in SECRETS]


def _value(settings: Settings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _text(key: str, value: object) -> str:
    if value is None:
        return "not set"
    if SECRETS[key]:
        return "set"
    return show_duration(value) if isinstance(value, timedelta) else str(value)


def _flat(tables: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tables.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def _known_keys(tables: Mapping[str, Any], file: Path | None, problems: list[ConfigError]) -> list[str]:
    groups = {key.rpartition(".")[0] for key in SECRETS}
    keys = [key for key in _flat(tables) if key not in groups]  # an empty table says nothing
    problems += [_unknown(f"{file}: {key}", key, nearest=_nearest(key, SECRETS)) for key in keys if key not in SECRETS]
    return [key for key in keys if key in SECRETS]


def _variables(environ: Mapping[str, str], problems: list[ConfigError]) -> dict[str, tuple[str, str]]:
    """Each variable that is set and not empty, with its text and the name it came by (`…_FILE` for a file's)."""
    found: dict[str, tuple[str, str]] = {}
    for name in environ:
        if name.startswith(PREFIX) and name != CONFIG_VARIABLE:
            try:
                _read_variable(name, environ[name], found)
            except ConfigError as error:
                problems.append(error)
    return found


def _read_variable(name: str, text: str, found: dict[str, tuple[str, str]]) -> None:
    if name not in VARIABLES and name not in SECRET_FILES:
        key = name.removeprefix(PREFIX).lower().replace("__", ".").removesuffix("_file")
        raise _unknown(name, key, nearest=_nearest(name, VARIABLES))
    target = SECRET_FILES.get(name, name)
    if text and target in found:
        raise ConfigError(f"{target} and {target}_FILE are both set", hint="keep one of them")
    if text:
        found[target] = (text if target == name else secret_file(name, Path(text)), name)


def _nearest(name: str, known: Mapping[str, object]) -> str:
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0)))


def _unknown(where: str, key: str, nearest: str) -> ConfigError:
    if any(f"{key}.".startswith(f"{later}.") for later in LATER):
        return ConfigError(f"{where} is not supported by this version", hint="remove it")
    return ConfigError(f"{where} is not a known setting", hint=f"did you mean {nearest}?")


def _sentence(problem: Mapping[str, Any], origins: Mapping[str, str], file: Path | None) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    origin = origins.get(key, str(file))
    cause = problem.get("ctx", {}).get("error")
    wrong = str(cause) if cause else problem["msg"].replace("Input should be", "must be")
    return f"{origin}: {wrong}" if origin == variable(key) else f"{origin}: {key}: {wrong}"
