"""`syncd verify`: is the warehouse equal to the API?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.command import Command
from syncd.cli.failure import clean
from syncd.cli.options import wait_option
from syncd.cli.session import Session, pass_session
from syncd.cli.signals import run
from syncd.cli.sync import stream_option
from syncd.cli.text import Listing, Part, count, write_error

if TYPE_CHECKING:
    from syncd.config import Settings
    from syncd.store.comparison import Difference
    from syncd.sync.verify import Proof

# More keys of a kind than these are for --json.
SHOWN_DIFFERENCES = 3
HEADERS = ("STREAM", "STATUS", "AT THE API", "HERE", "MISSING", "EXTRA", "DIFFERENT", "REJECTED", "REASON")
CAUSES = {
    "newer": "newer at the source",
    "older": "older at the source",
    "hidden": "hidden here",
    "held": "gone at the source, kept until or by a decision",
    "edited": "edited here",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What to compare."""

    name: str
    streams: Sequence[str]
    sample: int | None
    wait: bool


@click.command(cls=Command, example="syncd verify revento/evt_1\nsyncd verify evt_1 --stream participants --sample 200")
@click.argument("name", metavar="INSTALLATION")
@stream_option
@click.option(
    "--sample", type=click.IntRange(1), metavar="N", help="Only the first N rows, or a few more, of a paged stream."
)
@wait_option
@pass_session
def verify(session: Session, name: str, streams: tuple[str, ...], sample: int | None, wait: bool) -> int:
    """Prove that the warehouse equals the API.

    Walks these streams, or all, once more, and compares each row, and all that belongs to it, with what is stored.
    Nothing is written but the record of its calls. The exit code is 6 when something differs; a row that changed at
    the source since the last sync differs too, and is told apart where its stamp shows it.
    """
    from syncd import main

    settings = session.settings()
    url = main.prepare_database(settings)
    installation, proofs = run(_proofs(session, settings, url, Asked(name, streams, sample, wait)))
    ended = document(installation, proofs)
    session.answer(ended, *_text(installation, proofs))
    if not session.json:
        _tell(session, installation, proofs)
    return int(ended["exit"])


async def _proofs(session: Session, settings: Settings, url: str, asked: Asked) -> tuple[str, list[Proof]]:
    from syncd import main
    from syncd.cli.progress import TellingClock, shown, watch
    from syncd.sync.verify import verify_installation

    async with main.open_app(settings, url, "verify") as app:
        (installation,) = await main.chosen(app, [asked.name])
        order = app.order(installation, "verify", main.chosen_streams(installation, asked.streams), wait=asked.wait)
        with shown(session) as display:
            telling = replace(app, clock=TellingClock(app.clock, display))
            proofs = await verify_installation(
                order, app.database, telling.connect, watch(display), sample=asked.sample
            )
    return installation.name, proofs


# --- as JSON ----------------------------------------------------------------------------------------------------------


def document(installation: str, proofs: Sequence[Proof]) -> dict[str, Any]:
    """The last line of the output."""
    from syncd.sync.verify import exit_code

    code = exit_code(proofs)
    return {
        "type": "result",
        "status": {0: "equal", 6: "differs"}.get(code, "failed"),
        "exit": code,
        "installation": installation,
        "streams": [_stream(proof) for proof in proofs],
        "hints": _hints(installation, proofs),
    }


def _stream(proof: Proof) -> dict[str, Any]:
    failure = proof.failure
    return {
        "stream": proof.stream,
        "status": proof.status,
        "reason": proof.reason and clean(proof.reason),
        "pages": proof.pages,
        "requests": proof.requests,
        "rows": proof.rows,
        "here": proof.here,
        "missing": proof.missing,
        "extra": proof.extra,
        "different": proof.different,
        "newer": proof.newer,
        "rejected": proof.rejected,
        "quarantined_values": proof.quarantined_values,
        "differences": proof.differences,
        "request_id": failure and failure.request_id,
        "error_code": failure and failure.error_code,
    }


