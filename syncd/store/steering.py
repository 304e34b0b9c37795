"""What people tell an installation and its rounds from another process: pause, resume, cancel, remove."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import Table, func, select, text

from syncd.errors import ConfigError
from syncd.model import Lease
from syncd.store.database import Database, fence

# Shorter beginnings of a run's id fit too many.
SHORTEST_PREFIX = 4


async def pause(database: Database, name: str, reason: str) -> bool:
    """Let nobody call the API for the installation, and ask its round to end.

    False: nobody did, because it was paused already or waits for a consent, which a pause must not make forgotten.
    """
    async with database.control() as control:
        changed = await control.execute(_PAUSE, {"name": name, "reason": reason})
        await control.execute(_CANCEL_ALL, {"name": name})
        return changed.rowcount == 1


async def resume(database: Database, name: str) -> bool:
    """Let the installation work again; False: it was not paused. Whether its token still works, its next call tells."""
    async with database.control() as control:
        return (await control.execute(_RESUME, {"name": name})).rowcount == 1


async def request_cancel(database: Database, run_id: UUID) -> str:
    """Ask a run to end; what became of it: `asked` of its driver, `closed` where that is gone, `ended` long before."""
    async with database.control() as control:
        if (await control.execute(_CANCEL, {"run_id": run_id})).rowcount == 0:
            return "ended"
        return "closed" if (await control.execute(_CLOSE, {"run_id": run_id})).rowcount else "asked"


async def is_cancel_requested(database: Database, run_id: UUID) -> bool:
    """Whether somebody has asked the run to end."""
    async with database.control() as control:
        asked = text("SELECT cancel_requested_at IS NOT NULL FROM syncd.runs WHERE run_id = :run_id")
        return bool(await control.scalar(asked, {"run_id": run_id}))


async def find_run(database: Database, prefix: str) -> UUID:
    """The run whose id begins so. Raises ConfigError unless there is exactly one."""
    wanted = prefix.strip().lower()
    if len(wanted) < SHORTEST_PREFIX:
        raise ConfigError(f"{prefix!r} is too short for a run's id", hint="give its first 4 characters or more")
    async with database.control() as control:
        found = list((await control.scalars(_BEGINNING, {"prefix": wanted})).all())
    if len(found) == 1:
        run_id: UUID = found[0]
        return run_id
    if found:
        raise ConfigError(f"more than one run begins with {prefix!r}", hint="give more characters of its id")
    raise ConfigError(f"no run {prefix!r} is known", hint="`syncd runs list` shows the runs")


async def streams_to_retry(database: Database, run_id: UUID) -> tuple[str, list[str]]:
    """The installation of a run, and the streams that it did not certify: failed ones, and where it was cut off or
    cancelled those that it did not come to."""
    async with database.control() as control:
        installation = str(await control.scalar(_OWNER, {"run_id": run_id}))
        return installation, list((await control.scalars(_UNFINISHED, {"run_id": run_id})).all())


async def remove_installation(database: Database, lease: Lease) -> None:
    """Delete the installation with its credentials and all that the control tables hold of it; copied rows stay.

    Raises LeaseLost.
    """
    async with database.control() as control:
        await fence(control, lease)
        await control.execute(text("DELETE FROM syncd.installations WHERE name = :name"), {"name": lease.installation})


async def count_rows(database: Database, ids: Mapping[str, str], tables: Iterable[Table]) -> int:
    """How many copied rows of an account, which is these ids, the tables hold."""
    counted = [
        select(func.count()).select_from(table).where(*(table.c[name] == value for name, value in ids.items()))
        for table in tables
        if all(name in table.c for name in ids)
    ]
    async with database.control() as control:
        return sum([await control.scalar(each) or 0 for each in counted])


_PAUSE = text("""
    UPDATE syncd.installations SET state = 'paused', state_reason = :reason, updated_at = clock_timestamp()
    WHERE name = :name AND state <> 'needs_consent' AND (state <> 'paused' OR state_reason IS DISTINCT FROM :reason)
""")
_RESUME = text("""
    UPDATE syncd.installations SET state = 'active', state_reason = NULL, updated_at = clock_timestamp()
    WHERE name = :name AND state = 'paused'
""")
_CANCEL_ALL = text("""
    UPDATE syncd.runs SET cancel_requested_at = clock_timestamp() WHERE installation = :name AND state = 'running'
""")
_CANCEL = text("""
    UPDATE syncd.runs SET cancel_requested_at = clock_timestamp() WHERE run_id = :run_id AND state = 'running'
""")
# A run whose lease has run out has no driver that could heed the wish.
_CLOSE = text("""
    UPDATE syncd.runs AS run SET state = 'cancelled', ended_at = heartbeat_at, exit_code = 1
    WHERE run_id = :run_id AND NOT EXISTS (
        SELECT FROM syncd.leases AS lease WHERE lease.installation = run.installation AND until >= clock_timestamp())
""")
_BEGINNING = text("SELECT run_id FROM syncd.runs WHERE starts_with(run_id::text, :prefix) LIMIT 2")
_OWNER = text("SELECT installation FROM syncd.runs WHERE run_id = :run_id")
_UNFINISHED = text("""
    SELECT status.stream FROM syncd.runs AS run JOIN syncd.stream_status AS status USING (installation)
    LEFT JOIN syncd.run_streams AS done ON done.run_id = run.run_id AND done.stream = status.stream
    WHERE run.run_id = :run_id AND status.stream = ANY (coalesce(run.streams, ARRAY[status.stream]))
      AND coalesce(done.status NOT IN ('certified', 'held', 'skipped'), run.state IN ('interrupted', 'cancelled'))
""")
