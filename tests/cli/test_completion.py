"""Completion in a real shell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Syncd
from tests.cli.test_help import HEAVY

BASH = shutil.which("bash")
# Completes the words that it is given, as the shell would when Tab is pressed behind the last one.
DRIVER = """
source completion.bash
for line in "$@"; do
    read -ra COMP_WORDS <<< "$line"
    [[ $line == *' ' ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
    $(complete -p syncd | sed -E 's/.*-F ([^ ]+) .*/\\1/') syncd
    echo "${COMPREPLY[*]}"
done
"""
LINES = {
    "syncd ins": "installations",
    "syncd db u": "upgrade url",
    "syncd qu": "quarantine",
    "syncd cursor reset --": "--stream --wait --no-wait --json --help",
    "syncd completion ": "bash zsh fish",
    "syncd status --fa": "--fail-on-stale",
    "syncd schema --format ": "sql md",
    "syncd installations add revento --environment s": "sandbox",
    "syncd --no-": "--no-color --no-input",
    "syncd ver": "verify",
    "syncd sync --dr": "--dry-run",
    "syncd verify --sa": "--sample",
    "syncd sink": "",
}


@pytest.mark.skipif(BASH is None, reason="there is no bash here")
def test_a_real_bash_completes_commands_options_and_choices(syncd: Syncd) -> None:
    assert BASH is not None
    program = syncd.folder / "bin" / "syncd"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m syncd "$@"\n')
    program.chmod(0o755)
    script = syncd("completion", "bash")
    assert (script.exit_code, script.err) == (0, "")
    (syncd.folder / "completion.bash").write_text(script.out)
    ran = subprocess.run(
        [BASH, "--norc", "-c", DRIVER, "bash", *LINES], capture_output=True, text=True, check=True, cwd=syncd.folder,
        env=syncd.environment({"PATH": f"{program.parent}:{os.environ['PATH']}"}),
    )  # fmt: skip
    assert ran.stderr == ""
    assert dict(zip(LINES, ran.stdout.splitlines(), strict=True)) == LINES


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_get_their_scripts(syncd: Syncd, shell: str) -> None:
    document = syncd("completion", shell, "--json").document
    assert document["shell"] == shell
    assert f"_SYNCD_COMPLETE={shell}_complete" in document["script"]


def test_completing_imports_nothing_heavy(syncd: Syncd, tmp_path: Path) -> None:
    program = "import atexit, sys; atexit.register(lambda: print(*sys.modules)); from syncd.cli import main; main([])"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path,
        env=syncd.environment({"_SYNCD_COMPLETE": "bash_complete", "COMP_WORDS": "syncd do", "COMP_CWORD": "1"}),
    )  # fmt: skip
    *completed, modules = ran.stdout.splitlines()
    assert completed == ["plain,doctor"]
    assert set(modules.split()) & set(HEAVY) == set()
