"""Stored secrets come under the newest key row by row, while others read and renew them."""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg
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
        with pytest.raises(ConfigError, match="'lost', which is missing"):
            await work
    assert store.query("SELECT * FROM syncd.credentials") == before


@dataclass
class Meddling:
    """A vault that tries, whenever a secret has been read, to write its row from elsewhere."""

    vault: KeyRing
    store: Store
    refused: list[bool] = field(default_factory=list)

    def seal(self, secret: str, where: str) -> bytes:
        return self.vault.seal(secret, where)

    def open(self, sealed: bytes, where: str) -> str:
        with psycopg.connect(self.store.url, autocommit=True, options="-c lock_timeout=50") as connection:
            try:
                connection.execute("UPDATE syncd.credentials SET stored_in = stored_in")
            except psycopg.errors.LockNotAvailable:
                self.refused.append(True)
            else:
                self.refused.append(False)
        return self.vault.open(sealed, where)


@pytest.mark.fault(56)
async def test_a_renewal_at_the_same_time_is_not_lost(store: Store) -> None:
    """Rotation locks the row that it reads, so it cannot write an old pair over a new one."""
    before = StoredTokens(store.database, ring("k1"), store.lease)
    await before.save(tokens("pair"), spent=f"rev_refresh_{store.lease.installation}")
    meddling = Meddling(ring("k2", "k1"), store)
    assert await reseal(store.database, meddling, "k2", key_id_of) == 1
    assert meddling.refused == [True, True], "for both tokens of the pair"
