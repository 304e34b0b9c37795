"""The source's listing of connections beside our installations: what agrees, and what a person should do where not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from syncd.model import Installation
from syncd.sources.base import Connection
from syncd.sync.standing import standing_of


@dataclass(frozen=True, slots=True)
class Discovered:
    """One account; `installation` None: not here; `listed` None: not there; `advice` None: both agree."""

    account: str
    installation: str | None
    state: str | None
    listed: str | None
    advice: str | None


def discover(connections: Sequence[Connection], installations: Sequence[Installation]) -> list[Discovered]:
    """Every account of either side, by its name; what was revoked and is not here is past."""
    ours = {one.account: one for one in installations}
    accounts = sorted({*ours, *(each.account for each in connections)})
    return [found for account in accounts if (found := _compare(account, connections, ours.get(account))) is not None]


def _compare(account: str, connections: Iterable[Connection], ours: Installation | None) -> Discovered | None:
    mine = [each for each in connections if each.account == account]
    listed = standing_of(account, mine) or next((each.status for each in mine), None)
    if ours is None:
        advice = f"connect it: `syncd connect revento {account}`" if listed == "active" else None
        return None if listed == "revoked" else Discovered(account, None, None, listed, advice)
    scopes = {scope for each in mine if each.status == listed for scope in each.scopes}
    return Discovered(account, ours.name, ours.state, listed, next(_advice(ours, listed, scopes), None))


def _advice(ours: Installation, listed: str | None, scopes: set[str]) -> Iterator[str]:
    again = f"`syncd connect revento {ours.account}` connects it anew"
    if listed in (None, "revoked"):
        known = "the source does not list it" if listed is None else "its organizer has disconnected it"
        yield f"{known}: {again}, `syncd installations remove {ours.name}` gives it up"
    if listed == "active" and ours.state == "needs_consent":
        yield f"its tokens are no longer good: {again}"
    if listed == "active" and ours.state == "suspended":
        yield "the suspension is over; it goes on within 15 minutes"
    if listed == "suspended" and ours.state == "active":
        yield "Revento has suspended it, and its next call will find that out"
    if listed == "suspended" and ours.state == "needs_consent":
        yield f"Revento has suspended it, and its tokens were refused: when that is over, {again}"
    if scopes and (more := scopes - set(ours.scopes)):
        yield f"its tokens lack {', '.join(sorted(more))}: {again} with it"
    if scopes and (fewer := set(ours.scopes) - scopes):
        yield f"{', '.join(sorted(fewer))} is no longer granted, and its streams will be skipped; {again} with it"