def _hints(installation: str, proofs: Sequence[Proof]) -> list[str]:
    """What to do about it, each once."""
    causes = {each.cause for proof in proofs for each in proof.differences}
    causes |= {"newer" for proof in proofs if proof.newer}
    failures = [clean(proof.failure.hint) for proof in proofs if proof.failure and proof.failure.hint]
    hints = []
    if causes & {"newer", "hidden", None}:
        hints.append(
            f"`syncd sync {installation}` brings what is newer, and its second walk hides what is gone at the source; "
            "what it leaves different, the next `syncd verify` tells"
        )
    if "older" in causes:
        hints.append("what the source serves in an older version than before is not taken over; ask its support why")
    if "held" in causes:
        hints.append(
            f"`syncd deletes list {installation}` shows which wait or were rejected; `accept` hides the first, "
            "`accept --rejected` both"
        )
    if "edited" in causes:
        hints.append(
            "somebody else has written to these rows, which a sync does not see: set their _syncd_hash to null, and "
            "the next sync writes them anew"
        )
    if any(proof.rejected for proof in proofs):
        hints.append("rows that could not be read are kept in syncd.quarantined_values by each sync, with the reason")
    return list(dict.fromkeys([*failures, *hints]))


# --- as text ----------------------------------------------------------------------------------------------------------


def _text(installation: str, proofs: Sequence[Proof]) -> list[Part]:
    named = [(proof.stream, each) for proof in proofs for each in _shown(proof)]
    keys = Listing(("STREAM", "TABLE", "KEY", "HERE IT IS", "WHERE", "WHY"), [_key_row(*each) for each in named])
    streams = Listing(HEADERS, [_row(proof) for proof in proofs], spare=("REJECTED", "HERE"))
    return [streams, *([keys] if named else []), _sentence(installation, proofs)]


def _row(proof: Proof) -> tuple[object, ...]:
    if proof.failure is not None:
        return (proof.stream, proof.status, *[None] * 6, proof.reason)
    counts = (proof.missing, "?" if proof.extra is None else proof.extra, proof.different, proof.rejected or None)
    return (proof.stream, proof.status, proof.rows, proof.here, *counts, proof.reason)


def _shown(proof: Proof) -> list[Difference]:
    kinds = {kind: [each for each in proof.differences if each.kind == kind] for kind in ("missing", "extra")}
    kinds["different"] = [each for each in proof.differences if each.kind == "different"]
    return [each for of_kind in kinds.values() for each in of_kind[:SHOWN_DIFFERENCES]]


def _key_row(stream: str, difference: Difference) -> tuple[object, ...]:
    cause = difference.cause and CAUSES[difference.cause]
    return (stream, difference.table, difference.key, difference.kind, ", ".join(difference.columns), cause)


def _sentence(installation: str, proofs: Sequence[Proof]) -> str:
    rows = count(sum(proof.rows for proof in proofs), "row")
    calls = count(sum(proof.requests for proof in proofs), "call")
    differing = sum(proof.missing + (proof.extra or 0) + proof.different for proof in proofs)
    newer = sum(proof.newer for proof in proofs)
    found = "none differs"
    if differing:
        found = f"{differing:,} {'differs' if differing == 1 else 'differ'}, {newer:,} of them newer at the source"
    bad = sum(proof.quarantined_values for proof in proofs)
    left = f"; {count(bad, 'value')} in quarantine" if bad else ""
    return f"{installation}: {rows} compared with {calls}: {found}{left}"


def _tell(session: Session, installation: str, proofs: Sequence[Proof]) -> None:
    for proof in proofs:
        if proof.status == "failed" and proof.reason:
            write_error(f"{installation} {proof.stream}: {clean(proof.reason)}", None)
    for hint in _hints(installation, proofs):
        session.note(f"hint: {hint}")
