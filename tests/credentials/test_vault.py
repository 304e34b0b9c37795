"""The vault: what it gives back is what it was given, for the same place, or nothing at all."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.credentials.vault import KEY_BYTES, KeyRing, new_key, parse_keys
from syncd.errors import ConfigError

OLD, NEW = b"o" * KEY_BYTES, b"n" * KEY_BYTES
PLACE = "credentials:revento/evt_1:refresh_token"


@given(
    secret=st.text(st.characters(exclude_categories=["Cs"])), place=st.text(st.characters(exclude_categories=["Cs"]))
)
def test_a_secret_comes_back(secret: str, place: str) -> None:
    ring = KeyRing({"k1": NEW})
    sealed = ring.seal(secret, place)
    assert ring.open(sealed, place) == secret
    assert secret.encode() not in sealed or len(secret) < 4


def test_no_two_ciphertexts_are_equal() -> None:
    ring = KeyRing({"k1": NEW})
    assert len({ring.seal("rev_refresh_x", PLACE) for _ in range(100)}) == 100


@pytest.mark.fault(56)
@pytest.mark.parametrize(
    "place",
    ["credentials:revento/evt_2:refresh_token", "credentials:revento/evt_1:access_token", "", PLACE + " "],
)
def test_a_ciphertext_does_not_open_elsewhere(place: str) -> None:
    ring = KeyRing({"k1": NEW})
    with pytest.raises(ConfigError, match="does not open"):
        ring.open(ring.seal("rev_refresh_x", PLACE), place)


@pytest.mark.fault(56)
def test_another_key_of_the_same_name_does_not_open_it() -> None:
    sealed = KeyRing({"k1": OLD}).seal("rev_refresh_x", PLACE)
    with pytest.raises(ConfigError, match="does not open"):
        KeyRing({"k1": NEW}).open(sealed, PLACE)


@pytest.mark.fault(56)
def test_a_key_that_is_gone_is_named() -> None:
    sealed = KeyRing({"k1": OLD}).seal("rev_refresh_x", PLACE)
    with pytest.raises(ConfigError, match="under key 'k1', which is missing"):
        KeyRing({"k2": NEW}).open(sealed, PLACE)


@pytest.mark.fault(56)
def test_the_first_key_seals_and_all_keys_open() -> None:
    old = KeyRing({"k1": OLD}).seal("from before", PLACE)
    ring = KeyRing({"k2": NEW, "k1": OLD})
    assert ring.open(old, PLACE) == "from before"
    assert KeyRing({"k2": NEW}).open(ring.seal("from now on", PLACE), PLACE) == "from now on"


@pytest.mark.fault(56)
def test_a_ciphertext_that_was_touched_does_not_open() -> None:
    ring = KeyRing({"k1": NEW})
    sealed = ring.seal("rev_refresh_x", PLACE)
    for at in range(len(sealed)):
        touched = bytearray(sealed)
        touched[at] ^= 1
        with pytest.raises(ConfigError):
            ring.open(bytes(touched), PLACE)


@pytest.mark.fault(56)
def test_a_ciphertext_that_was_cut_does_not_open() -> None:
    ring = KeyRing({"k1": NEW})
    sealed = ring.seal("rev_refresh_x", PLACE)
    for end in range(len(sealed)):
        with pytest.raises(ConfigError):
            ring.open(sealed[:end], PLACE)


def test_a_new_key_can_be_read() -> None:
    ((key_id, key),) = parse_keys(new_key()).items()
    assert key_id.startswith("k")
    assert len(key) == KEY_BYTES
    assert new_key() != new_key()


def encoded(key: bytes) -> str:
    return base64.b64encode(key).decode()


def test_keys_are_read_in_their_order() -> None:
    assert list(parse_keys(f"k2:{encoded(NEW)}, k1:{encoded(OLD)}").items()) == [("k2", NEW), ("k1", OLD)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k1",
        "k1:",
        ":" + encoded(NEW),
        "k1:" + encoded(NEW[:-1]),
        "k1:" + encoded(NEW + b"x"),
        "k1:" + encoded(NEW)[:-1],
        "k1:" + encoded(NEW) + "!",
        "k" * 256 + ":" + encoded(NEW),
        f"k1:{encoded(NEW)},",
        f"k1:{encoded(NEW)},k1:{encoded(OLD)}",
    ],
)
def test_keys_that_cannot_be_used_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_keys(text)
    for secret in (encoded(NEW), encoded(OLD)):
        assert secret[:20] not in str(error.value) + str(error.value.hint)
