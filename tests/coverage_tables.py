"""Which test proves what, read from the markers: `python -m tests.coverage_tables` writes docs/conformance.md."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
CONTRACT = ROOT / "docs/contracts/revento.md"
CONFORMANCE = ROOT / "docs/conformance.md"
WEBHOOKS = {f"RV-{n}" for n in range(28, 38)}
_CASE = re.compile(r"^\| (RV-\d\d) \| ([^|]+) \|", re.MULTILINE)
_HEAD = """\
# Conformance

The cases of [contracts/revento.md](contracts/revento.md) §19, and the tests that prove what a correct client does in
each.
Written by `make tables` from the markers of the tests (`@pytest.mark.case("RV-01")`); do not edit.

| Case | Situation | Proven by |
|---|---|---|
"""


class Proof(NamedTuple):
    """A test, by its file (relative to the repository) and its name."""

    file: str
    test: str


def read_cases() -> Mapping[str, str]:
    """The cases of the contract and their situations, in its order."""
    return dict(_CASE.findall(CONTRACT.read_text().partition("## 19.")[2]))


def read_proofs(marker: str = "case") -> Mapping[str, Sequence[Proof]]:
    """The tests that carry the marker, by its argument. Raises ValueError for a marker that stands on no test."""
    proofs: dict[str, dict[Proof, None]] = defaultdict(dict)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for argument, test in _marked_tests(path, marker):
            proofs[argument][Proof(path.relative_to(ROOT).as_posix(), test)] = None
    return {argument: list(found) for argument, found in proofs.items()}


def conformance() -> str:
    """The text of docs/conformance.md."""
    proofs = read_proofs()
    rows = (
        f"| {case} | {situation.strip()} | {_proven_by(case, proofs)} |\n" for case, situation in read_cases().items()
    )
    return _HEAD + "".join(rows)


def _proven_by(case: str, proofs: Mapping[str, Sequence[Proof]]) -> str:
    if case in proofs:
        return "<br>".join(f"`{proof.file}::{proof.test}`" for proof in proofs[case])
    return "not yet: webhooks" if case in WEBHOOKS else "**no test**"


def _marked_tests(path: Path, marker: str) -> Iterator[tuple[str, str]]:
    text = path.read_text()
    if f"mark.{marker}(" not in text:
        return iter(())
    module = ast.parse(text)
    tests = [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    found = [(argument, test.name) for test in tests for one in test.decorator_list for argument in _marks(one, marker)]
    if len(found) != len(list(_marks(module, marker))):
        raise ValueError(f"{path}: a pytest.mark.{marker} stands on no test")
    return iter(found)


def _marks(node: ast.AST, marker: str) -> Iterator[str]:
    """The arguments of every `pytest.mark.<marker>(argument)` below a node, those of `pytest.param` included; a mark
    that is computed names nothing that can be read here."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == f"pytest.mark.{marker}":
            yield from (str(each.value) for each in call.args if isinstance(each, ast.Constant))


if __name__ == "__main__":
    CONFORMANCE.write_text(conformance())
