"""`syncd config`: what is in force, where it came from, and what is wrong with it."""

from __future__ import annotations

import click

from syncd.cli.command import Group
from syncd.cli.session import Session, pass_session
from syncd.cli.text import Listing


@click.group(cls=Group, example="syncd config show")
def config() -> None:
    """Show and check the settings that are in force."""


@config.command(example="syncd --config syncd.toml config show --json")
@pass_session
def show(session: Session) -> None:
    """Show each setting, its value and its origin; of a secret only whether it is set."""
    from syncd.config import shown

    settings = session.settings()
    rows = shown(settings)
    session.note(f"read from {settings.source_path}" if settings.source_path else "no configuration file")
    session.answer(
        {
            "file": settings.source_path,
            "settings": {key: {"value": value, "origin": origin} for key, value, origin in rows},
        },
        Listing(("KEY", "VALUE", "ORIGIN"), [(key, value, _origin(origin)) for key, value, origin in rows]),
    )


@config.command(example="syncd --config syncd.toml config check && syncd serve")
@pass_session
def check(session: Session) -> int:
    """Check the settings, without network or database.

    Everything that is wrong, and what is missing for real work. The exit code is 2 if something is wrong.
    """
    import os

    from syncd.cli.findings import show as show_findings
    from syncd.doctor.configuration import read_configuration

    _, findings = read_configuration(session.config, os.environ)
    return show_findings(session, findings)


def _origin(origin: str) -> str:
    return "variable" if origin.startswith("SYNCD_") else origin
