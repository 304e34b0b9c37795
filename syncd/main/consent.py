"""The integration's own credentials, and what they are good for before there is an installation."""

from __future__ import annotations

from syncd.clock import SystemClock
from syncd.config import Settings
from syncd.credentials.connect import Consent
from syncd.http.client import open_client
from syncd.http.token_endpoint import HttpTokenEndpoint
from syncd.main.database import secret
from syncd.wire.tokens import ClientIdentity


def client_identity(settings: Settings) -> ClientIdentity | None:
    """The integration's id and secrets; None where they are not configured."""
    revento = settings.revento
    secrets = tuple(filter(None, map(secret, (revento.client_secret, revento.next_client_secret))))
    return ClientIdentity(revento.client_id, secrets) if revento.client_id and secrets else None


async def redeem(settings: Settings, auth_url: str, consent: Consent, code: str) -> bytes:
    """The token reply that a consent's code is good for, as it came: secret.

    Raises NeedsAuthorization when the code is refused, ConfigError when it is our own settings, Transient when no
    answer came.
    """
    async with open_client(proxy=secret(settings.http.proxy)) as client:
        endpoint = HttpTokenEndpoint(client, auth_url, client_identity(settings), SystemClock())
        return await endpoint.redeem(code, consent.verifier, consent.redirect_uri)
