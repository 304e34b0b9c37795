"""A process of its own that syncs one installation, for the tests that kill it: `driver.main(name)`."""

from __future__ import annotations

import asyncio
import os
import sys

from syncd import config, logs
from syncd import main as root
from syncd.sync.round import Watch


def main(name: str) -> None:
    """Run one round under the settings of the environment and end with its exit code."""
    settings = config.load(None, {key: value for key, value in os.environ.items() if key.startswith("SYNCD_")})
    logs.configure("json", settings.log.level)
    sys.exit(asyncio.run(_sync(settings, name)))


async def _sync(settings: config.Settings, name: str) -> int:
    assert settings.database.url
    async with root.open_app(settings, settings.database.url.get_secret_value(), "driver") as app:
        (installation,) = await root.chosen(app, [name])
        return (await app.run_round(app.order(installation, "sync"), Watch())).exit_code
