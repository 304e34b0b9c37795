"""pytest in a process that was forked from one with the slow imports done: they cost more than most tests."""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

# Whatever is imported here is as it is in every copy: nothing of ours, and no plugin that pytest has to rewrite.
_SLOW_IMPORTS = (
    "alembic", "apscheduler.schedulers.asyncio", "cryptography.x509", "httpx", "httpx_aiohttp", "psycopg_pool",
    "pydantic_settings", "pytest", "rich.table", "sqlalchemy.dialects.postgresql", "structlog",
)  # fmt: skip
_OURS = {"syncd", "tests"}
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(list(_SLOW_IMPORTS))


def run_pytest(
    folder: Path, arguments: Sequence[str], environment: Mapping[str, str], *, said: Path, timeout_s: float
) -> int:
    """pytest's exit code for the copy in `folder`; its output goes to the file `said`. Raises TimeoutError."""
    process = _forks.Process(target=_pytest, args=(folder, tuple(arguments), dict(environment), said))
    process.start()
    process.join(timeout_s)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError
    return process.exitcode


def _pytest(folder: Path, arguments: Sequence[str], environment: Mapping[str, str], said: Path) -> None:
    out = os.open(said, os.O_WRONLY | os.O_CREAT)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.update(environment)
    os.chdir(folder)
    # This very function came with modules of the real tree.
    for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
        del sys.modules[name]
    sys.path.insert(0, str(folder))
    import pytest

    sys.exit(pytest.main(list(arguments)))
