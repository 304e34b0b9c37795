"""The key ring, and whether every stored credential opens under it. No key is made here."""

from __future__ import annotations

from collections.abc import Sequence

from syncd.errors import ConfigError
from syncd.findings import Finding
from syncd.model import Vault
from syncd.store.observations import CredentialReport

TOPIC = "keys"


def check_keys(ring: Vault | ConfigError | None, credentials: Sequence[CredentialReport]) -> list[Finding]:
    """Whether there are keys, and every stored pair opens under them."""
    if isinstance(ring, ConfigError):
        return [Finding(TOPIC, "wrong", str(ring), ring.hint)]
    if ring is None:
        return [_missing(len(credentials))]
    refusals = [one.refusal for one in credentials if one.refusal is not None]
    refused = [Finding(TOPIC, "wrong", str(refusal), refusal.hint) for refusal in refusals]
    return refused or [Finding(TOPIC, "ok", f"all stored credentials open ({len(credentials)})")]


def _missing(stored: int) -> Finding:
    if not stored:
        return Finding(TOPIC, "ok", "there are no keys and no credentials yet; keys are made with the first ones")
    return Finding(
        TOPIC, "wrong", f"there are no keys, and {stored} stored credentials need them",
        "restore them from a copy, or add the installations again",
    )  # fmt: skip
