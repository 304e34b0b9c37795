"""A crash costs the grant between the server's answer and our commit, and nowhere else."""

from __future__ import annotations

import pytest

from tests.simulation.refresh_window import measure


@pytest.mark.fault(45)
@pytest.mark.fault(94)
@pytest.mark.slow
def test_a_crash_costs_the_grant_inside_the_window_alone() -> None:
    """There the spent token is shown once more, and then a person is asked."""
    window = measure("proposed")
    assert window.lost == window.inside
    assert 0 < len(window.inside) <= 5
    assert set(window.asked_again) == {1}
    assert not window.violations


@pytest.mark.slow
@pytest.mark.fault(45)
def test_where_the_server_replays_a_pair_for_a_while_not_even_there() -> None:
    window = measure("grace")
    assert (window.lost, window.violations) == ([], {})
