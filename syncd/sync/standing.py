"""A refused token is looked into: the source may have suspended the installation for a while, which is no lost consent.

Suspension is asked after slowly, and work goes on by itself when it is over (contracts/revento.md C7).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from syncd.errors import ApiError
from syncd.logs import get_logger
from syncd.model import Installation, InstallationState
from syncd.sources.base import Connection
from syncd.store.database import Database
from syncd.store.installations import find_installation, set_state

log = get_logger(__name__)

# Of an account: what its source's listing of connections says, UNLISTED where it does not name it; None: there is
# nobody to ask.
Ask = Callable[[Installation], Awaitable[str | None]]

# An account that was connected anew stands in the listing more than once: what still works counts.
_BEST_FIRST = ("active", "suspended", "revoked")

UNLISTED = "unlisted"
SUSPENDED = "suspended at the source; it is asked again every 15 minutes, and work goes on when it is over"


async def consult(database: Database, name: str, ask: Ask) -> bool | None:
    """Ask the source how an installation stands whose token is refused, and note it. Raises DatabaseError.

    An answer that does not come changes nothing: client credentials that are refused say nothing of the grant. Whoever
    pauses the installation meanwhile is not overruled. Says whether anything was noted; None: there is nobody to ask.
    """
    installation = await find_installation(database, name)
    if installation.state not in ("needs_consent", "suspended"):
        return False
    try:
        standing = await ask(installation)
    except ApiError as error:
        log.warning("standing_not_known", installation=name, reason=str(error))
        standing = installation.state
    if standing is None:
        return None
    after = _after(installation.state, standing)
    if after is None or not await set_state(database, installation, *after):
        return False
    log.info("standing", installation=name, standing=standing, state=after[0])
    return True


def standing_of(account: str, connections: Iterable[Connection]) -> str | None:
    """`active`, `suspended` or `revoked`; None when the listing does not know the account."""
    found = {each.status for each in connections if each.account == account}
    return next((status for status in _BEST_FIRST if status in found), None)


def _after(state: InstallationState, standing: str) -> tuple[InstallationState, str | None] | None:
    """The state that follows, with its reason; None: nothing new."""
    match state, standing:
        case ("needs_consent" | "suspended", "suspended"):
            return "suspended", SUSPENDED
        case ("suspended", "active"):
            return "active", None
        case ("suspended", "unlisted"):
            return "needs_consent", "the source does not list the connection"
        case ("suspended", _):
            return "needs_consent", f"the source lists the connection as {standing}"
    return None
