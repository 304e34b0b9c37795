"""The tables that are made from the tests' markers are up to date, and no case of the contract is without a proof."""

from __future__ import annotations

from tests.coverage_tables import CONFORMANCE, WEBHOOKS, conformance, read_cases, read_proofs


def test_the_table_of_conformance_is_up_to_date() -> None:
    assert CONFORMANCE.read_text() == conformance(), "`make tables` writes it anew"


def test_every_case_of_the_contract_has_a_test() -> None:
    cases, proven = read_cases(), {*read_proofs(), *WEBHOOKS}
    assert len(cases) == 40
    assert [f"{case}: {cases[case].strip()}" for case in cases if case not in proven] == []


def test_no_marker_names_a_case_that_there_is_not() -> None:
    assert set(read_proofs()) - set(read_cases()) == set()
    assert {fault for fault in read_proofs("fault") if not 1 <= int(fault) <= 124} == set()
