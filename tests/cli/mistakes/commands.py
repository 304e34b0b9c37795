"""Mistakes in the command itself."""

from __future__ import annotations

import socket

from tests.cli.mistakes.scene import Scene
from tests.cli.mistakes.table import Mistake, Theme


def nothing(_: Scene) -> None:
    """The command alone is the mistake."""


def connected(scene: Scene) -> None:
    scene.connect()


def two_alike(scene: Scene) -> None:
    """Two installations whose names end alike."""
    for name in ("a/evt_x", "b/evt_x"):
        scene.give()
        added = scene.run(
            *("installations", "add", "revento", "--credentials", "token.json", "--no-check", "--name", name)
        )
        assert added.exit_code == 0


def daemon_port_taken(scene: Scene) -> None:
    """Somebody listens on http.bind."""
    assert scene.warehouse
    if not scene.is_set:
        listener = scene.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        scene.set(HTTP__BIND=f"127.0.0.1:{listener.getsockname()[1]}")


def sandbox_port_taken(scene: Scene) -> None:
    """Somebody listens on 18441."""
    if not scene.is_set:
        scene.stack.enter_context(socket.create_server(("127.0.0.1", 18441)))


THEME = Theme(
    "Commands",
    (
        Mistake(
            "A command that does not exist",
            "syncd staus",
            "No such command 'staus'",
            "did you mean `syncd status`?",
            2,
            "The name is misspelt. Where nothing is near, the hint says where all commands are listed.",
            nothing,
        ),
        Mistake(
            "A command below another that does not exist",
            "syncd db upgade",
            "No such command 'upgade'",
            "did you mean `syncd db upgrade`?",
            2,
            "The same below a group of commands.",
            nothing,
        ),
        Mistake(
            "A command without its group",
            "syncd upgrade",
            "No such command 'upgrade'",
            "did you mean `syncd db upgrade`?",
            2,
            "The command exists, but below a group.",
            nothing,
        ),
        Mistake(
            "A word that is near to nothing",
            "syncd frobnicate",
            "No such command 'frobnicate'",
            "`syncd --help` lists the commands",
            2,
            "No command is called like that.",
            nothing,
        ),
        Mistake(
            "An option that does not exist",
            "syncd status --fial-on-stale",
            "No such option '--fial-on-stale'. Did you mean '--fail-on-stale'?",
            "`syncd status --help` shows how it is used",
            2,
            "The option is misspelt.",
            nothing,
        ),
        Mistake(
            "A global option that does not exist",
            "syncd --confg syncd.toml status",
            "No such option '--confg'. ‹Did you mean …›",
            "`syncd --help` shows how it is used",
            2,
            "The option is misspelt; options of every command stand before its name.",
            nothing,
        ),
        Mistake(
            "An argument that is missing",
            "syncd installations show",
            "Missing argument 'INSTALLATION'.",
            "`syncd installations show --help` shows how it is used",
            2,
            "The command needs to be told of which installation.",
            nothing,
        ),
        Mistake(
            "An unknown installation",
            "syncd sync nobody",
            "installation 'nobody' is unknown",
            "known installations: revento/‹event id›",
            2,
            "No installation has this name, or a name that ends with it.",
            connected,
        ),
        Mistake(
            "A misspelt installation",
            "syncd sync a/evt_y",
            "installation 'a/evt_y' is unknown",
            "did you mean ‹a/evt_x or b/evt_x›?",
            2,
            "The nearest names are in the hint.",
            two_alike,
        ),
        Mistake(
            "An installation's name that fits several",
            "syncd sync evt_x",
            "installation 'evt_x' is ambiguous: 2 names end with it",
            "give more of the name: a/evt_x, b/evt_x",
            2,
            "The end of a name is enough as long as only one installation has it.",
            two_alike,
        ),
        Mistake(
            "An unknown stream",
            "syncd sync --stream participant",
            "there is no stream 'participant'",
            "there are: event, roles, participants, threads, locations, activities, waves, application, profile",
            2,
            "The name is misspelt.",
            connected,
        ),
        Mistake(
            "The daemon's port is taken",
            "syncd serve",
            "http.bind: cannot listen on 127.0.0.1:‹port› (Address already in use)",
            "is another `syncd serve` running? set SYNCD_HTTP__BIND to a free address",
            2,
            "Another process listens on `http.bind`, perhaps another `syncd serve`.",
            daemon_port_taken,
        ),
        Mistake(
            "The sandbox's port is taken",
            "syncd sandbox --port 18441",
            "cannot listen on port 18441 of 127.0.0.1 (Address already in use)",
            "choose another --port or --control-port; 0 takes any free one",
            2,
            "Another process listens there, perhaps another sandbox.",
            sandbox_port_taken,
        ),
    ),
)
