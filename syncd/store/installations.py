"""The registry of installations, and what is promised of each of their streams."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import RowMapping, Select, case, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from syncd.errors import ConfigError, NeedsAuthorization
from syncd.model import Installation, InstallationState, Vault
from syncd.store.database import Database
from syncd.store.tables import installations
from syncd.store.tokens import holder_of, token_row, write_event, write_tokens
from syncd.wire.tokens import Tokens, fingerprint

# A suspension lasts hours or days, and the listing that tells of it has a small budget (contracts/revento.md §8).
ASK_EVERY_S = 900.0
# A refresh token that nobody uses dies after 90 days (contracts/revento.md §2); an idle one is renewed after 30.
KEPT_ALIVE = timedelta(days=60)

# Names in a hint; there may be thousands.
_SHOWN = 5
_READINGS = ("cursor_survives_refresh", "cursor_survives_limit")
_COLUMNS = [installations.columns[field.name] for field in fields(Installation)]


async def store_installation(
    database: Database,
    vault: Vault,
    installation: Installation,
    tokens: Tokens,
    *,
    granted_at: datetime | None = None,
    here: str | None = None,
) -> bool:
    """Add the installation, or replace its settings and credentials: either way under a new grant.

    `granted_at`: when the organizer consented; None: now. `here`: `restored.where_we_are`.

    A pause stays: whoever paused it did not mean the credentials. So does what the API was seen to do with a cursor.

    Credentials that have been renewed since are not taken up again, that would kill the grant: the newer ones stay, and
    False is returned. Raises NeedsAuthorization where those were refused, ConfigError where another installation has
    the grant: two would spend its refresh token twice, and its budget.
    """
    row: dict[str, Any] = {
        column.name: getattr(installation, column.name) for column in _COLUMNS if column.name not in _READINGS
    }
    row |= {"scopes": list(installation.scopes), "grant_id": uuid4(), "updated_at": func.clock_timestamp()}
    is_paused = installations.c.state == "paused"
    kept = {
        "state": case((is_paused, installations.c.state), else_="active"),
        "state_reason": case((is_paused, installations.c.state_reason)),
    }
    pair = token_row(vault, installation.name, tokens, here)
    async with database.control() as control:
        holder, is_spent = await holder_of(control, tokens) or (installation.name, False)
        if holder != installation.name:
            # Renewed since, they would outlive its removal as a refresh token that is spent, and kill the grant.
            otherwise = (
                "have the account connected again for another one"
                if is_spent
                else f"`syncd installations remove --keep-grant {holder}` first"
            )
            raise ConfigError(f"the credentials are those of {holder}", hint=f"work with {holder}, or {otherwise}")
        if is_spent:
            await _store_settings(control, installation.name, row)
            return False
        await control.execute(
            insert(installations)
            .values(row | {"state": "active", "created_at": func.clock_timestamp()})
            .on_conflict_do_update(index_elements=["name"], set_=row | kept)
        )
        await write_tokens(control, pair | {"granted_at": granted_at or func.clock_timestamp()})
        await write_event(control, installation.name, "issued", fingerprint(tokens.access_token))
    return True


async def _store_settings(control: AsyncConnection, name: str, row: dict[str, Any]) -> None:
    """All but the credentials and their scopes. Raises NeedsAuthorization, with nothing stored, where they are dead."""
    settings = {column: value for column, value in row.items() if column not in ("state", "scopes", "grant_id")}
    stored = update(installations).where(installations.c.name == name).values(settings).returning(installations.c.state)
    if (await control.execute(stored)).scalar_one() == "needs_consent":
        raise NeedsAuthorization(
            f"the credentials are the ones that {name} had: they have been renewed since, and refused",
            hint="ask whoever consented to do so again, and add what comes of it",
        )


async def list_installations(database: Database) -> list[Installation]:
    """All installations, by name."""
    return await _fetch(database, select(*_COLUMNS).order_by(installations.c.name))


async def stored_installation(database: Database, name: str) -> Installation | None:
    """The installation of exactly that name, if there is one."""
    return next(iter(await _fetch(database, select(*_COLUMNS).where(installations.c.name == name))), None)


async def find_installation(database: Database, name: str) -> Installation:
    """The installation of that name, or of which it is an unambiguous suffix. Raises ConfigError."""
    everyone = await list_installations(database)
    ending = [one for one in everyone if name and one.name.endswith(name)]
    matches = [one for one in everyone if one.name == name] or ending
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(
            f"installation {name!r} is ambiguous: {len(matches)} names end with it",
            hint=f"give more of the name: {_some(one.name for one in matches)}",
        )
    raise _unknown(name, [one.name for one in everyone])


def _unknown(name: str, known: list[str]) -> ConfigError:
    near = difflib.get_close_matches(name, known, n=3) or difflib.get_close_matches(
        name, [each.rpartition("/")[2] for each in known], n=3
    )
    if near:
        hint = f"did you mean {' or '.join(near)}?"
    else:
        hint = f"known installations: {_some(known)}" if known else "add one: `syncd installations add --help`"
    return ConfigError(f"installation {name!r} is unknown", hint=hint)


def _some(names: Iterable[str]) -> str:
    """The first few, and how many more there are."""
    every = list(names)
    more = len(every) - _SHOWN
    return ", ".join(every[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


async def set_state(
    database: Database, installation: Installation, state: InstallationState, reason: str | None
) -> bool:
    """Change what the scheduler may do with the installation, and say why.

    False: it is not as it was read any more, a newer consent or a pause has come meanwhile, and is left alone.
    """
    as_read = (
        installations.c.name == installation.name,
        installations.c.grant_id == installation.grant_id,
        installations.c.state == installation.state,
    )
    async with database.control() as control:
        changed = await control.execute(
            update(installations)
            .where(*as_read)
            .values(state=state, state_reason=reason, updated_at=func.clock_timestamp())
        )
        return changed.rowcount == 1


async def note_asked(database: Database, installation: Installation) -> None:
    """Begin the wait anew until the source is asked after the installation; one that has changed is left alone."""
    async with database.control() as control:
        await control.execute(_ASKED, {"name": installation.name, "state": installation.state})


_ASKED = text("UPDATE syncd.installations SET updated_at = clock_timestamp() WHERE name = :name AND state = :state")


async def promise(database: Database, source: str, intervals: Mapping[str, timedelta]) -> None:
    """Set how fresh each stream of a source's installations shall be; written only where it differs."""
    seconds = {stream: int(interval.total_seconds()) for stream, interval in intervals.items()}
    async with database.control() as control:
        await control.execute(_PROMISE, {"source": source, "streams": list(seconds), "seconds": list(seconds.values())})


