"""What --help says, and how little it costs to ask."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from syncd.cli import syncd as root
from syncd.cli.session import Session
from tests.cli.conftest import Syncd

HEAVY = ("alembic", "cryptography", "httpx", "pydantic", "psycopg", "rich", "sqlalchemy", "structlog")


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Each command below this one, itself included, with its help."""
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from commands(child, click.Context(child, info_name=name, parent=context))


EVERY = dict(
    commands(root, click.Context(root, info_name="syncd", obj=Session(), **root.context_settings, terminal_width=80))
)


@pytest.mark.parametrize("path", EVERY)
def test_every_help_ends_with_an_example_of_the_command(path: str) -> None:
    text, example = EVERY[path].rsplit("\nExample:\n", 1)
    assert any(line.split(" --")[0].strip().startswith("syncd") or "syncd" in line for line in example.splitlines())
    assert "-h, --help" in text
    assert max(len(line) for line in EVERY[path].splitlines()) <= 80


def test_the_commands_of_the_interface_that_exist_are_listed() -> None:
    wanted = {"sandbox", "serve", "demo", "sync", "backfill", "status", "limits", "installations", "requests", "db"}
    wanted |= {"runs", "deletes", "quarantine", "cursor", "verify", "doctor"}
    assert wanted <= set(root.list_commands(click.Context(root)))


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["db", "-h"], ["sync", "--help"]])
def test_help_is_data_and_ends_with_0(syncd: Syncd, arguments: list[str]) -> None:
    ended = syncd(*arguments)
    assert (ended.exit_code, ended.err) == (0, "")
    assert ended.out.startswith("Usage: syncd ")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["healthcheck"]])
def test_the_cheap_commands_import_nothing_heavy(syncd: Syncd, arguments: list[str]) -> None:
    program = f"import sys; from syncd.cli import main; main({arguments!r}); print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True,
        cwd=syncd.folder, env=syncd.environment({"SYNCD_HTTP__BIND": "127.0.0.1:1"}),
    )  # fmt: skip
    assert set(ran.stdout.splitlines()[-1].split()) & set(HEAVY) == set()


def test_no_command_at_all_is_a_usage_error(syncd: Syncd) -> None:
    ended = syncd()
    assert (ended.exit_code, ended.out) == (2, "")
    assert "Commands:" in ended.err
