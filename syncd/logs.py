"""One line an event, JSON for machines and text for people, without a secret and without a forged line.

Our events and those of the libraries pass the same processors, so that redaction has one door (faults 93, 117, 118).
The keys of a line, units as suffix: ts, level, event, run_id, installation, stream, request_id, endpoint, http_status,
error_code, rate_limit, rate_remaining, rate_reset_at, duration_s, token_fp.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from typing import Literal, TextIO

import structlog
from structlog.contextvars import bound_contextvars
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

__all__ = ["bound_contextvars", "configure", "get_logger", "redact"]

get_logger: Callable[..., FilteringBoundLogger] = structlog.get_logger

REDACTED = "[redacted]"

# At INFO these print whole URLs, and SQL with its parameters.
QUIET = ("aiohttp", "apscheduler", "uvicorn", "httpcore", "httpx", "sqlalchemy")

_NAME = r"[\w-]*(?:secret|password|access_token|refresh_token|code_verifier|api_key|encryption_keys)"
_IS_SECRET_NAME = re.compile(rf"{_NAME}|authorization|token", re.IGNORECASE)
_QUOTED = r"""\\+".*?\\+"|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
_RULES = (
    # Tokens by their prefixes: contracts/revento.md §2, §3.
    (re.compile(r"\b(rev_(?:install|user|refresh)_)[\w.~+/=-]+"), rf"\1{REDACTED}"),
    (
        re.compile(r"""(authorization(?:\\*["'])?\s*[:=,]\W{0,5})(?:(?:Bearer|Basic)\s+)?[\w.~+/=-]+""", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"\b(Bearer|Basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # name=value, "name": "value", 'name': b'value', \\"name\\": \\"value\\"
    (
        re.compile(rf"""({_NAME}(?:\\*["'])?\s*[=:]\s*)b?(?:{_QUOTED}|[^\s&,;}}"'\\]+)""", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"([?&](?:code|state|token)=)[^\s&\"']+"), rf"\1{REDACTED}"),
    # scheme://user:password@host; the last @ ends the password
    (re.compile(r"([a-z][a-z0-9+]*://[^\s:/@]*:)\S+@", re.IGNORECASE), rf"\1{REDACTED}@"),
    # PostgreSQL repeats whole rows in DETAIL and CONTEXT, and SQLAlchemy parameters, however they were sent.
    (
        re.compile(
            r"(DETAIL:|CONTEXT:|\[parameters:).*?(?=\n\[SQL:|\n\(Background|\n\nThe above|\n\nDuring|\n\s*\+-|\Z)", re.S
        ),
        rf"\1 {REDACTED}",
    ),
)


def redact(text: str) -> str:
    """The text without what looks like a token, a password, a client secret or a row of the database."""
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def configure(
    format: Literal["auto", "text", "json"] = "auto",
    level: str = "info",
    stream: TextIO = sys.stderr,
) -> None:
    """Send every event of this process to `stream`, one line each; calling again replaces what was set.

    `auto` writes text on a terminal, JSON elsewhere. Text has colour on a terminal unless NO_COLOR is set.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    as_text = format == "text" or (format == "auto" and stream.isatty())
    colors = stream.isatty() and not os.environ.get("NO_COLOR")
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    structlog.configure(
        processors=[*shared, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.add_logger_name],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.StackInfoRenderer(),
                structlog.processors.format_exc_info,  # the interpreter's own traceback: it prints no locals
                _redacted,
                *(_text(colors) if as_text else _JSON),
            ],
        )
    )
    _install(handler, threshold)


def _install(handler: logging.Handler, threshold: int) -> None:
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old.formatter, ProcessorFormatter)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(threshold)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(threshold, logging.WARNING))


def _redacted(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: _plain(value, name) for name, value in event.items()}


def _plain(value: object, name: str = "") -> object:
    """The value as JSON knows it, each text in it redacted; what has no such form becomes its text first."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if _IS_SECRET_NAME.fullmatch(name):
        return REDACTED
    if isinstance(value, Mapping):
        return {redact(str(key)): _plain(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return redact(str(value))


def _ordered(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    return {name: event[name] for name in ("ts", "level", "event") if name in event} | dict(event)


_JSON: tuple[Processor, ...] = (_ordered, structlog.processors.JSONRenderer())


def _text(colors: bool) -> tuple[Processor, ...]:
    return (
        _one_line,
        structlog.dev.ConsoleRenderer(
            colors=colors,
            timestamp_key="ts",
            exception_formatter=structlog.dev.plain_traceback,
            pad_level=False,
            pad_event_to=0,
        ),
    )


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what would start a line or move a terminal; tracebacks keep their lines, none at the margin."""
    return {
        str(_visible(name)): _indented(value) if name in {"exception", "stack"} else _visible(value)
        for name, value in event.items()
    }


def _visible(value: object) -> object:
    if isinstance(value, str):
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in value)
    return value if value is None or isinstance(value, bool | int | float) else _visible(str(value))


def _indented(value: object) -> str:
    return "\n".join(f"  {_visible(line)}" for line in str(value).splitlines())