_PROMISE = text("""
    INSERT INTO syncd.stream_status AS ours (installation, stream, promised_seconds)
    SELECT name, stream, seconds
    FROM syncd.installations,
         unnest(CAST(:streams AS text[]), CAST(:seconds AS integer[])) AS promise (stream, seconds)
    WHERE source = :source
    ON CONFLICT (installation, stream) DO UPDATE SET promised_seconds = EXCLUDED.promised_seconds
    WHERE ours.promised_seconds <> EXCLUDED.promised_seconds
""")


async def due_streams(database: Database, name: str) -> dict[str, float]:
    """Seconds until each stream of an installation should be walked again, 0 or less when it is due.

    A stream is walked again when nine tenths of its promise are used up, so that the walk itself fits into it. One
    that was tried in vain waits a tenth of its promise, one that was skipped, or whose walk the API would not let come
    to its end however often it was begun anew, waits the whole of it; none waits once the
    installation has changed: new credentials, a suspension that is over.
    """
    async with database.control() as control:
        rows = await control.execute(_DUE, {"name": name, "state": None})
        return {stream: float(due_in_s) for _, stream, due_in_s in rows}


async def due_installations(database: Database) -> dict[str, float]:
    """Seconds until the first stream of each active installation is due, one that is suspended or waits for a consent
    should be asked after (a suspension may look like a lost consent), or a paused one's tokens kept alive."""
    due: dict[str, float] = {}
    async with database.control() as control:
        for name, due_in_s in await control.execute(_WAITING, {"every_s": ASK_EVERY_S}):
            due[name] = float(due_in_s)
        for name, due_in_s in await control.execute(_IDLE, {"days": KEPT_ALIVE.days}):
            due[name] = float(due_in_s)
        for name, _, due_in_s in await control.execute(_DUE, {"name": None, "state": "active"}):
            due[name] = min(due.get(name, float(due_in_s)), float(due_in_s))
    return due


# Once a day where it does not succeed.
_IDLE = text("""
    SELECT installation, extract(epoch FROM greatest(
        refresh_expires_at - make_interval(days => :days),
        (SELECT max(happened_at) FROM syncd.token_events AS event WHERE event.installation = pair.installation)
            + interval '1 day') - clock_timestamp())
    FROM syncd.credentials AS pair JOIN syncd.installations ON name = installation
    WHERE state = 'paused' AND refresh_token IS NOT NULL AND refresh_expires_at > clock_timestamp()
""")
_WAITING = text("""
    SELECT name, extract(epoch FROM updated_at - clock_timestamp()) + :every_s FROM syncd.installations
    WHERE state IN ('suspended', 'needs_consent')
""")
_DUE = text("""
    SELECT status.installation, stream, greatest(
        coalesce(extract(epoch FROM last_certified_at - clock_timestamp()) + 0.9 * promised_seconds, 0),
        CASE WHEN status IS DISTINCT FROM 'certified' AND last_tried_at >= updated_at
             THEN coalesce(extract(epoch FROM last_tried_at - clock_timestamp())
                           + promised_seconds * CASE WHEN status IN ('skipped', 'incomplete') THEN 1 ELSE 0.1 END, 0)
             ELSE 0 END)
    FROM syncd.stream_status AS status JOIN syncd.installations ON name = status.installation
    WHERE status.installation = coalesce(CAST(:name AS text), status.installation)
      AND state = coalesce(CAST(:state AS text), state)
""")


async def _fetch(database: Database, statement: Select[Any]) -> list[Installation]:
    async with database.control() as control:
        return [_read(row) for row in (await control.execute(statement)).mappings()]


def _read(row: RowMapping) -> Installation:
    values = {column.name: row[column.name] for column in _COLUMNS}
    return Installation(**values | {"scopes": tuple(row["scopes"])})
