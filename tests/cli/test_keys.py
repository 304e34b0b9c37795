"""`syncd keys`, and `syncd db restored`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncd.credentials.own_keys import add_own_key, own_keys
from syncd.credentials.vault import KEY_BYTES
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
