"""The log lines: their contract, and that neither a secret nor a forged line gets out, by whatever door it came in."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
import structlog

from syncd.logs import bound_contextvars, configure, get_logger, redact

TOKEN = "9f8e7d6c5b4a_PLANTED-leak"
log = get_logger(__name__)


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Each test leaves the process's logging as it found it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def written(format_: Any, act: Callable[[], object], level: str = "info", stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    configure(format_, level, stream)
    act()
    return stream.getvalue()


def line(act: Callable[[], object]) -> dict[str, Any]:
    """The one JSON line that `act` writes."""
    text = written("json", act)
    assert text.count("\n") == 1
    return dict(json.loads(text))


# --- the contract ---------------------------------------------------------------------------------------------------


def test_a_line_has_ts_level_event_then_context_and_values() -> None:
    def act() -> None:
        with bound_contextvars(run_id="r1", installation="revento/evt_1", stream="roles"):
            log.info("page stored", http_status=200, duration_s=0.25, request_id=UUID(int=1), rate_reset_at=None)

    found = line(act)
    assert list(found)[:3] == ["ts", "level", "event"]
    assert found.pop("ts").endswith("Z")
    assert found == {
        "level": "info", "event": "page stored", "run_id": "r1", "installation": "revento/evt_1", "stream": "roles",
        "http_status": 200, "duration_s": 0.25, "request_id": str(UUID(int=1)), "rate_reset_at": None,
    }  # fmt: skip


async def test_context_follows_its_task() -> None:
    stream = io.StringIO()
    configure("json", "info", stream)

    async def work(run_id: str) -> None:
        with bound_contextvars(run_id=run_id):
            await asyncio.sleep(0)
            log.info(run_id)

    await asyncio.gather(work("a"), work("b"))
    lines = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert [(found["event"], found["run_id"]) for found in lines] == [("a", "a"), ("b", "b")]


def test_libraries_write_the_same_lines() -> None:
    found = line(lambda: logging.getLogger("apscheduler.x").warning("job %s missed", "j1"))
    assert (found["level"], found["event"], found["logger"]) == ("warning", "job j1 missed", "apscheduler.x")


def test_auto_is_text_on_a_terminal_and_json_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert written("auto", lambda: log.info("hello")).startswith('{"ts": ')
    assert "\x1b[" in written("auto", lambda: log.info("hello"), stream=Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    text = written("auto", lambda: log.info("hello", n=1), stream=Terminal())
    assert text.endswith(" [info] hello n=1\n")
    assert "\x1b" not in text


def test_the_level_holds_for_both_kinds() -> None:
    def act() -> None:
        log.info("ours")
        logging.getLogger("somebody.else").info("theirs")

    assert written("json", act, level="warning") == ""
    assert written("json", act, level="info").count("\n") == 2


@pytest.mark.fault(117)
@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "aiohttp.client", "sqlalchemy.engine.Engine"])
def test_chatty_libraries_are_heard_from_warning_on(name: str) -> None:
    logger = logging.getLogger(name)
    assert written("json", lambda: logger.info("GET https://api.example/?token=x"), level="debug") == ""
    assert "slow" in written("json", lambda: logger.warning("slow"), level="debug")


def test_configuring_again_replaces() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure("json", "info", first)
    configure("json", "info", second)
    log.info("once")
    assert (first.getvalue(), second.getvalue().count("once")) == ("", 1)


# --- no secret ------------------------------------------------------------------------------------------------------

LEAKS = [
    f"rev_install_{TOKEN}",
    f"rev_user_{TOKEN}",
    f"x=rev_refresh_{TOKEN}&y",
    f"Authorization: Bearer {TOKEN}",
    f"{{'authorization': 'Basic {TOKEN}'}}",
    f"sent Bearer {TOKEN}.",
    f"grant_type=refresh_token&refresh_token={TOKEN}&client_id=c",
    f"client_secret={TOKEN}",
    f'{{"client_secret": "{TOKEN}"}}',
    f'{{"access_token":"two words {TOKEN}"}}',
    f'"{{\\"refresh_token\\": \\"{TOKEN}\\"}}"',
    f"{{'next_client_secret': b'{TOKEN}'}}",
    f"code_verifier: {TOKEN}",
    f"https://app.example/callback?code={TOKEN}&state=s",
    f"postgresql://syncd:{TOKEN}@db.example:5432/warehouse",
    f"postgresql+psycopg://syncd:p@ss/{TOKEN}@db.example/warehouse",
    f"http://user:{TOKEN}@proxy.example:3128",
    f"host=db password='{TOKEN}' dbname=x",
    f"SYNCD_SECURITY__ENCRYPTION_KEYS=k1:{TOKEN}",
    f"duplicate key\nDETAIL:  Key (email)=({TOKEN}) already exists.",
    f"failing row\nDETAIL:  Failing row contains (1,\n{TOKEN}).\nCONTEXT:  unnamed portal",
    f"(psycopg.Error) no\n[SQL: INSERT]\n[parameters: {{'email': '{TOKEN}'}}]\n(Background on this error at: x)",
]


def test_the_planted_leak_is_seen_without_redaction() -> None:
    assert all(TOKEN in leak for leak in LEAKS)


@pytest.mark.fault(117)
@pytest.mark.parametrize("format_", ["json", "text"])
@pytest.mark.parametrize("leak", LEAKS)
def test_no_secret_gets_out(leak: str, format_: str) -> None:
    class Odd:
        def __repr__(self) -> str:
            return leak

    def act() -> None:
        log.info(leak)
        log.info("nested", a=leak, b=[{"c": (leak, {leak})}], d={leak: 1}, e=leak.encode(), f=Odd(), g=ValueError(leak))
        logging.getLogger("uvicorn.error").error("%s", leak)
        logging.getLogger("apscheduler").error("failed", exc_info=RuntimeError(leak))
        try:
            try:
                raise ValueError(leak)
            except ValueError as error:
                raise RuntimeError("outer") from error
        except RuntimeError:
            log.exception("failed")
        with bound_contextvars(stream=leak):
            log.warning("stack", stack_info=True)

    text = written(format_, act)
    assert TOKEN not in text
    assert "redacted" in text
    assert text.count("failed") == 2


@pytest.mark.parametrize("name", ["client_secret", "token", "access_token", "Authorization", "password"])
def test_a_value_under_a_secret_name_is_hidden_whatever_it_looks_like(name: str) -> None:
    found = line(lambda: log.info("x", **{name: TOKEN, "headers": {name: [TOKEN]}}))
    assert found[name] == "[redacted]"
    assert found["headers"] == {name: "[redacted]"}


@pytest.mark.fault(117)
def test_local_variables_stay_out_of_tracebacks() -> None:
    def act() -> None:
        held = "".join(reversed(TOKEN))
        try:
            raise ValueError(len(held))
        except ValueError:
            log.exception("failed")

    found = line(act)
    assert "".join(reversed(TOKEN)) not in str(found)
    assert "ValueError" in found["exception"]


@pytest.mark.fault(93)
def test_the_first_line_of_a_database_error_stays() -> None:
    error = psycopg.errors.UniqueViolation(f"duplicate key value\nDETAIL:  Key (email)=({TOKEN}) already exists.")
    group = ExceptionGroup("two", [error, ValueError("the other one")])
    found = line(lambda: log.error("failed", exc_info=group))
    assert "duplicate key value" in found["exception"]
    assert "the other one" in found["exception"]
    assert TOKEN not in found["exception"]


@pytest.mark.parametrize(
    "text",
    [
        "wrong password for user syncd",
        "Basic auth refused",
        "the token has expired",
        "GET https://api.example:443/v1/events/evt_1/participants?limit=50&cursor=abc",
        "token_fp=ab12",
        "2 pages, 100 rows",
    ],
)
def test_prose_stays(text: str) -> None:
    assert redact(text) == text


# --- no forged line -------------------------------------------------------------------------------------------------

FORGERY = "x\n2026-01-01T00:00:00Z [error] forged\r\x1b[2K\x1b]0;t\x07\u2028\u202e\x85y"


@pytest.mark.fault(118)
def test_json_lines_cannot_be_forged() -> None:
    text = written("json", lambda: log.info(FORGERY, a=FORGERY, **{"k\nforged": {FORGERY: FORGERY}}))
    assert text.count("\n") == 1
    assert text.isascii()
    assert text.rstrip("\n").isprintable()
    assert json.loads(text)["a"] == FORGERY


@pytest.mark.fault(118)
def test_text_lines_cannot_be_forged() -> None:
    text = written("text", lambda: log.info(FORGERY, a=FORGERY, **{"k\nforged": {FORGERY: FORGERY}}))
    assert text.count("\n") == 1
    assert text.rstrip("\n").isprintable()


@pytest.mark.fault(118)
def test_a_traceback_in_text_never_reaches_the_margin() -> None:
    text = written("text", lambda: log.error("failed", exc_info=ValueError(FORGERY)))
    first, *rest = text.rstrip("\n").split("\n")
    assert "failed" in first
    assert all(found.startswith("  ") and found.isprintable() for found in rest)
