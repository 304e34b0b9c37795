"""What only a process shows that dies at the wrong instant (docs/faults.md 45, 94)."""

from __future__ import annotations

from tests.planted.bug import Bug

_KILLS = ("tests/kills/test_kills.py::test_kill_9_at_a_few_failpoints",)

BUGS = (
    Bug(
        "the position is saved before the rows, in a transaction of its own",
        "syncd/sync/stream.py", "            requests = run.requests.pending()\n",
        "            requests = run.requests.pending()\n"
        "            async with run.database.begin(run.lease, run.run_id, stream.name) as tx:\n"
        "                if page.resume_at is not None:\n"
        "                    await save_position(tx, page.resume_at)\n",
        _KILLS, (94,),
    ),
    Bug(
        "a lease is not given back",
        "syncd/store/leases.py", "        await asyncio.wait([heartbeat])\n        await _release(database, lease)\n",
        "        await asyncio.wait([heartbeat])\n",
        _KILLS, (94,),
    ),
    Bug(
        "a new pair is used before it is stored",
        "syncd/credentials/refresh.py", "        await self._save(fresh, spent=tokens.refresh_token)\n",
        "        save = self._save(fresh, spent=tokens.refresh_token)\n"
        "        asyncio.get_running_loop().call_later(0.05, asyncio.ensure_future, save)\n",
        _KILLS, (45,),
    ),
)  # fmt: skip
