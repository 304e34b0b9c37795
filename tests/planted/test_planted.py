"""Each planted bug still has its place, and planting tells a test that notices from one that does not."""

from __future__ import annotations

import pytest

from tests.planted import BUGS
from tests.planted.bug import ROOT, Bug, BugDoesNotFit, files_of
from tests.planted.run import Verdict, run_one

MEDIA_TYPE = "tests/wire/test_reply.py"
NOTICED = Bug(
    "the media type keeps its parameters",
    "syncd/wire/reply.py", '.partition(";")[0].strip().lower()', ".strip().lower()", (MEDIA_TYPE,),
)  # fmt: skip


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_fits_the_code_and_names_tests_that_exist(bug: Bug) -> None:
    bug.applied()
    assert bug.tests
    assert all((ROOT / file).is_file() for file in files_of(bug.tests))


def test_no_two_bugs_have_one_name() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS)


@pytest.mark.slow
def test_a_test_that_notices_and_one_that_does_not() -> None:
    assert run_one(NOTICED).verdict is Verdict.FOUND
    harmless = Bug("nothing", NOTICED.path, NOTICED.old, NOTICED.old, NOTICED.tests)
    assert run_one(harmless).verdict is Verdict.SURVIVED
    nowhere = Bug("no test", NOTICED.path, NOTICED.old, NOTICED.new, ("tests/wire/test_reply.py::test_is_not_there",))
    assert run_one(nowhere).verdict is Verdict.BROKEN


def test_a_bug_whose_place_is_gone_is_told() -> None:
    with pytest.raises(BugDoesNotFit, match="0 times, not once"):
        Bug("gone", NOTICED.path, "this stands nowhere", "", NOTICED.tests).applied()
