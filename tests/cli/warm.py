"""The command in a process of its own that need not import everything first: a warm parent forks one for each call.

`python -m tests.cli.warm` reads one JSON object a line, {"arguments", "folder", "variables", "files": [stdin, stdout,
stderr]}, and prints the child's exit code (negative: the signal) when it has ended. A cold start costs a second.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from typing import Any

WARM = ("alembic.command", "cryptography.hazmat.primitives.ciphers.aead", "httpx_aiohttp", "rich.live", "rich.table",
        "syncd.demo", "syncd.main", "syncd.store.migrate", "uvicorn", "zoneinfo")  # fmt: skip


def serve() -> None:
    """Fork a child for each line, one at a time."""
    for name in WARM:
        importlib.import_module(name)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(_run(json.loads(line)))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _run(order: dict[str, Any]) -> int:
    """What `python -m syncd` does, in this process."""
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["variables"])
    _redirect(order["files"])
    sys.argv = ["syncd", *order["arguments"]]
    from syncd.cli import main

    try:
        return main()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _redirect(files: list[str]) -> None:
    flags = (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT | os.O_TRUNC] * 2)
    for number, (path, flag) in enumerate(zip(files, flags, strict=True)):
        descriptor = os.open(path, flag, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    # of the same make as the interpreter's own
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, encoding="utf-8") for n, mode in enumerate("rww"))


if __name__ == "__main__":
    serve()
