"""The table of mistakes, theme by theme, and the page that is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.cli.mistakes import addresses, authorization, commands, configuration, database, embedded, keys
from tests.cli.mistakes.table import Mistake, Theme

THEMES: tuple[Theme, ...] = (
    commands.THEME,
    configuration.THEME,
    database.THEME,
    embedded.THEME,
    keys.THEME,
    authorization.THEME,
    addresses.THEME,
)
PAGE = Path(__file__).parents[3] / "docs" / "mistakes.md"
INTRODUCTION = """\
# Mistakes, and what to do about them

What you see, why, and what to do. Each entry is provoked for real by a test, from whose table this page is made
(`python -m tests.cli.mistakes`). ‹This› stands for a text that varies. The sentence is on stderr; with `--json` it is
in the last document on stdout, as `error` and `hint`, and the exit code is the same. Exit codes: docs/interface.md §3.
No message shows a secret, and none of these mistakes costs anything that was stored.
"""


def page() -> str:
    """docs/mistakes.md."""
    return "\n".join([INTRODUCTION, *(line for theme in THEMES for line in _theme(theme))])


def _theme(theme: Theme) -> Iterator[str]:
    yield f"## {theme.title}\n"
    for mistake in theme.mistakes:
        yield _entry(mistake)


def _entry(mistake: Mistake) -> str:
    return f"""\
### {mistake.title}

```
$ {mistake.command}
{mistake.begins}: {mistake.sees}
hint: {mistake.hint}
```

{mistake.why} Exit code {mistake.exit_code}.
"""
