"""How findings look: a line each, with its state in words, and below it what to do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from syncd.cli.session import Session
from syncd.cli.text import Listing, count
from syncd.findings import Finding, exit_code
from syncd.logs import redact


def show(session: Session, findings: Sequence[Finding]) -> int:
    """Write the findings, and return the exit code that they ask for."""
    code = exit_code(findings)
    document = {
        "healthy": code == 0,
        "exit": code,
        "findings": [
            {"topic": each.topic, "state": each.state, "sentence": redact(each.sentence), "fix": _fix(each)}
            for each in findings
        ],
    }
    session.answer(document, Listing(("TOPIC", "STATE", "FINDING"), list(_rows(findings))), "", summary(findings))
    return code


def summary(findings: Sequence[Finding]) -> str:
    """`Healthy: 12 checks passed`, or what is not."""
    number = Counter(each.state for each in findings)
    said = [
        f"{number['wrong']} wrong" if number["wrong"] else "",
        count(number["warning"], "warning") if number["warning"] else "",
        f"{number['unchecked']} not checked" if number["unchecked"] else "",
        f"{count(number['ok'], 'check')} passed",
    ]
    return f"{'Not healthy' if number['wrong'] else 'Healthy'}: {', '.join(part for part in said if part)}"


def _rows(findings: Sequence[Finding]) -> Iterator[tuple[str, str, str]]:
    for each in findings:
        yield each.topic, each.state, redact(each.sentence)
        if fix := _fix(each):
            yield "", "", f"fix: {fix}"


def _fix(finding: Finding) -> str | None:
    return finding.fix and redact(finding.fix)
