"""What holds for every command: JSON that parses, the same exit code with and without it, data alone on stdout."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from syncd.cli import syncd as root
from syncd.cli.session import Session
from tests.cli.conftest import Remote, Syncd
from tests.sampling import sampled

Query = Callable[..., list[tuple[Any, ...]]]

# Commands that run until they are stopped, or become another program; tests of their own watch them.
OTHERS = {"connect revento", "demo", "sandbox", "serve", "db psql", "db start", "db stop", "completion"}
# What each is asked. NAME is the installation, RUN and REQUEST what a first round has left behind.
CALLS: dict[str, list[str]] = {
    "sync": ["sync", "NAME", "--stream", "roles"],
    "backfill": ["backfill", "NAME", "--stream", "roles"],
    "status": ["status"],
    "limits": ["limits"],
    "installations list": ["installations", "list"],
    "installations add": ["installations", "add", "revento", "--credentials", "-", "--name", "second"],
    "installations discover": ["installations", "discover"],
    "installations show": ["installations", "show", "NAME"],
    "installations check": ["installations", "check"],
    "installations pause": ["installations", "pause", "NAME"],
    "installations resume": ["installations", "resume", "NAME"],
    "installations remove": ["installations", "remove", "NAME"],
    "runs list": ["runs", "list"],
    "runs show": ["runs", "show", "RUN"],
    "runs cancel": ["runs", "cancel", "RUN"],
    "runs retry": ["runs", "retry", "RUN"],
    "requests list": ["requests", "list"],
    "requests find": ["requests", "find", "REQUEST"],
    "deletes list": ["deletes", "list"],
    "deletes accept": ["deletes", "accept", "NAME", "--yes"],
    "deletes reject": ["deletes", "reject", "NAME"],
    "verify": ["verify", "NAME", "--stream", "roles"],
    "quarantine list": ["quarantine", "list"],
    "quarantine replay": ["quarantine", "replay", "NAME"],
    "quarantine drop": ["quarantine", "drop", "NAME", "--all"],
    "cursor show": ["cursor", "show"],
    "cursor reset": ["cursor", "reset", "NAME"],
    "keys rotate": ["keys", "rotate"],
    "db restored": ["db", "restored", "--yes"],
    "doctor": ["doctor"],
    "schema": ["schema"],
    "config check": ["config", "check"],
    "db check": ["db", "check"],
    "db views": ["db", "views"],
    "db upgrade": ["db", "upgrade"],
    "db current": ["db", "current"],
    "db url": ["db", "url"],
    "db grants": ["db", "grants"],
    "config show": ["config", "show"],
    "healthcheck": ["healthcheck"],
}
EXPECTED = {"healthcheck": 6, "installations discover": 2, "installations remove": 2, "doctor": 6}


def leaves(command: click.Command, context: click.Context) -> Iterator[str]:
    """The paths of all commands below this one."""
    if not isinstance(command, click.Group):
        yield context.command_path.removeprefix("syncd ")
        return
    for name in command.list_commands(context):
        child = command.get_command(context, name)
        assert child is not None
        yield from leaves(child, click.Context(child, info_name=name, parent=context))


def test_every_command_is_asked() -> None:
    every = set(leaves(root, click.Context(root, info_name="syncd", obj=Session())))
    assert every - OTHERS == set(CALLS)


@pytest.fixture
def ask(connected: Syncd, remote: Remote, query: Query) -> Callable[..., Any]:
    """Ask one of CALLS, after a round has left something behind."""
    assert connected("sync", "--stream", "roles").exit_code == 0
    if query(
        "SELECT FROM pg_roles WHERE rolname = 'syncd_bi'"
    ):  # of another test on this server: it wants its rights here
        assert connected("db", "grants").exit_code == 0
    ((run, request),) = query("SELECT run_id::text, request_id::text FROM syncd.run_streams")
    names = {"NAME": f"revento/{remote.event_id}", "RUN": run, "REQUEST": request}

    def call(path: str, *options: str) -> Any:
        # nobody listens on port 1
        arguments = [names.get(word, word) for word in CALLS[path]]
        return connected(*options, *arguments, stdin=remote.token(), SYNCD_HTTP__BIND="127.0.0.1:1")

    return call


@pytest.mark.parametrize("path", sampled(CALLS))
def test_a_command_answers_alike_in_text_and_json(path: str, ask: Callable[..., Any]) -> None:
    told = ask(path)
    document = ask(path, "--json")
    assert told.exit_code == document.exit_code == EXPECTED.get(path, 0)
    assert [type(json.loads(line)) for line in document.out.splitlines()] != []
    quiet = ask(path, "-q")
    assert quiet.exit_code == told.exit_code
    assert quiet.err == "" or told.exit_code == 2, "a mistake is told in any case"
    # what -q leaves out was never on stdout
    assert len(quiet.out.splitlines()) == len(told.out.splitlines())
