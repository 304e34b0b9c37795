"""Each mistake of docs/mistakes.md, made for real: a sentence, a next step, the exit code, and nothing secret."""

from __future__ import annotations

import json
import logging
import re
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog

from tests.cli.conftest import Ended
from tests.cli.mistakes import PAGE, THEMES, page
from tests.cli.mistakes.scene import Scene
from tests.cli.mistakes.table import Mistake, pattern
from tests.harness import HastyClock
from tests.sampling import sampled

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def scene(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """An empty folder and environment; signals and logging are afterwards as they were."""
    import os

    from syncd.main import app

    for name in os.environ:
        if name.startswith(("SYNCD_", "PG")) and name != "SYNCD_TEST_DATABASE_URL":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNCD_DATABASE__DATA_DIR", str(tmp_path / "home"))
    monkeypatch.setattr(app, "SystemClock", HastyClock)  # repeats without pauses
    root, signals = logging.getLogger(), {each: signal.getsignal(each) for each in SIGNALS}
    handlers, level, configured = list(root.handlers), root.level, structlog.get_config()
    with ExitStack() as stack:
        yield Scene(request, tmp_path, monkeypatch, stack)
    for each, handler in signals.items():
        signal.signal(each, handler)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**configured)


EVERY = [
    pytest.param(mistake, id=mistake.title, marks=[pytest.mark.fault(mistake.fault)] if mistake.fault else [])
    for theme in THEMES
    for mistake in theme.mistakes
]


@pytest.mark.parametrize("mistake", sampled(EVERY))
def test_a_mistake_is_told_in_clear_words(mistake: Mistake, scene: Scene) -> None:
    mistake.provoke(scene)
    told = scene.run(*mistake.arguments)
    mistake.provoke(scene)
    document = scene.run("--json", *mistake.arguments)
    assert (told.exit_code, document.exit_code) == (mistake.exit_code, mistake.exit_code), told.err
    require_words(mistake, told)
    require_document(mistake, document)
    for text in scene.heard:
        assert "Traceback" not in text
        assert "internal error" not in text
        assert [secret for secret in scene.secrets if secret in text] == []
    mistake.afterwards(scene)


def require_words(mistake: Mistake, told: Ended) -> None:
    """The sentence and the next step, each on a line of stderr, one behind the other."""
    words = rf"^{mistake.begins}: {pattern(mistake.sees)}\nhint: {pattern(mistake.hint)}$"
    assert re.search(words, told.err, re.M), told.err


def require_document(mistake: Mistake, ended: Ended) -> None:
    """The same in the last of the JSON lines, and nothing else on stdout."""
    result = [json.loads(line) for line in ended.out.splitlines()][-1]
    assert result["exit"] == mistake.exit_code
    if mistake.exit_code:
        assert re.fullmatch(pattern(mistake.sees), result["error"]), result
        assert re.fullmatch(pattern(mistake.hint), result["hint"]), result
    assert "error: " not in ended.err


def test_the_page_of_mistakes_is_the_newest() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "python -m tests.cli.mistakes writes it"


def test_no_mistake_is_there_twice() -> None:
    titles = [mistake.title for theme in THEMES for mistake in theme.mistakes]
    assert len(titles) == len(set(titles))
