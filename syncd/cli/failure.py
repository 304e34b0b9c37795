"""What goes wrong, told in one sentence and a hint: on stderr, or with --json as a document on stdout."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from syncd.cli.session import Session
from syncd.cli.signals import Stopped
from syncd.cli.text import visible, write_error, write_json
from syncd.errors import SyncdError


@dataclass(frozen=True, slots=True)
class Failure:
    """A sentence, what to do, and the exit code."""

    message: str
    hint: str | None
    exit_code: int


def report(error: BaseException, session: Session, arguments: Sequence[str]) -> int:
    """Tell a person or a program of the error and return its exit code. Shows no secret."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    failure = explain(error)
    is_of_output = _has_no_room(error)
    if is_of_output:
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - or what it holds would fail at the exit
    with suppress(OSError):  # nobody is left to read it: the pipe or the terminal was closed
        if not is_of_output and (session.json or "--json" in arguments):
            write_json(document(failure))
        elif isinstance(error, Stopped):  # as asked, so no error
            click.echo(failure.message, err=True)
        else:
            write_error(failure.message, failure.hint)
        if session.level == "debug":
            click.echo(_traceback(error), err=True)
    return failure.exit_code


def _has_no_room(error: BaseException) -> bool:
    """Whether it is of what goes to stdout: a file would be named."""
    no_room = {errno.ENOSPC, errno.EDQUOT, errno.EIO}
    return isinstance(error, OSError) and error.errno in no_room and error.filename is None


def document(failure: Failure) -> dict[str, object]:
    """The failure as the last line of a long work's output; a single document is the same."""
    return {
        "type": "result",
        "status": "failed",
        "exit": failure.exit_code,
        "error": failure.message,
        "hint": failure.hint,
        "streams": [],
    }


def explain(error: BaseException) -> Failure:
    """The failure that stands for an error; of an unexpected one the traceback is kept in a file."""
    match error:
        case SyncdError():
            return Failure(clean(str(error)), error.hint and clean(error.hint), error.exit_code)
        case Stopped():
            return Failure(str(error), None, error.exit_code)
        case click.UsageError():
            path = error.ctx.command_path if error.ctx else "syncd"
            return Failure(clean(error.format_message()), f"`{path} --help` shows how it is used", error.exit_code)
        case click.ClickException():
            return Failure(clean(error.format_message()), None, error.exit_code)
        case OSError() if _has_no_room(error):
            return Failure(f"the output cannot be written: {error.strerror}", "free space where it goes", 1)
    name = type(error).__name__
    return Failure(f"internal error: {clean(f'{name}: {error}')}", f"the traceback is in {_kept(error)}", 1)


def clean(text: str) -> str:
    """The text without a secret in it, nor what would move a terminal's cursor."""
    from syncd.logs import redact

    return "\n".join(visible(line) for line in redact(text).splitlines())


def _traceback(error: BaseException) -> str:
    from syncd.logs import redact

    return redact("".join(traceback.format_exception(error)))


def _kept(error: BaseException) -> str:
    number, path = tempfile.mkstemp(prefix="syncd-error-", suffix=".txt")  # 0600
    with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"syncd {' '.join(sys.argv[1:2])}\n{_traceback(error)}")
    return path
