"""Which test proves what, read from the markers: `python -m tests.coverage_tables` writes docs/conformance.md and
docs/proof-of-faults.md."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.planted import BUGS

ROOT = Path(__file__).parent.parent
CONTRACT = ROOT / "docs/contracts/revento.md"
CONFORMANCE = ROOT / "docs/conformance.md"
CATALOGUE = ROOT / "docs/faults.md"
PROOF_OF_FAULTS = ROOT / "docs/proof-of-faults.md"
WEBHOOKS = {f"RV-{n}" for n in range(28, 38)}
# Replies, listings, credentials, budgets, values, PostgreSQL, drivers: what the sync of a warehouse stands on. The
# others wait for what is not built yet, or are proven without planted bugs so far.
PROVEN_BY_BUGS = (*range(1, 90), 92, 93, 94, 96, 97, 101)
_CASE = re.compile(r"^\| (RV-\d\d) \| ([^|]+) \|", re.MULTILINE)
_FAULT = re.compile(r"^(\d+)\. (.+)$", re.MULTILINE)
# Behind an arrow stands what is done about it, unless the name itself, in bold, has one. `[V]` and `[S]` say how a
# fact is known.
_NAME = re.compile(r"(?:\*\*.*?\*\*|(?! → ).)*")
_ORIGIN = re.compile(r" ?\[[VS]\]")
# Their tests prove that the sandbox can do what it is asked to, which says nothing of the client.
_OTHER_SIDE = "tests/sandbox/"
_HEAD = """\
# Conformance

The cases of [contracts/revento.md](contracts/revento.md) §19, and the tests that prove what a correct client does in
each.
Written by `make tables` from the markers of the tests (`@pytest.mark.case("RV-01")`); do not edit.

| Case | Situation | Proven by |
|---|---|---|
"""


_HEAD_OF_FAULTS = """\
# Proof of faults

What [faults.md](faults.md) lists, the tests that prove that `syncd` survives it, and the bugs that take away what it
survives by. `make faults` plants each bug in a copy of the code, one at a time, and one of its tests must fail: {bugs}
bugs in all.
Written by `make tables` from the markers of the tests (`@pytest.mark.fault(21)`) and from `tests/planted`; do not edit.

| Fault | What | Proven by | Planted bugs |
|---|---|---|---|
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


def read_faults() -> Mapping[int, str]:
    """The faults of the catalogue by their number, without what is done about each."""
    catalogue = CATALOGUE.read_text().partition("\n## 2.")[2].partition("\n## 3.")[0]
    return {int(number): _ORIGIN.sub("", _named(line)) for number, line in _FAULT.findall(catalogue)}


def _named(line: str) -> str:
    found = _NAME.match(line)
    return found[0] if found else line


def proofs_of_faults() -> Mapping[int, Sequence[Proof]]:
    """The tests that prove that the client survives a fault, by its number."""
    proofs = {
        int(fault): [proof for proof in found if not proof.file.startswith(_OTHER_SIDE)]
        for fault, found in read_proofs("fault").items()
    }
    return {fault: found for fault, found in proofs.items() if found}


def bugs_of_faults() -> Mapping[int, Sequence[str]]:
    """The names of the planted bugs that take away what a fault is survived by, by its number."""
    bugs: dict[int, list[str]] = defaultdict(list)
    for bug in BUGS:
        for fault in bug.faults:
            bugs[fault].append(bug.name)
    return bugs


def proof_of_faults() -> str:
    """The text of docs/proof-of-faults.md."""
    proofs, bugs = proofs_of_faults(), bugs_of_faults()
    rows, bare = [], []
    for fault, what in read_faults().items():
        if fault not in proofs:
            bare.append(str(fault))
            continue
        cells = (
            str(fault),
            what.replace("|", "\\|"),
            _listed(proofs[fault]),
            "<br>".join(bugs.get(fault, ["none yet"])),
        )
        rows.append(f"| {' | '.join(cells)} |\n")
    return f"{_HEAD_OF_FAULTS.format(bugs=len(BUGS))}{''.join(rows)}\nWithout a test: {', '.join(bare)}.\n"


def _listed(proofs: Sequence[Proof]) -> str:
    return "<br>".join(f"`{proof.file}::{proof.test}`" for proof in proofs)


def _proven_by(case: str, proofs: Mapping[str, Sequence[Proof]]) -> str:
    if case in proofs:
        return _listed(proofs[case])
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
    PROOF_OF_FAULTS.write_text(proof_of_faults())
