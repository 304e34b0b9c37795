"""Encryption at rest: AES-GCM under a ring of keys, bound to the row that holds the ciphertext.

Stored form: length of key id (1 byte) || key id || nonce (12) || ciphertext and tag. The first key of the ring
encrypts, every key decrypts.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from syncd.errors import ConfigError

KEY_BYTES = 32
_NONCE_BYTES = 12
IF_MISSING = "add that key to security.encryption_keys, behind the current one"


class KeyRing:
    """`model.Vault` over a ring of keys, in memory only."""

    def __init__(self, keys: Mapping[str, bytes], if_missing: str = IF_MISSING) -> None:
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._if_missing = if_missing

    @property
    def first(self) -> str:
        """The id of the key that encrypts."""
        return next(iter(self._keys))

    def seal(self, secret: str, where: str) -> bytes:
        """Encrypt under the first key, bound to `where` (`table:row:column`)."""
        nonce = os.urandom(_NONCE_BYTES)
        key_id = self.first.encode()
        sealed = self._keys[self.first].encrypt(nonce, secret.encode(), where.encode())
        return bytes([len(key_id)]) + key_id + nonce + sealed

    def open(self, sealed: bytes, where: str) -> str:
        """Decrypt what `seal` made for the same `where`. Raises ConfigError; never returns anything doubtful."""
        key_id, nonce, body = _split(sealed)
        if key_id not in self._keys:
            raise ConfigError(
                f"the credential at {where} is encrypted under key {key_id!r}, which is missing",
                hint=self._if_missing,
            )
        try:
            return self._keys[key_id].decrypt(nonce, body, where.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise ConfigError(
                f"the credential at {where} does not open: another key with the id {key_id!r}, or a copied row",
                hint="restore the key it was written with, or add the installation again",
            ) from error


def key_id_of(sealed: bytes) -> str:
    """The id of the key that a stored secret is encrypted under."""
    return _split(sealed)[0]


def new_key() -> str:
    """A fresh key in the form of `security.encryption_keys`: `id:base64(32 bytes)`."""
    return f"k{os.urandom(3).hex()}:{base64.b64encode(os.urandom(KEY_BYTES)).decode()}"


def parse_keys(text: str, name: str = "security.encryption_keys") -> dict[str, bytes]:
    """Read `id:base64,id:base64` that stands in `name`. Raises ConfigError; the message shows no key."""
    keys = dict(_parse_key(number, part, name) for number, part in enumerate(text.split(","), start=1))
    if len(keys) != text.count(",") + 1:
        raise ConfigError(f"{name} names the same key id twice", hint="give each key an id of its own")
    return keys


def _parse_key(number: int, part: str, name: str) -> tuple[str, bytes]:
    key_id, _, encoded = part.strip().partition(":")
    try:
        key = base64.b64decode(encoded, validate=True)
    except ValueError:  # not base64, or not even ASCII
        key = b""
    if not key_id or len(key_id.encode()) > 255 or len(key) != KEY_BYTES:
        raise ConfigError(
            f"key number {number} of {name} is not `id:base64 of {KEY_BYTES} bytes`",
            hint='make one with: echo "k1:$(head -c 32 /dev/urandom | base64)"',
        )
    return key_id, key


def _split(sealed: bytes) -> tuple[str, bytes, bytes]:
    end_of_id = 1 + int.from_bytes(sealed[:1])
    end_of_nonce = end_of_id + _NONCE_BYTES
    return sealed[1:end_of_id].decode(errors="replace"), sealed[end_of_id:end_of_nonce], sealed[end_of_nonce:]
