"""The tables that are made from the tests' markers are up to date, and no case of the contract is without a proof."""

from __future__ import annotations

from tests.coverage_tables import (
    CONFORMANCE,
    PROOF_OF_FAULTS,
    PROVEN_BY_BUGS,
    WEBHOOKS,
    bugs_of_faults,
    conformance,
    proof_of_faults,
    proofs_of_faults,
    read_cases,
    read_faults,
    read_proofs,
)


def test_the_table_of_conformance_is_up_to_date() -> None:
    assert CONFORMANCE.read_text() == conformance(), "`make tables` writes it anew"


def test_every_case_of_the_contract_has_a_test() -> None:
    cases, proven = read_cases(), {*read_proofs(), *WEBHOOKS}
    assert len(cases) == 40
    assert [f"{case}: {cases[case].strip()}" for case in cases if case not in proven] == []


def test_no_marker_names_a_case_that_there_is_not() -> None:
    assert set(read_proofs()) - set(read_cases()) == set()
    assert {int(fault) for fault in read_proofs("fault")} - set(read_faults()) == set()


def test_the_catalogue_is_read_whole() -> None:
    assert list(read_faults()) == list(range(1, 125))


def test_the_table_of_faults_is_up_to_date() -> None:
    assert PROOF_OF_FAULTS.read_text() == proof_of_faults(), "`make tables` writes it anew"


def test_each_fault_of_the_core_has_a_test_and_a_bug_that_a_test_found() -> None:
    assert set(PROVEN_BY_BUGS) - set(proofs_of_faults()) == set()
    assert set(PROVEN_BY_BUGS) - set(bugs_of_faults()) == set()


def test_no_bug_takes_away_what_the_catalogue_does_not_know() -> None:
    assert set(bugs_of_faults()) - set(read_faults()) == set()
