"""Commands and groups whose --help ends with an example, that take --json, and are imported when they are needed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from syncd.cli.session import Session
from syncd.errors import ConfigError


def _remember_json(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Session).json = True


def _json_option() -> click.Option:
    return click.Option(
        ["--json"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_remember_json,
        help="Answer in JSON; the exit code is the same.",
    )


def _write_example(example: str, formatter: click.HelpFormatter) -> None:
    with formatter.section("Example"):
        for line in example.splitlines():
            formatter.write(f"  {line}\n")


class Command(click.Command):
    """A command with an example; `json=False` for one that has nothing to answer in JSON."""

    def __init__(self, *arguments: Any, example: str, json: bool = True, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.example = example
        if json:
            self.params.append(_json_option())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        _write_example(self.example, formatter)


def _did_you_mean(group: click.Group, context: click.Context, name: str) -> str:
    """The nearest command of the group, else the one of that name in a group below it, else where to look."""
    path, known = context.command_path, group.list_commands(context)
    near = [f"`{path} {each}`" for each in difflib.get_close_matches(name, known, n=2)]
    for inner_name in known if not near else ():
        inner = group.get_command(context, inner_name)
        if isinstance(inner, click.Group) and inner.get_command(context, name) is not None:
            near.append(f"`{path} {inner_name} {name}`")
    return f"did you mean {' or '.join(near)}?" if near else f"`{path} --help` lists the commands"


class Group(click.Group):
    """A group with an example, of commands with one."""

    command_class = Command

    def __init__(self, *arguments: Any, example: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.example = example
        self.params.append(_json_option())

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example."""
        _write_example(self.example, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that is meant. Raises ConfigError with the nearest one."""
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and self.get_command(ctx, name) is None:
            raise ConfigError(f"No such command '{name}'", hint=_did_you_mean(self, ctx, name))
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group whose commands are imported when they are asked for: name -> "module:command"."""

    def __init__(self, *arguments: Any, commands_by_name: Mapping[str, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.commands_by_name = commands_by_name

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the list."""
        return list(self.commands_by_name)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        place = self.commands_by_name.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command
