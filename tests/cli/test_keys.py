"""`syncd keys`, and `syncd db restored`."""

from __future__ import annotations

import asyncio
import base64
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncd import cli, config, main
from syncd.cli import keys
from syncd.cli.session import Session
from syncd.credentials import own_keys as keys_file
from syncd.credentials.own_keys import add_own_key, own_keys
from syncd.credentials.vault import KEY_BYTES, key_id_of
from syncd.errors import DatabaseError, LeaseHeld
from syncd.store.database import open_database
from syncd.store.installations import find_installation
from syncd.store.resealing import count_secrets, reseal
from syncd.store.runs import StreamResult
from syncd.sync.round import Watch
from tests.cli.conftest import KEYS, Remote, Syncd, add

NEW = "new:" + base64.b64encode(b"n" * KEY_BYTES).decode()


def test_a_key_of_ones_own_is_rotated(warehouse: Syncd, sandbox: Remote) -> None:
    add(warehouse, sandbox.token())
    old = KEYS.partition(":")[0]
    nothing = warehouse("keys", "rotate")
    assert nothing.exit_code == 0
    assert "every secret lies under the first key already" in nothing.err
    warehouse.variables["SYNCD_SECURITY__ENCRYPTION_KEYS"] = f"{NEW},{KEYS}"
    before = warehouse("keys", "rotate", "--verify", "--json")
    assert (before.exit_code, before.document["secrets"], before.document["under_older_keys"]) == (6, {old: 2}, 2)
    rotated = warehouse("keys", "rotate")
    assert (rotated.exit_code, "restart `syncd serve`" in rotated.err) == (0, True)
    assert "secrets under new" in rotated.out
    warehouse.variables["SYNCD_SECURITY__ENCRYPTION_KEYS"] = NEW
    after = warehouse("keys", "rotate", "--verify", "--json")
    assert (after.exit_code, after.document["secrets"]) == (0, {"new": 2})


@pytest.mark.fault(56)
def test_a_key_that_is_lost_is_told_and_changes_nothing(
    warehouse: Syncd, sandbox: Remote, query: Callable[..., list[tuple[Any, ...]]]
) -> None:
    add(warehouse, sandbox.token())
    before = query("SELECT * FROM syncd.credentials")
    warehouse.variables["SYNCD_SECURITY__ENCRYPTION_KEYS"] = NEW
    for arguments in (["keys", "rotate"], ["keys", "rotate", "--verify"], ["sync"]):
        ended = warehouse(*arguments)
        assert ended.exit_code == 2
        assert "is encrypted under key" in ended.out + ended.err
    assert query("SELECT * FROM syncd.credentials") == before


def test_a_key_that_syncd_made_itself_gets_a_new_one_in_front(tmp_path: Path) -> None:
    file = tmp_path / "encryption_keys"
    first = own_keys(file)
    both = add_own_key(file)
    assert both.endswith("," + first)
    assert file.stat().st_mode & 0o777 == 0o600
    assert own_keys(file) == both
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.fault(56)
def test_a_new_key_is_on_disk_before_anything_is_sealed_under_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name too: a power failure would bring the file without the key back."""
    file = tmp_path / "encryption_keys"
    flushed: list[str] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        really(descriptor)
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            flushed.append(file.read_text())

    monkeypatch.setattr(os, "fsync", fsync)
    first = own_keys(file)
    assert flushed[-1] == first
    both = add_own_key(file)
    assert flushed[-1] == both != first


@pytest.fixture
def own(warehouse: Syncd) -> tuple[config.Settings, str]:
    """Settings under which the keys lie in a file of ours, and the test's database."""
    url, _ = warehouse.variables.pop("SYNCD_DATABASE__URL"), warehouse.variables.pop("SYNCD_SECURITY__ENCRYPTION_KEYS")
    settings = config.load(None, warehouse.variables)
    main.home(settings).mkdir()
    return settings, url


