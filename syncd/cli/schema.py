"""`syncd schema`: the tables and views, without a database."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from syncd.cli.command import Command
from syncd.cli.session import Session, pass_session
from syncd.errors import ConfigError

if TYPE_CHECKING:
    from syncd.store.dictionary import Entry

HEADER = "-- To read, and to feed to other tools: it is `syncd db upgrade` that makes and migrates the schema."


@click.command(cls=Command, example="syncd schema --format md > schema.md\nsyncd schema revento.participants")
@click.argument("names", nargs=-1, metavar="[TABLE]...")
@click.option("--format", "form", type=click.Choice(["sql", "md"]), default="sql", show_default=True)
@pass_session
def schema(session: Session, names: tuple[str, ...], form: str) -> None:
    """Print the tables and views of the warehouse.

    As SQL with all comments, or as Markdown; --json has both and more. Tables with personal data are marked. Needs no
    database.
    """
    from syncd import main
    from syncd.store.dictionary import entries, markdown, script

    everything = entries(main.TABLES, main.VIEWS)
    chosen = [_find(everything, name) for name in names] if names else everything
    text = f"{HEADER}\n\n{script(chosen)}" if form == "sql" else markdown(chosen)
    session.answer({"relations": [asdict(entry) for entry in chosen]}, text)


def _find(everything: Sequence[Entry], name: str) -> Entry:
    matches = [entry for entry in everything if name in {entry.name, entry.full_name}]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(
            f"table {name!r} is ambiguous", hint=f"one of: {', '.join(entry.full_name for entry in matches)}"
        )
    known = [part for entry in everything for part in (entry.full_name, entry.name)]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
    raise ConfigError(f"there is no table or view {name!r}", hint=f"did you mean {near}?")
