"""`syncd doctor`: everything that can be wrong, in plain words."""

from __future__ import annotations

import os

import click

from syncd.cli.command import Command
from syncd.cli.session import Session, pass_session
from syncd.cli.signals import run


@click.command(cls=Command, example="syncd doctor\nsyncd doctor --json | jq '.findings[].fix'")
@click.argument("names", nargs=-1, metavar="[INSTALLATION]...")
@pass_session
def doctor(session: Session, names: tuple[str, ...]) -> int:
    """Say what is wrong, and what to do about it.

    Configuration, database, keys, installations, freshness, daemon, leases, clock, hosts and the last hour's calls.
    Nothing is changed or started, and no call is spent. The exit code is 6 if something is wrong, 2 if it is the
    configuration, 8 if the schema is not the newest.
    """
    from syncd.cli.findings import show
    from syncd.doctor.checkup import check_server, check_work, in_order, without_settings
    from syncd.doctor.configuration import read_configuration

    settings, findings = read_configuration(session.config, os.environ)
    if settings is None:
        return show(session, findings + without_settings())
    session.settings()  # logs as they say
    database, url = check_server(settings)
    return show(session, in_order([*findings, *database, *run(check_work(settings, url, names))]))
