"""The benchmark runs and tells each figure of both contenders; how fast they are is no matter of a test."""

from __future__ import annotations

import json

import pytest

from tests.bench.__main__ import main

ROWS = 200
FIGURES = {
    *("rows_per_s", "wall_s", "client_cpu_s", "client_cpu_ms", "peak_rss_mb", "server_cpu_ms", "sandbox_cpu_ms"),
    *("wal_bytes", "calls", "replaced_data", "replaced_control"),
}


@pytest.mark.slow
def test_each_figure_is_there(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["bench", "--participants", str(ROWS), "--repeat", "1", "--json"])
    assert main() == 0
    _, first, again = json.loads(capsys.readouterr().out)["phases"].values()
    for phase in (first, again):
        for contender in ("syncd", "floor"):
            assert set(phase[contender]) == FIGURES
            assert phase[contender]["calls"]["median"] == ROWS / 50
    assert (again["syncd"]["replaced_data"]["median"], again["floor"]["replaced_data"]["median"]) == (0, ROWS)
