"""The integration's own credentials: one client id, and a secret that can be rotated (contracts/revento.md §2)."""

from __future__ import annotations

import hmac
from collections.abc import Callable

from syncd.sandbox.clock import Clock
from syncd.sandbox.refusals import Refusal
from syncd.sandbox.settings import SandboxSettings

# How long a rotated secret lives on: the webhook secret by §12.3, the client secret under the other reading of G27.
OVERLAP_S = 86_400.0


class Client:
    """Knows the credentials in force."""

    def __init__(self, clock: Clock, settings: Callable[[], SandboxSettings]) -> None:
        self._clock, self._settings = clock, settings
        self._retired: dict[str, float] = {}

    def authenticate(self, client_id: str, client_secret: str) -> None:
        """Raise `invalid_client` unless the pair is in force."""
        good = [f"{self._settings().client_id}\n{secret}".encode() for secret in self._secrets()]
        given = f"{client_id}\n{client_secret}".encode()
        if not any(hmac.compare_digest(given, pair) for pair in good):
            raise Refusal("invalid_client")

    def retire(self, client_secret: str) -> None:
        """The secret has been rotated away just now."""
        self._retired[client_secret] = self._clock.now()

    def _secrets(self) -> list[str]:
        if self._settings().reading("G27") == "dies":
            return [self._settings().client_secret]
        since = self._clock.now() - OVERLAP_S
        return [self._settings().client_secret, *(secret for secret, at in self._retired.items() if at > since)]
