"""The ordinary account that runs the server when `syncd` runs as root: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
import pwd
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncd.errors import ConfigError

CANDIDATES = ("syncd", "postgres", "nobody")
# Asks the kernel, as that account: mode bits alone would miss access control lists and file systems that squash root.
_FIRST_CLOSED = 'for folder; do [ -x "$folder" ] || { printf %s "$folder"; exit; }; done'


@dataclass(frozen=True, slots=True)
class Account:
    """An account other than root, by its numbers: a data directory's owner need not have a name here."""

    uid: int
    gid: int


def server_account(data_dir: Path) -> Account | None:
    """Who runs the server of `data_dir`: its owner, else the first of CANDIDATES. None: we do, for we are not root.

    :raises ConfigError: the data directory belongs to root, or there is no such account.
    """
    if os.geteuid() != 0:
        return None
    return _owner(data_dir) if (data_dir / "PG_VERSION").exists() else _first_candidate()


def _owner(data_dir: Path) -> Account:
    owner = data_dir.stat()
    if owner.st_uid == 0:
        raise ConfigError(
            f"{data_dir} belongs to root, and PostgreSQL refuses to run as root",
            hint=f"chown -R {CANDIDATES[1]} '{data_dir}', or another ordinary account",
        )
    return Account(owner.st_uid, owner.st_gid)


def _first_candidate() -> Account:
    for name in CANDIDATES:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid)
    raise ConfigError(
        f"PostgreSQL refuses to run as root, and there is no account {', '.join(CANDIDATES)}",
        hint="make one (useradd --system syncd), run syncd as an ordinary user, or set database.url",
    )


def run_as(account: Account | None) -> dict[str, Any]:
    """The arguments of `subprocess.Popen` that make a child run as `account`."""
    if account is None:
        return {}
    return {"user": account.uid, "group": account.gid, "extra_groups": []}


def require_entry(account: Account, folder: Path) -> None:
    """Make sure that `account` can enter `folder`, which is absolute.

    :raises ConfigError: names the first folder on the way that it cannot enter.
    """
    way = [*reversed(folder.parents), folder]
    probe: list[str | Path] = ["/bin/sh", "-c", _FIRST_CLOSED, "sh", *way]
    closed = subprocess.run(probe, stdout=subprocess.PIPE, check=True, cwd="/", **run_as(account)).stdout
    if closed:
        raise ConfigError(
            f"PostgreSQL runs as user {account.uid} here, who cannot enter {os.fsdecode(closed)}",
            hint="set database.data_dir to a folder below one that is open to all, such as /var/lib/syncd",
        )
