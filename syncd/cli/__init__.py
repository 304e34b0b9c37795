"""The command line: arguments in, a call, text or JSON out. Modules are imported when their command is.

Data goes to stdout, all else to stderr; exit codes are those of docs/interface.md §3.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from syncd import __version__
from syncd.cli.command import LazyGroup
from syncd.cli.session import Session
from syncd.cli.signals import catch_signals

# In the order of --help.
COMMANDS = {
    "demo": "syncd.cli.demo:demo",
    "sandbox": "syncd.cli.sandbox:sandbox",
    "serve": "syncd.cli.serve:serve",
    "sync": "syncd.cli.sync:sync",
    "backfill": "syncd.cli.sync:backfill",
    "status": "syncd.cli.status:status",
    "limits": "syncd.cli.limits:limits",
    "connect": "syncd.cli.connect:connect",
    "installations": "syncd.cli.installations:installations",
    "runs": "syncd.cli.runs:runs",
    "requests": "syncd.cli.requests:requests",
    "keys": "syncd.cli.keys:keys",
    "deletes": "syncd.cli.deletes:deletes",
    "verify": "syncd.cli.verify:verify",
    "quarantine": "syncd.cli.quarantine:quarantine",
    "cursor": "syncd.cli.cursor:cursor",
    "db": "syncd.cli.db:db",
    "config": "syncd.cli.config:config",
    "schema": "syncd.cli.schema:schema",
    "doctor": "syncd.cli.doctor:doctor",
    "healthcheck": "syncd.cli.healthcheck:healthcheck",
    "completion": "syncd.cli.completion:completion",
}


@click.group(
    cls=LazyGroup,
    commands_by_name=COMMANDS,
    example="syncd installations add revento --credentials token.json\nsyncd sync",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--config", type=click.Path(path_type=Path), metavar="FILE", help="Settings, instead of the usual places."
)
@click.option("-q", "--quiet", "level", flag_value="warning", help="No progress and no notices.")
@click.option("-v", "--verbose", "level", flag_value="debug", help="Log everything, tracebacks included.")
@click.option("--no-color", is_flag=True, help="No colour, as with NO_COLOR set.")
@click.option("--no-input", is_flag=True, help="Never wait for somebody to type.")
@click.version_option(__version__, prog_name="syncd", message="%(prog)s %(version)s")
@click.pass_obj
def syncd(
    session: Session, config: Path | None, level: Literal["warning", "debug"] | None, no_color: bool, no_input: bool
) -> None:
    """Keep a PostgreSQL warehouse in step with event-platform REST APIs."""
    session.config, session.level, session.no_input = config, level, no_input
    if no_color:
        os.environ["NO_COLOR"] = "1"


def _open_closed() -> None:
    """A stream that was closed before we began is none in Python; then nobody reads it."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for good
    sys.stderr = sys.stderr or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the process's exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    session = Session()
    _open_closed()
    catch_signals()
    try:
        code = syncd.main(arguments, prog_name="syncd", obj=session, standalone_mode=False)
        sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:
        from syncd.cli.failure import report

        return report(error, session, arguments)
    return code or 0
