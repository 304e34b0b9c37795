"""A process of its own that starts an embedded server, to be killed, doubled or run as somebody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.postgres import FAST

REPOSITORY = Path(__file__).parents[2]
START = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from syncd.errors import SyncdError
from syncd.store import embedded
try:
    server = embedded.start(Path(sys.argv[1]), options=json.loads(sys.argv[2]))
    print(json.dumps(asdict(server), default=str), flush=True)
except SyncdError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
sys.stdin.read()
"""


def starter(home: Path, python: str = sys.executable, **process: Any) -> subprocess.Popen[str]:
    """A process that starts the server of `home`, says so in a line of JSON, and stays until its stdin is closed."""
    environment = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"], **process.pop("env", {})}
    return subprocess.Popen(
        [python, "-c", START, str(home), json.dumps(FAST)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env=environment,
        **process,
    )


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=60)
    answer: dict[str, Any] = json.loads(out)
    return answer


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777
