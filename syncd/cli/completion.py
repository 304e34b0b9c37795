"""`syncd completion`: the shell completes commands, options and choices, by asking `syncd` itself."""

from __future__ import annotations

import click

from syncd.cli.command import Command
from syncd.cli.session import Session, pass_session

# click's own convention: with this variable set, `syncd` answers a shell instead of running a command.
VARIABLE = "_SYNCD_COMPLETE"


@click.command(
    cls=Command,
    example="syncd completion bash > ~/.local/share/bash-completion/completions/syncd\n"
    "syncd completion zsh > ~/.zfunc/_syncd\n"
    "syncd completion fish > ~/.config/fish/completions/syncd.fish",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_session
def completion(session: Session, shell: str) -> None:
    """Print the script that makes a shell complete syncd's commands.

    bash 4.4 and fish find it by its place, as below; zsh needs that folder on its fpath, before compinit runs.
    """
    from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

    from syncd.cli import syncd

    complete = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}[shell]
    # Not bash's own `source`: it starts a bash and complains on stderr of the one it finds here.
    script = ShellComplete.source(complete(syncd, {}, "syncd", VARIABLE))
    session.answer({"shell": shell, "script": script}, script)
