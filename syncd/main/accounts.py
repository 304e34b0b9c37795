"""Which installations are meant, and how one is added."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime

from syncd.credentials.generations import GenerationFile
from syncd.credentials.refresh import GivenToken
from syncd.errors import ConfigError, NeedsAuthorization, NotFound
from syncd.logs import get_logger
from syncd.main.app import App
from syncd.main.database import GENERATIONS, home
from syncd.main.steering import check_in_time
from syncd.model import Installation
from syncd.sources import SOURCES
from syncd.sources.base import Stream
from syncd.store import restored
from syncd.store.installations import (
    find_installation,
    list_installations,
    store_installation,
)
from syncd.store.requests import PendingRequests, store_requests
from syncd.store.restored import Restored, where_we_are
from syncd.sync.discovery import Discovered, discover
from syncd.wire.position import Start
from syncd.wire.tokens import Tokens

log = get_logger(__name__)


async def chosen(app: App, names: Sequence[str]) -> list[Installation]:
    """The installations of these names, or all of them. Raises ConfigError for a name that fits none or several."""
    if names:
        return [await find_installation(app.database, name) for name in names]
    return await list_installations(app.database)


def chosen_streams(installation: Installation, names: Sequence[str]) -> tuple[Stream, ...]:
    """The installation's streams of these names in the order of a round, or all of them. Raises ConfigError."""
    streams = SOURCES[installation.source].streams
    known = [stream.name for stream in streams]
    for name in names:
        if name not in known:
            raise ConfigError(f"{installation.name} has no stream {name!r}", hint=f"its streams: {', '.join(known)}")
    return tuple(stream for stream in streams if not names or stream.name in names)


async def add_installation(
    app: App, installation: Installation, tokens: Tokens, *, check: bool, granted_at: datetime | None = None
) -> Installation:
    """Add the installation, or replace its settings and credentials; with `check`, once a call has shown they work.

    `granted_at`: when the consent was given, as far as it is known; None: now. An access token that has run out already
    is not checked: renewing it would spend the refresh token before it is stored. Raises NeedsAuthorization where no
    stream's scope was granted, the ApiError of the call, and what `store_installation` raises.
    """
    source = SOURCES[installation.source]
    if not any(stream.scope in installation.scopes for stream in source.streams):
        raise NeedsAuthorization(
            f"the credentials name none of the scopes that {source.name} needs",
            hint=f"it needs some of: {', '.join(dict.fromkeys(stream.scope for stream in source.streams))}",
        )
    records = PendingRequests()
    if check and tokens.access_expires_at > app.clock.now():
        await _check(app, installation, tokens, records)
    here = await where_we_are(app.database)
    if not await store_installation(app.database, app.vault, installation, tokens, granted_at=granted_at, here=here):
        log.warning("credentials_kept", installation=installation.name, reason="the given ones have been renewed since")
    await app.keep_promises()
    await store_requests(app.database, installation.name, None, records)
    return await find_installation(app.database, installation.name)


async def discovered(app: App) -> list[Discovered]:
    """Revento's listing of connections beside our installations of that API.

    Raises ConfigError where there are no credentials to ask with, or none of that integration; and the ApiError of the
    listing.
    """
    source, api_url = "revento", app.settings.revento.api_url
    here = [one for one in await list_installations(app.database) if (one.source, one.api_url) == (source, api_url)]
    asker = next((one.name for one in here), None)
    try:
        found = await app.connections(source, api_url, asker) if api_url else None
    except NotFound as error:
        raise ConfigError(
            f"Revento has no listing for the integration {app.settings.revento.integration_id!r}: {error}",
            hint="compare revento.integration_id and revento.api_url with the developer console",
        ) from error
    if found is None:
        raise ConfigError(
            "the listing of connections needs the integration's own credentials",
            hint="set revento.api_url, .client_id, .client_secret and .integration_id, from the developer console",
        )
    return discover(found, here)


async def accept_restored(app: App) -> list[Restored]:
    """Take the database for the one that counts from now on, by a person's word. Raises DatabaseError."""
    folder = home(app.settings) / GENERATIONS
    return await restored.accept_restored(app.database, lambda grant: GenerationFile(folder, grant).newest())


async def _check(app: App, installation: Installation, tokens: Tokens, records: PendingRequests) -> None:
    """Make the first call of the first stream that the token's scopes allow, within CHECK_WITHIN_S.

    The name may be known, and then its budget too: what was spent on it counts.
    """
    source = SOURCES[installation.source]
    api = app.api(installation, GivenToken(tokens.access_token), await app.budget(installation), records)
    first = next(stream for stream in source.streams if stream.scope in installation.scopes)
    async with check_in_time(), aclosing(first.walk(api, installation, Start(), 1)) as pages:
        await anext(pages)