@pytest.mark.fault(56)
def test_of_two_rotations_at_once_one_is_turned_away(
    warehouse: Syncd, sandbox: Remote, own: tuple[config.Settings, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second begins when the first has read the keys, and would lose its own to the first one's file."""
    settings, url = own
    for name in [each for each in os.environ if each.startswith("SYNCD_")]:
        monkeypatch.delenv(name)
    for name, value in warehouse.variables.items():
        monkeypatch.setenv(name, value)

    def read(_session: Session, ask: Callable[..., Any]) -> Any:
        async def asking() -> Any:
            async with open_database(url, pool_size=1, lease_s=60) as database:
                return await ask(database)

        return asyncio.run(asking())

    monkeypatch.setattr(keys, "read", read)
    monkeypatch.setattr(main, "prepare_database", lambda _settings: url)
    add(warehouse, sandbox.token(), url)

    def rotate() -> Any:
        return cli.syncd.main(["keys", "rotate"], prog_name="syncd", obj=Session(), standalone_mode=False)

    readings = iter(["for the ring", "to add a key"])
    refusals: list[LeaseHeld] = []

    def read_keys(path: Path) -> str:
        found = own_keys(path)
        if next(readings, None) == "to add a key":
            try:
                rotate()
            except LeaseHeld as error:
                refusals.append(error)
        return found

    monkeypatch.setattr(keys_file, "own_keys", read_keys)
    assert rotate() == 0
    (refusal,) = refusals
    assert (refusal.exit_code, "wait until it has ended" in str(refusal.hint)) == (7, True)
    ring = main.open_vault(settings)
    first = ring.first
    assert read(Session(), lambda database: count_secrets(database, ring, key_id_of)) == {first: 2}
    assert rotate() == 0, "the lock ends with its rotation"
    assert ring.first != first


async def copy(app: main.App, remote: Remote) -> StreamResult:
    """One round of one stream."""
    installation = await find_installation(app.database, f"revento/{remote.event_id}")
    order = app.order(installation, "test", main.chosen_streams(installation, ["event"]))
    (result,) = (await app.run_round(order, Watch())).streams
    return result


@pytest.mark.fault(56)
def test_what_runs_goes_on_under_a_key_that_was_rotated_meanwhile(
    warehouse: Syncd, sandbox: Remote, own: tuple[config.Settings, str]
) -> None:
    settings, url = own
    add(warehouse, sandbox.token(), url)

    async def running() -> None:
        async with main.open_app(settings, url, "test") as app:
            assert (await copy(app, sandbox)).status == "certified"
            main.add_own_key(settings)
            ring = main.open_vault(settings)
            assert await reseal(app.database, ring, ring.first, key_id_of) == 1
            assert (await copy(app, sandbox)).status == "certified"
            assert key_id_of(app.vault.seal("renewed", "a place")) == ring.first

    asyncio.run(running())


@pytest.mark.fault(56)
def test_a_lost_key_of_our_own_is_told_and_not_replaced_by_a_command_that_reads(
    warehouse: Syncd, sandbox: Remote, own: tuple[config.Settings, str]
) -> None:
    settings, url = own
    path = main.own_keys_path(settings)

    async def syncing() -> StreamResult:
        async with main.open_app(settings, url, "test") as app:
            return await copy(app, sandbox)

    add(warehouse, sandbox.token(), url)
    kept = path.rename(path.with_name("kept"))
    lost = asyncio.run(syncing())
    assert (lost.status, lost.exit_code, path.exists()) == ("failed", 2, False)
    assert str(lost.hint).startswith(f"put the lost key back into {path}")
    kept.rename(path)
    assert asyncio.run(syncing()).status == "certified", "the key was put back"
    path.unlink()
    add(warehouse, sandbox.token(), url)
    assert asyncio.run(syncing()).status == "certified", "the event was connected anew"


def test_a_file_of_keys_that_is_malformed_keeps_what_is_to_be_sealed(own: tuple[config.Settings, str]) -> None:
    """A renewed pair is stored again and again after a DatabaseError, and lost after anything else."""
    settings, _ = own
    ring = main.open_vault(settings)
    main.own_keys_path(settings).write_text("")
    with pytest.raises(DatabaseError, match="encryption_keys is not"):
        ring.seal("renewed", "a place")


def test_a_restored_database_is_taken_for_the_one_that_counts(
    warehouse: Syncd, sandbox: Remote, query: Callable[..., list[tuple[Any, ...]]]
) -> None:
    add(warehouse, sandbox.token())
    query("UPDATE syncd.credentials SET stored_in = 'elsewhere', access_expires_at = clock_timestamp()")
    refused = warehouse("sync", "--json")
    assert refused.exit_code == 4
    assert "syncd db restored" in warehouse("sync").err
    assert warehouse("db", "restored").exit_code == 2, "nobody is there to confirm it"
    taken = warehouse("db", "restored", "--yes", "--json")
    assert (taken.exit_code, taken.document["installations"][0]["fate"]) == (0, "moved")
    assert warehouse("sync").exit_code == 0


def test_a_token_that_was_renewed_after_the_backup_is_given_up(
    warehouse: Syncd, sandbox: Remote, query: Callable[..., list[tuple[Any, ...]]]
) -> None:
    add(warehouse, sandbox.token())
    query("UPDATE syncd.credentials SET access_expires_at = clock_timestamp()")
    assert warehouse("sync", "--stream", "event").exit_code == 0
    query("UPDATE syncd.credentials SET generation = 0")
    lost = warehouse("db", "restored", "--yes")
    assert (lost.exit_code, "waits for a new consent" in lost.out) == (4, True)
    assert query("SELECT state FROM syncd.installations") == [("needs_consent",)]
