"""Token pairs at rest: ciphertext only, each change noted in `token_events`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, insert, literal_column, not_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from syncd.errors import LeaseLost
from syncd.model import Lease, Vault
from syncd.store.database import Database, fence
from syncd.store.tables import credentials, installations, token_events
from syncd.wire.tokens import Tokens, fingerprint

# A consent lasts a year, whatever is renewed; near its end a new refresh token lives as long as is left of it
# (contracts/revento.md §2, G9), which is less than the 90 days of any other.
CONSENT_ENDS_AT = """least(
    granted_at + interval '1 year',
    CASE WHEN pair.updated_at > granted_at + interval '200 days'
          AND refresh_expires_at < pair.updated_at + interval '89 days' THEN refresh_expires_at END)"""


@dataclass(frozen=True, slots=True)
class StoredTokens:
    """`model.TokenStore` for the driver that holds `lease`."""

    database: Database
    vault: Vault
    lease: Lease
    here: str | None = None  # `restored.where_we_are`

    async def load(self) -> Tokens:
        """The newest pair. Raises ConfigError when it does not open."""
        async with self.database.control() as control:
            row = (
                await control.execute(
                    select(_PAIR, installations.c.scopes, installations.c.state, _CONSENT_ENDS_AT)
                    .join(installations, installations.c.name == _PAIR.c.installation)
                    .where(_PAIR.c.installation == self.lease.installation)
                )
            ).one()
        return Tokens(
            access_token=self._open("access_token", row.access_token),
            refresh_token=None if row.refresh_token is None else self._open("refresh_token", row.refresh_token),
            access_expires_at=row.access_expires_at,
            refresh_expires_at=row.refresh_expires_at,
            scopes=tuple(row.scopes),
            in_doubt=row.intent_at is not None,
            generation=row.generation,
            consent_ends_at=row.consent_ends_at,
            is_from_elsewhere=None not in (row.stored_in, self.here) and row.stored_in != self.here,
            is_refused=row.state == "needs_consent",
        )

    async def intend(self, refresh_token: str) -> bool:
        """Note, durably, that this refresh token is about to be spent; False where another pair has replaced it."""
        async with self.database.control() as control:
            await fence(control, self.lease)
            noted = await control.execute(self._holding(refresh_token).values(intent_at=func.clock_timestamp()))
            if noted.rowcount:
                await write_event(control, self.lease.installation, "refreshing", fingerprint(refresh_token))
        return bool(noted.rowcount)

    async def save(self, tokens: Tokens, *, spent: str) -> None:
        """Replace the pair whose refresh token was spent and close the intent; committed when this returns.

        Not fenced by the lease: whoever holds the successor of a spent token must store it. Raises LeaseLost when the
        pair is another one by now: an organizer has consented anew, and ours is of the old grant.
        """
        row = token_row(self.vault, self.lease.installation, tokens, self.here)
        async with self.database.control() as control:
            stored = await control.execute(self._holding(spent).values(row))
            if not stored.rowcount:
                await self._require_stored(control, tokens)
                return
            await self._note_scopes(control, tokens)
            await write_event(control, self.lease.installation, "refreshed", fingerprint(tokens.access_token))

    async def refuse(self, refresh_token: str | None, code: str, reason: str) -> bool:
        """Park the installation: this pair is no use any more; False where another one has replaced it.

        In one transaction, so that no crash lets a refused token be shown again. A pause ends with it.
        """
        async with self.database.control() as control:
            await fence(control, self.lease)
            noted = await control.execute(self._holding(refresh_token).values(intent_at=None))
            if noted.rowcount:
                await control.execute(
                    update(installations)
                    .where(installations.c.name == self.lease.installation)
                    .values(state="needs_consent", state_reason=reason, updated_at=func.clock_timestamp())
                )
                await write_event(control, self.lease.installation, "refused", None, code)
        return bool(noted.rowcount)

    def _open(self, column: str, sealed: bytes) -> str:
        return self.vault.open(sealed, place(self.lease.installation, column))

    def _holding(self, refresh_token: str | None) -> Any:
        """Our row, as long as this is the refresh token in it."""
        held = None if refresh_token is None else fingerprint(refresh_token)
        return update(credentials).where(
            credentials.c.installation == self.lease.installation,
            credentials.c.refresh_fingerprint.is_not_distinct_from(held),
        )

    async def _require_stored(self, control: AsyncConnection, tokens: Tokens) -> None:
        """A commit whose reply was lost is tried again (docs/faults.md 82), and finds its pair. Raises LeaseLost."""
        ours = select(credentials.c.installation).where(
            credentials.c.installation == self.lease.installation,
            credentials.c.access_fingerprint == fingerprint(tokens.access_token),
        )
        if (await control.execute(ours)).first() is None:
            raise LeaseLost(f"the credentials of {self.lease.installation} were replaced meanwhile")

    async def _note_scopes(self, control: AsyncConnection, tokens: Tokens) -> None:
        """Other scopes are a change of the installation: streams that were skipped for want of one are due at once."""
        granted = list(tokens.scopes)
        if granted:
            ours = installations.c.scopes
            await control.execute(
                update(installations)
                .where(installations.c.name == self.lease.installation)
                .where(not_(and_(ours.contains(granted), ours.contained_by(granted))))
                .values(scopes=granted, updated_at=func.clock_timestamp())
            )


_PAIR = credentials.alias("pair")
_CONSENT_ENDS_AT: ColumnElement[datetime | None] = literal_column(CONSENT_ENDS_AT).label("consent_ends_at")


def place(installation: str, column: str) -> str:
    """What a ciphertext is bound to."""
    return f"credentials:{installation}:{column}"


def token_row(vault: Vault, installation: str, tokens: Tokens, here: str | None) -> dict[str, Any]:
    """The row that stores a pair; an open intent is closed by it.

    Without `here` a `stored_in` that is known stays: forgotten, a later copy would take the pair for its own.
    """
    refresh = tokens.refresh_token
    row = {
        "installation": installation,
        "access_token": vault.seal(tokens.access_token, place(installation, "access_token")),
        "refresh_token": None if refresh is None else vault.seal(refresh, place(installation, "refresh_token")),
        "access_fingerprint": fingerprint(tokens.access_token),
        "refresh_fingerprint": None if refresh is None else fingerprint(refresh),
        "access_expires_at": tokens.access_expires_at,
        "refresh_expires_at": tokens.refresh_expires_at,
        "generation": tokens.generation,
        "intent_at": None,
        "updated_at": func.clock_timestamp(),
    }
    return row if here is None else row | {"stored_in": here}


async def holder_of(control: AsyncConnection, tokens: Tokens) -> tuple[str, bool] | None:
    """The installation that holds this pair, and whether its refresh token has been shown to the server before."""
    refresh = tokens.refresh_token
    given = {"access": fingerprint(tokens.access_token), "refresh": None if refresh is None else fingerprint(refresh)}
    row = (await control.execute(_HOLDER, given)).first()
    return None if row is None else (row.installation, row.is_spent)


_HOLDER = text("""
    SELECT installation, false AS is_spent FROM syncd.credentials
    WHERE refresh_fingerprint = :refresh OR access_fingerprint = :access
    UNION ALL
    SELECT installation, true FROM syncd.token_events WHERE kind = 'refreshing' AND token_fingerprint = :refresh
    ORDER BY is_spent LIMIT 1
""")


async def write_tokens(control: AsyncConnection, row: dict[str, Any]) -> None:
    """Store a pair inside the given transaction."""
    await control.execute(
        upsert(credentials).values(row).on_conflict_do_update(index_elements=["installation"], set_=row)
    )


async def put_off(database: Database, installation: str, reason: str) -> None:
    """Note that a renewal did not come about, so that it is not tried again at once."""
    async with database.control() as control:
        await write_event(control, installation, "put_off", None, reason)


async def write_event(
    control: AsyncConnection, installation: str, kind: str, token_fingerprint: str | None, detail: str | None = None
) -> None:
    """Note what happened to a token, never the token."""
    await control.execute(
        insert(token_events).values(
            installation=installation,
            happened_at=func.clock_timestamp(),
            kind=kind,
            token_fingerprint=token_fingerprint,
            detail=detail,
        )
    )
