"""Stored secrets come under the newest key row by row, while others read and renew them."""

from __future__ import annotations

import asyncio

import pytest

from syncd.credentials.vault import KEY_BYTES, KeyRing, key_id_of
from syncd.errors import ConfigError
from syncd.store.resealing import count_secrets, reseal
from syncd.store.tokens import StoredTokens
from tests.store.conftest import Store, tokens
from tests.store.test_tokens import secret_parts


def ring(*ids: str) -> KeyRing:
    return KeyRing({each: each.encode().ljust(KEY_BYTES, b".") for each in ids})


async def test_every_secret_comes_under_the_first_key(store: Store) -> None:
    before = StoredTokens(store.database, ring("k1"), store.lease)
    await before.save(tokens("pair"), spent=f"rev_refresh_{store.lease.installation}")
    both = ring("k2", "k1")
    assert await count_secrets(store.database, both, key_id_of) == {"k1": 2}
    assert await reseal(store.database, both, "k2", key_id_of) == 1
    assert await count_secrets(store.database, both, key_id_of) == {"k2": 2}
    assert await reseal(store.database, both, "k2", key_id_of) == 0, "what is done is not done again"
    after = StoredTokens(store.database, ring("k2"), store.lease)
    assert secret_parts(await after.load()) == secret_parts(tokens("pair"))
    assert store.query("SELECT kind, detail FROM syncd.token_events ORDER BY token_event_id")[-1] == ("resealed", "k2")


@pytest.mark.fault(56)
async def test_a_secret_that_does_not_open_stays_as_it_is(store: Store) -> None:
    await StoredTokens(store.database, ring("lost"), store.lease).save(
        tokens("pair"), spent=f"rev_refresh_{store.lease.installation}"
    )
    before = store.query("SELECT * FROM syncd.credentials")
    for work in (
        reseal(store.database, ring("k2"), "k2", key_id_of),
        count_secrets(store.database, ring("k2"), key_id_of),
    ):
        with pytest.raises(ConfigError, match="'lost', which is not configured"):
            await work
    assert store.query("SELECT * FROM syncd.credentials") == before


@pytest.mark.fault(56)
async def test_a_renewal_at_the_same_time_is_not_lost(store: Store) -> None:
    """Rotation locks the row that it reads, so it cannot write an old pair over a new one."""
    both = ring("k2", "k1")
    first = StoredTokens(store.database, ring("k1", "k2"), store.lease)
    spent = f"rev_refresh_{store.lease.installation}"
    await first.save(tokens("0"), spent=spent)
    for number in range(1, 20):
        await asyncio.gather(
            first.save(tokens(str(number)), spent=f"rev_refresh_{number - 1}"),
            reseal(store.database, both, "k2", key_id_of),
        )
        stored = await StoredTokens(store.database, both, store.lease).load()
        assert secret_parts(stored) == secret_parts(tokens(str(number)))
