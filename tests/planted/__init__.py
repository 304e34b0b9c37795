"""Bugs that are planted in a copy of the code, one at a time: a suite that does not notice one proves less than it
says. `python -m tests.planted` runs them all."""

from __future__ import annotations

from tests.planted.bug import Bug
from tests.planted.bugs import (
    broken,
    budgets,
    by_hand,
    credentials,
    killed,
    leaks,
    looking,
    processes,
    rows,
    transport,
    users,
    values,
    walks,
)

BUGS: tuple[Bug, ...] = (
    *transport.BUGS,
    *walks.BUGS,
    *broken.BUGS,
    *values.BUGS,
    *rows.BUGS,
    *processes.BUGS,
    *looking.BUGS,
    *by_hand.BUGS,
    *credentials.BUGS,
    *killed.BUGS,
    *budgets.BUGS,
    *users.BUGS,
    *leaks.BUGS,
)
