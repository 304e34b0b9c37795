"""What was said before the command, and the ways out: stdout for data, stderr for everything else."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO, cast

import click

if TYPE_CHECKING:
    from syncd.cli.text import Part
    from syncd.config import Settings

# The exit code of what a person was asked and did not want.
NOT_CONFIRMED = 1
NOTHING_YET = "no installations yet: `syncd installations add --help` shows how to add one"


@dataclass(slots=True)
class Session:
    """The global options. `level` is the log level that -q or -v asks for."""

    config: Path | None = None
    json: bool = False
    level: Literal["warning", "debug"] | None = None
    no_input: bool = False

    @property
    def is_quiet(self) -> bool:
        """No progress and no notices."""
        return self.level == "warning"

    def settings(self, *, log_at: str = "warning") -> Settings:
        """The settings; logging goes to stderr from now on, at `log_at` where nobody has set a level.

        A command that a person waits for logs warnings only, beside its progress. Raises ConfigError.
        """
        from syncd import config, logs

        settings = config.load(self.config)
        is_set = {key: origin != "default" for key, _, origin in config.shown(settings)}
        level = self.level or (settings.log.level if is_set["log.level"] else log_at)
        logs.configure(settings.log.format, level, cast(TextIO, _Stderr()))
        return settings

    def answer(self, document: object, *parts: Part) -> None:
        """Write the command's data: the document with --json, otherwise the parts."""
        from syncd.cli.text import write_json, write_text

        if self.json:
            write_json(document)
        else:
            write_text(sys.stdout, *parts)
        sys.stdout.flush()  # or off a terminal it would come behind what stderr says later

    def confirms(self, question: str) -> bool:
        """Ask on the terminal; the end of the input is no yes. Raises ConfigError where nobody can answer."""
        from syncd.errors import ConfigError

        if self.no_input or self.json or not sys.stdin.isatty():
            raise ConfigError("nobody is there to confirm it", hint="give --yes to do it without asking")
        try:
            return click.confirm(question, err=True)
        except click.Abort:
            return False

    def note(self, *sentences: str) -> None:
        """Tell a person something on stderr, unless -q."""
        if not self.is_quiet:
            for sentence in sentences:
                click.echo(sentence, err=True)


class _Stderr:
    """Today's `sys.stderr`: while a live display stands on the terminal, it is replaced by one that writes above it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


pass_session = click.make_pass_decorator(Session)
