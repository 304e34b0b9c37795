"""A check of an installation's credentials, as its caller sees it."""

from __future__ import annotations

import pytest

from syncd.errors import Transient
from syncd.main import steering
from syncd.sandbox import Limits
from syncd.sync.round import Watch
from tests.harness import OpenBench


async def test_a_check_does_not_wait_out_a_spent_budget(open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steering, "CHECK_WITHIN_S", 1.0)
    bench = await open_bench({"REVENTO__LIMITS__PER_HOUR": "1"})
    installation = await bench.add()
    first = await steering.check_installation(bench.app, installation, Watch(), wait=False)
    assert first.error is None
    second = await steering.check_installation(bench.app, installation, Watch(), wait=False)
    assert isinstance(second.error, Transient)
    assert (second.exit_code, str(second.error)) == (75, "the check had no answer within 1 s")
    assert len(bench.calls()) == 1
    assert bench.query("SELECT owner FROM syncd.leases") == [(None,)], "nobody is kept out by it"


@pytest.mark.fault(63)
async def test_whoever_adds_a_known_name_waits_for_its_budget(open_bench: OpenBench) -> None:
    """The budget belongs to the installation: a new consent has no new one."""
    bench = await open_bench({"REVENTO__LIMITS__PER_MINUTE": "2"}, limits=Limits(500, 30, 5))
    installation = await bench.add()
    for _ in range(2):
        checked = await steering.check_installation(bench.app, installation, Watch(), wait=False)
        assert checked.error is None
    clock = bench.hurry()
    await bench.add_reply("revento", bench.sandbox.connect(bench.event_id), check=True)
    assert 40 < sum(clock.slept) < 62
    assert len(bench.calls()) == 3


async def test_a_spent_budget_is_not_waited_out_before_an_installation_is_added(
    open_bench: OpenBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steering, "CHECK_WITHIN_S", 1.0)
    bench = await open_bench({"REVENTO__LIMITS__PER_HOUR": "1"})
    await bench.add_reply("revento", bench.sandbox.connect(bench.event_id), check=True)
    with pytest.raises(Transient, match="no answer within 1 s"):
        await bench.add_reply("revento", bench.sandbox.connect(bench.event_id), check=True)
    assert len(bench.calls()) == 1
