"""`python -m tests.cli.mistakes` writes docs/mistakes.md."""

from tests.cli.mistakes import PAGE, page

PAGE.write_text(page(), encoding="utf-8")
