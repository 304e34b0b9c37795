"""Token pairs at rest: ciphertext, bound to their rows, changed by the driver alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from syncd.errors import ConfigError, LeaseLost
from syncd.store.installations import store_installation
from syncd.store.tokens import StoredTokens
from syncd.wire.tokens import Tokens, fingerprint
from tests.store.conftest import VAULT, Store, installation, tokens


def kept(store: Store) -> StoredTokens:
    return StoredTokens(store.database, VAULT, store.lease)


def secret_parts(pair: Tokens) -> tuple[str, str | None]:
    return pair.access_token, pair.refresh_token


async def test_a_pair_comes_back_as_it_was_stored(store: Store) -> None:
    name = store.lease.installation
    assert secret_parts(await kept(store).load()) == secret_parts(tokens(name))
    fresh = tokens("fresh")
    await kept(store).save(fresh, spent=f"rev_refresh_{name}")
    loaded = await kept(store).load()
    assert secret_parts(loaded) == secret_parts(fresh)
    assert (loaded.access_expires_at, loaded.refresh_expires_at) == (fresh.access_expires_at, fresh.refresh_expires_at)
    await kept(store).save(replace(fresh, refresh_token=None), spent="rev_refresh_fresh")
    assert (await kept(store).load()).refresh_token is None


async def test_the_database_holds_ciphertext(store: Store) -> None:
    holding = (
        "SELECT count(*) FROM syncd.credentials WHERE position('rev_'::bytea IN access_token || refresh_token) > 0"
    )
    assert store.value(holding) == 0
    assert store.value("SELECT access_fingerprint FROM syncd.credentials") == fingerprint("rev_install_revento/evt_1")


@pytest.mark.fault(56)
async def test_a_pair_that_was_copied_to_another_row_does_not_open(store: Store) -> None:
    await store.add("revento/evt_2")
    store.query(
        """UPDATE syncd.credentials AS mine SET access_token = theirs.access_token FROM syncd.credentials AS theirs
           WHERE mine.installation = 'revento/evt_1' AND theirs.installation = 'revento/evt_2' RETURNING 1"""
    )
    with pytest.raises(ConfigError, match="does not open"):
        await kept(store).load()
    store.query("UPDATE syncd.credentials SET access_token = refresh_token RETURNING 1")
    with pytest.raises(ConfigError, match="does not open"):
        await kept(store).load()


@pytest.mark.fault(45)
async def test_an_intent_is_open_until_its_outcome_is_known(store: Store) -> None:
    intent = "SELECT intent_at IS NOT NULL FROM syncd.credentials"
    assert store.value(intent) is False
    await kept(store).intend("rev_refresh_revento/evt_1")
    assert store.value(intent) is True
    assert (await kept(store).load()).in_doubt
    await kept(store).save(tokens("fresh"), spent="rev_refresh_revento/evt_1")
    assert store.value(intent) is False
    assert await kept(store).intend("rev_refresh_fresh")
    assert not (await kept(store).load()).is_refused
    assert await kept(store).refuse("rev_refresh_fresh", "invalid_grant", "no more")
    assert (await kept(store).load()).is_refused
    assert store.query("SELECT state, state_reason FROM syncd.installations") == [("needs_consent", "no more")]
    assert store.value(intent) is False
    assert store.query("SELECT kind, token_fingerprint, detail FROM syncd.token_events ORDER BY token_event_id") == [
        ("issued", fingerprint("rev_install_revento/evt_1"), None),
        ("refreshing", fingerprint("rev_refresh_revento/evt_1"), None),
        ("refreshed", fingerprint("rev_install_fresh"), None),
        ("refreshing", fingerprint("rev_refresh_fresh"), None),
        ("refused", None, "invalid_grant"),
    ]


@pytest.mark.fault(96)
async def test_who_was_overtaken_changes_nothing(store: Store) -> None:
    before = store.query("SELECT * FROM syncd.credentials")
    late = StoredTokens(store.database, VAULT, replace(store.lease, epoch=store.lease.epoch - 1))
    for write in (late.intend("x"), late.save(tokens("late"), spent="x"), late.refuse("x", "late", "")):
        with pytest.raises(LeaseLost):
            await write
    assert store.query("SELECT * FROM syncd.credentials") == before
    assert store.query("SELECT state FROM syncd.installations") == [("active",)]
    assert store.value("SELECT count(*) FROM syncd.token_events") == 1


@pytest.mark.fault(46)
async def test_a_pair_that_was_replaced_is_neither_spent_nor_called_dead(store: Store) -> None:
    await kept(store).save(tokens("fresh"), spent="rev_refresh_revento/evt_1")
    before = store.query("SELECT * FROM syncd.credentials")
    assert not await kept(store).intend("rev_refresh_revento/evt_1")
    assert not await kept(store).refuse("rev_refresh_revento/evt_1", "invalid_grant", "no more")
    assert store.query("SELECT * FROM syncd.credentials") == before
    assert store.query("SELECT state FROM syncd.installations") == [("active",)]
    assert store.value("SELECT count(*) FROM syncd.token_events") == 2


@pytest.mark.fault(82)
async def test_a_pair_whose_commit_went_unanswered_is_stored_once(store: Store) -> None:
    for _ in range(2):
        await kept(store).save(tokens("fresh"), spent="rev_refresh_revento/evt_1")
    assert store.value("SELECT count(*) FROM syncd.token_events WHERE kind = 'refreshed'") == 1
    with pytest.raises(LeaseLost):
        await kept(store).save(tokens("another"), spent="rev_refresh_revento/evt_1")


@pytest.mark.fault(53)
async def test_a_reply_without_scopes_takes_none_away(store: Store) -> None:
    await kept(store).save(replace(tokens("fresh"), scopes=()), spent="rev_refresh_revento/evt_1")
    assert store.value("SELECT scopes FROM syncd.installations") == ["event.read"]
    await kept(store).save(replace(tokens("fresh"), scopes=("program.read",)), spent="rev_refresh_fresh")
    assert (await kept(store).load()).scopes == ("program.read",)


@pytest.mark.fault(45)
async def test_the_successor_is_stored_even_by_a_driver_that_was_overtaken(store: Store) -> None:
    late = StoredTokens(store.database, VAULT, replace(store.lease, epoch=store.lease.epoch - 1))
    await late.save(tokens("fresh"), spent="rev_refresh_revento/evt_1")
    assert secret_parts(await kept(store).load()) == secret_parts(tokens("fresh"))


async def test_a_pair_of_an_older_consent_replaces_no_newer_one(store: Store) -> None:
    name = store.lease.installation
    await store_installation(store.database, VAULT, installation(name), tokens("newer"))
    with pytest.raises(LeaseLost, match="replaced meanwhile"):
        await kept(store).save(tokens("older"), spent=f"rev_refresh_{name}")
    assert secret_parts(await kept(store).load()) == secret_parts(tokens("newer"))
