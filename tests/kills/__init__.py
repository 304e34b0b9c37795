"""Processes that kill themselves at named places, before a real PostgreSQL and a sandbox on real sockets.

`python -m tests.kills` tries every place; `python -m tests.kills.large` kills a walk of 100,000 rows at random.
"""

from __future__ import annotations

from tests.kills.failpoint import Failpoint
from tests.kills.points import FAILPOINTS

BY_NAME: dict[str, Failpoint] = {failpoint.name: failpoint for failpoint in FAILPOINTS}
