"""Killed at a named place while the world changes, and taken over: nothing is lost, doubled, set back or removed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg
import pytest

from tests.harness import OpenBench
from tests.kills import BY_NAME
from tests.kills.failpoint import STATEMENT, Failpoint, NoSuchPlace, When, resolve
from tests.kills.large import READINGS, kill_at_random
from tests.kills.lives import lives
from tests.kills.points import FAILPOINTS
from tests.kills.run import Databases, play_all

# The two that cost most when they go wrong: rows, and the consent.
SHARE = ("a page is not committed", "the new pair is not committed")
AT_A_TIME = 4


@pytest.fixture
def fresh(postgres_admin: psycopg.Connection, postgres_server: str, postgres_template: str) -> Databases:
    return Databases(postgres_admin, postgres_server, postgres_template)


async def violations(failpoints: Iterable[Failpoint], seeds: Iterable[int], fresh: Databases) -> dict[str, list[str]]:
    plans = [(failpoint, seed) for seed in seeds for failpoint in failpoints]
    return {
        f"{verdict.failpoint.name} (seed {verdict.seed})": verdict.violations
        async for verdict in play_all(plans, fresh, AT_A_TIME)
        if verdict.violations
    }


@pytest.mark.parametrize("failpoint", FAILPOINTS, ids=lambda failpoint: failpoint.name)
def test_a_failpoint_names_a_place_that_exists(failpoint: Failpoint) -> None:
    if not failpoint.where.startswith(STATEMENT):
        resolve(failpoint.where)
    assert BY_NAME[failpoint.name] is failpoint, "no two have one name"


def test_a_place_that_is_gone_is_told() -> None:
    with pytest.raises(NoSuchPlace, match="certify_nothing"):
        Failpoint("gone", "syncd.store.walks:certify_nothing", When.BEFORE).set()


@pytest.mark.fault(45)
@pytest.mark.fault(94)
async def test_kill_9_at_a_few_failpoints(fresh: Databases) -> None:
    assert await violations([BY_NAME[name] for name in SHARE], [0], fresh) == {}


@pytest.mark.slow
@pytest.mark.fault(45)
@pytest.mark.fault(82)
@pytest.mark.fault(94)
@pytest.mark.parametrize("seed", range(2))
async def test_kill_9_at_every_failpoint(fresh: Databases, seed: int) -> None:
    """From seed 1 on the rescuer is killed too, and the API is read the other way."""
    assert len(FAILPOINTS) >= 40
    assert await violations(FAILPOINTS, [seed], fresh) == {}


@pytest.mark.slow
@pytest.mark.fault(19)
@pytest.mark.fault(20)
@pytest.mark.fault(94)
@pytest.mark.parametrize("reading", READINGS, ids=str)
async def test_twenty_kills_at_random_with_a_refresh_and_a_413(
    open_bench: OpenBench, reading: Mapping[str, str]
) -> None:
    async with lives() as its:
        figures = await kill_at_random(open_bench, its, reading, participants=5_000, kills=20, seed=1)
    assert figures.violations == []
