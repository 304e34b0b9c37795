"""The house rules that a machine can read: locks, paths, sizes, docstrings, versions, and who opens the database."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

import syncd

ROOT = Path(__file__).parent.parent
LOCKS = ["requirements.lock", "requirements-dev.lock"]
MODULES = sorted(path for room in ("syncd", "migrations", "tests") for path in (ROOT / room).rglob("*.py"))
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==[^\s;]+(?: ; .+)? \\$")


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def published() -> list[Path]:
    """The files of the project: tracked or about to be; without git, what stands in its folders."""
    if (ROOT / ".git").exists() and (git := shutil.which("git")):
        listed = subprocess.run(
            [git, "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        )  # fmt: skip
        return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]
    folders = ("syncd", "migrations", "tests", "docs", "config", "deploy", ".ci")
    return [path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file()]


def pins(lock: str) -> dict[str, str]:
    lines = (ROOT / lock).read_text().splitlines()
    return {found[1]: line.removesuffix(" \\") for line in lines if (found := PIN.match(line))}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_host_and_pins_every_package_by_hash(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert "://" not in text
    entries = re.split(r"^(?=[a-z0-9])", "\n".join(line for line in text.splitlines() if line[:1] != "#"), flags=re.M)
    unhashed = [entry.splitlines()[0] for entry in entries if entry.strip() and "--hash=sha256:" not in entry]
    assert unhashed == []
    assert len(pins(lock)) == len([entry for entry in entries if entry.strip()])
    assert "make lock" in text.splitlines()[1]


def test_the_tools_lock_holds_the_same_versions_as_the_programs() -> None:
    program, tools = (pins(lock) for lock in LOCKS)
    differing = {
        name for name, pin in program.items() if tools.get(name, "").partition(" ;")[0] != pin.partition(" ;")[0]
    }
    assert differing == set()


def test_every_requirement_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    program = [*project["project"]["dependencies"], *(name for extra in extras for name in extra)]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[\[<>=~! ]", requirement)[0].lower() for requirement in requirements}

    assert names(program) <= pins("requirements.lock").keys()
    assert names(program + project["dependency-groups"]["dev"]) <= pins("requirements-dev.lock").keys()


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    hosts = "|".join(("pypi" + r"\.org", "python" + r"hosted\.org", r"(?<!no-emit-)index-" + "url"))
    folders = [re.escape(f"{folder}/") for folder in (ROOT, Path.home()) if len(folder.parts) > 2]
    forbidden = re.compile("|".join([*folders, "/ro" + "ot/", hosts]))
    found = [
        f"{named(path)}:{number}: {line.strip()}"
        for path in published()
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if forbidden.search(line)
    ]
    assert found == []


def test_no_module_is_long() -> None:
    rooms = [path for path in MODULES if named(path).startswith("syncd/")]
    assert [named(path) for path in rooms if len(path.read_text().splitlines()) > 300] == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        named(path)
        for path in MODULES
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


def test_only_the_store_opens_a_database() -> None:
    opening = re.compile(
        r"create_(async_)?engine\(|connect\(.*conninfo|psycopg\.(Async)?Connection|psycopg\.connect|ConnectionPool\("
    )
    rooms = [path for path in (ROOT / "syncd").rglob("*.py") if "store" not in path.relative_to(ROOT).parts]
    assert [named(path) for path in rooms if opening.search(path.read_text())] == []


def test_the_version_stands_in_one_piece() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == syncd.__version__
