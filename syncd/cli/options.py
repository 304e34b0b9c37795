"""Options that several commands take."""

from __future__ import annotations

from typing import Any

import click


class Period(click.ParamType[float]):
    """A duration such as `30m`, `1h` or `7d`, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        from syncd.config_types import parse_duration

        if isinstance(value, float):
            return value
        try:
            return parse_duration(value).total_seconds()
        except ValueError as error:
            self.fail(f"{value!r} {error}", param, ctx)


since_option = click.option("--since", "since_s", type=Period(), metavar="1h", help="Only the last 30m, 1h, 7d …")
limit_option = click.option(
    "--limit", type=click.IntRange(1, 1_000_000), default=20, show_default=True, metavar="N", help="At most so many."
)
wait_option = click.option(
    "--wait/--no-wait", default=True, help="While another process drives an installation: wait, or give up."
)
