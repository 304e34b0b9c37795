"""A check of an installation's credentials, as its caller sees it."""

from __future__ import annotations

import pytest

from syncd.errors import Transient
from syncd.main import steering
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
