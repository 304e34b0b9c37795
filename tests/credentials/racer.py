"""`python -m tests.credentials.racer NAME`: runs a round of the installation NAME for each line on standard input.

It is configured by its environment like any `syncd`; after each round it writes the exit code.
"""

from __future__ import annotations

import asyncio
import os
import sys

from syncd import config, logs, main
from syncd.store.installations import find_installation
from syncd.sync.round import Watch


async def race(name: str) -> None:
    """Rounds until the input ends."""
    settings = config.load(None, os.environ)
    async with main.open_app(settings, main.database_url(settings), "racer") as app:
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            installation = await find_installation(app.database, name)
            streams = main.chosen_streams(installation, ["event"])
            result = await app.run_round(app.order(installation, "sync", streams), Watch())
            print(result.exit_code, flush=True)


if __name__ == "__main__":
    logs.configure(level="critical")
    asyncio.run(race(sys.argv[1]))
