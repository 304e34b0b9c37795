"""Bugs that the simulation must find: places of the engine's source that are changed before it is linked, and of the
model store, where the rule is the store's (tests/planted has the same ones for the real store)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.linked import STORE, Change

_STREAM, _INSTALLATION, _REMOVALS = (f"syncd/sync/{name}.py" for name in ("stream", "installation", "removals"))
_REFRESH = "syncd/credentials/refresh.py"
_SINCE = "            since = await witnessed_since(tx, witnesses)\n"


@dataclass(frozen=True)
class EngineBug:
    """What goes wrong, and where. `fault`: the one that it takes; None: any."""

    name: str
    changes: tuple[Change, ...]
    fault: str | None = None


BUGS = (
    EngineBug(
        "the position is saved in a transaction before that of the rows",
        ((_STREAM, "            async with run.database.begin(run.lease, run.run_id, stream.name) as tx:  # one page",
          "            if page.resume_at is not None:\n"
          "                async with run.database.begin(run.lease, run.run_id, stream.name) as tx:\n"
          "                    await save_position(tx, page.resume_at)\n"
          "            async with run.database.begin(run.lease, run.run_id, stream.name) as tx:  # one page"),),
    ),
    EngineBug(
        "a certificate is given before the last page",
        ((_STREAM, "                if page.resume_at is None:\n                    result = await _close",
          "                if page.resume_at is None or walk.page_number == 1:\n"
          "                    result = await _close"),),
    ),
    EngineBug(
        "the last page is certified without its rows",
        ((_STREAM, "    counts = await apply_changes(tx, page.changes, page.request_id, walk.walk_id)\n",
          "    shown = page.changes if page.resume_at else ()\n"
          "    counts = await apply_changes(tx, shown, page.request_id, walk.walk_id)\n"
          "    counts += Counts(superseded=0 if page.resume_at else len(page.changes))\n"),),
    ),
    EngineBug(
        "a row is lost on every page",
        ((_STREAM, "    counts = await apply_changes(tx, page.changes, page.request_id, walk.walk_id)\n",
          "    counts = await apply_changes(tx, page.changes[1:], page.request_id, walk.walk_id)\n"
          "    counts += Counts(superseded=min(1, len(page.changes)))\n"),),
    ),
    EngineBug(
        "a listing whose cursors are refused is begun anew for ever",
        ((_INSTALLATION, "            rule.require_hope(error, restarts)\n", ""),),
    ),
    EngineBug(
        "a walk that is begun anew keeps its refused cursor",
        ((_INSTALLATION, "        await begin_walk(tx, Start(limit=error.limit), generation=walk.generation + 1)\n",
          "        position = walk.position\n"
          "        await begin_walk(tx, Start(limit=error.limit), generation=walk.generation + 1)\n"
          "        await save_position(tx, position)\n"),
         (_INSTALLATION, "    restarts_of_run,\n", "    restarts_of_run,\n    save_position,\n")),
    ),
    EngineBug(
        "a refused walk is not given up",
        ((_INSTALLATION, "        await abandon_walk(tx, walk, str(error))\n", ""),),
    ),
    EngineBug(
        "a row is hidden after one walk",
        ((_REMOVALS, _SINCE, _SINCE.replace("witnesses)", "1)")),),
    ),
    EngineBug(
        "what is gone is never hidden",
        ((_REMOVALS, "    return Decision(agreed.stubs | (agreed.rows - pending.rejected), frozenset())\n",
          "    return Decision(agreed.stubs, frozenset())\n"),),
    ),
    EngineBug(
        "all that no walk has met lately is hidden, whenever it was written",
        ((_REMOVALS, _SINCE, _SINCE.replace("await witnessed_since(tx, witnesses)", "tx.now")),),
    ),
    EngineBug(
        "a page that is not full ends the listing as if it were its last",
        ((_STREAM, "                if page.resume_at is None:\n",
          "                if page.resume_at is None or len(page.changes) < (page.limit or 0):\n"),),
    ),
    EngineBug(
        "a round that was cut off counts as certified",
        ((_STREAM, "    async with run.database.begin(run.lease, run.run_id, stream.name) as tx:\n"
          "        walk = await open_walk(",
          "    async with run.database.begin(run.lease, run.run_id, stream.name) as tx:\n"
          "        await end_stream(tx, StreamResult(stream.name, \"certified\"))\n"
          "        walk = await open_walk("),),
    ),
    EngineBug(
        "the fence asks for the epoch alone",
        ((STORE, "return (self.epoch, self.owner) == (lease.epoch, lease.owner)", "return self.epoch == lease.epoch"),),
        "failover",
    ),
    EngineBug(
        "a walk goes on behind a page that a failover has lost",
        ((STORE, "if walk.walk_id not in tx.data.walks or len(earlier) != walk.page_number:",
          "if walk.walk_id not in tx.data.walks:"),),
        "failover",
    ),
    EngineBug(
        "a stream is green by a certificate that a failover has lost",
        ((STORE, "    if is_green and not any(", "    if False and not any("),),
        "failover",
    ),
    EngineBug(
        "a refresh token is spent without a word before",
        ((_REFRESH, "        if not await self.store.intend(tokens.refresh_token):\n"
          "            return await self._load()\n", ""),),
    ),
    EngineBug(
        "a new pair is not stored",
        ((_REFRESH, "        await self._save(fresh, spent=tokens.refresh_token)\n", ""),),
    ),
)  # fmt: skip
