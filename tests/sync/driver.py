"""Processes of their own that sync one installation, for the test that kills them.

`python -m tests.sync.driver NAME` forks one child for each line on its standard input, so that the imports are paid for
once; it prints the child's process id when it starts and its exit code (negative: the signal) when it has ended.
"""

from __future__ import annotations

import asyncio
import os
import sys

from syncd import config, logs, main
from syncd.sync.round import Watch


def serve(name: str) -> None:
    """Fork a child for each line, one at a time."""
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(asyncio.run(_sync(name)))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


async def _sync(name: str) -> int:
    given = {key: value for key, value in os.environ.items() if not key.startswith("SYNCD_TEST_")}
    settings = config.load(None, given)
    logs.configure("json", settings.log.level)
    assert settings.database.url
    async with main.open_app(settings, settings.database.url.get_secret_value(), "driver") as app:
        (installation,) = await main.chosen(app, [name])
        return (await app.run_round(app.order(installation, "sync"), Watch())).exit_code


if __name__ == "__main__":
    serve(sys.argv[1])
