"""Mistakes in the command itself."""

from __future__ import annotations

import socket
from collections.abc import Callable

from tests.cli.mistakes.scene import Scene
from tests.cli.mistakes.table import Mistake, Theme


def nothing(_: Scene) -> None:
    """The command alone is the mistake."""


def connected(scene: Scene) -> None:
    scene.connect()


def two_alike(scene: Scene) -> None:
    """Two installations whose names end alike."""
    scene.give()
    for name in ("a/evt_x", "b/evt_x"):
        added = scene.run(
            *("installations", "add", "revento", "--credentials", "token.json", "--no-check", "--name", name)
        )
        assert added.exit_code == 0


def port_taken(variable: str) -> Callable[[Scene], None]:
    """Somebody listens on 18440 already."""

    def take(scene: Scene) -> None:
        if not hasattr(scene, "listener"):
            listener = scene.stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            scene.listener = listener  # type: ignore[attr-defined]
        scene.set(**{variable: f"127.0.0.1:{scene.listener.getsockname()[1]}"})  # type: ignore[attr-defined]

    return take


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
            "syncd sync evt_nobody",
            "installation 'evt_nobody' is unknown",
            "‹known installations: … or did you mean …?›",
            2,
            "No installation has this name, or a name that ends with it.",
            connected,
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
            "revento/‹event id› has no stream 'participant'",
            "its streams: event, roles, participants, threads, locations, activities, waves",
            2,
            "The name is misspelt, or belongs to another source.",
            connected,
        ),
        Mistake(
            "The daemon's port is taken",
            "syncd serve",
            "http.bind: cannot listen on 127.0.0.1:‹port› (Address already in use)",
            "is another `syncd serve` running? set SYNCD_HTTP__BIND to a free address",
            2,
            "Another process listens on `http.bind`, perhaps another `syncd serve`.",
            lambda scene: (scene.warehouse, port_taken("HTTP__BIND")(scene)),
        ),
        Mistake(
            "The sandbox's port is taken",
            "syncd sandbox --port 18441",
            "cannot listen on port 18441 of 127.0.0.1 (Address already in use)",
            "choose another --port or --control-port; 0 takes any free one",
            2,
            "Another process listens there, perhaps another sandbox.",
            lambda scene: take(scene, 18441),
        ),
    ),
)


def take(scene: Scene, port: int) -> None:
    """Listen on the port, once."""
    try:
        scene.stack.enter_context(socket.create_server(("127.0.0.1", port)))
    except OSError:
        return  # it is taken, by us or by others
