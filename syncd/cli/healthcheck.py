"""`syncd healthcheck`: run every few seconds by container engines, so with the standard library alone."""

from __future__ import annotations

import os

import click

from syncd.bind import read_bind
from syncd.cli.command import Command
from syncd.cli.session import Session, pass_session
from syncd.doctor.probe import ask
from syncd.errors import ConfigError

UNHEALTHY = 6


@click.command(cls=Command, example="syncd healthcheck && echo ready")
@pass_session
def healthcheck(session: Session) -> int:
    """Ask the daemon whether it is ready.

    It is asked on `http.bind`; the exit code is 6 if it is not ready, or not there.
    """
    host, port = read_bind(os.environ, session.config)
    if port == 0:
        raise ConfigError(
            "http.bind leaves the port to the kernel, so it is not known", hint="name a port in http.bind"
        )
    is_ready, says = ask(host, port)
    session.answer({"ready": is_ready, "says": says}, f"{'ready' if is_ready else 'not ready'}: {says}")
    return 0 if is_ready else UNHEALTHY
