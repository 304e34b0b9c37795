"""Which cases of a long list `make test` plays; a merge plays them all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

EVERY = 5


def sampled(cases: Iterable[Any]) -> list[Any]:
    """Every fifth case as it is, the others marked slow: what `pytest.mark.parametrize` takes, a tuple for each where
    there are several names."""
    return [case if n % EVERY == EVERY // 2 else _slow(case) for n, case in enumerate(cases)]


def _slow(case: Any) -> Any:
    param = case if hasattr(case, "marks") else pytest.param(*(case if isinstance(case, tuple) else (case,)))
    return pytest.param(*param.values, id=param.id, marks=[*param.marks, pytest.mark.slow])
