"""`syncd quarantine`: what the API served and no column can hold; trying it again, and forgetting it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from syncd.cli.command import Group
from syncd.cli.connection import read
from syncd.cli.driving import waiting, with_app
from syncd.cli.options import limit_option, since_option, wait_option
from syncd.cli.session import NOT_CONFIRMED, Session, pass_session
from syncd.cli.sync import stream_option
from syncd.cli.text import Listing, Part, count

if TYPE_CHECKING:
    from syncd.main import App
    from syncd.store.database import Database
    from syncd.store.left_out import Choice, LeftOutReport
    from syncd.sync.replay import Replayed

NOTHING_OF_THE_KIND = "nothing of the kind is quarantined"
NOTHING_LEFT_OUT = "nothing is quarantined"
WITHOUT_ROW = "kept by an older version, without its row; the next walk that meets it again keeps that too"
# Something new was left out (docs/interface.md §3).
NEWLY_KEPT = 3
# More of a value, or of the place where it stood, is for --json.
SHOWN_CHARACTERS = 48


@click.group(cls=Group, example="syncd quarantine list\nsyncd quarantine replay revento/evt_1")
def quarantine() -> None:
    """Look after values that could not be stored.

    A value that no column can hold is left out of its row, and kept here with its place and reason; a row without a
    usable id is kept whole. All else is stored.
    """


@quarantine.command("list", example="syncd quarantine list --since 1d\nsyncd quarantine list evt_1 --reason NUL --json")
@click.argument("names", nargs=-1, metavar="[INSTALLATION]...")
@stream_option
@click.option("--reason", metavar="TEXT", help="Only those whose reason holds this text.")
@since_option
@limit_option
@pass_session
def list_all(
    session: Session,
    *,
    names: tuple[str, ...],
    streams: tuple[str, ...],
    reason: str | None,
    since_s: float | None,
    limit: int,
) -> None:
    """List what was left out, newest first.

    --json has each value whole; personal data may stand in it.
    """
    from syncd.store.left_out import Choice, list_left_out

    async def ask(database: Database) -> tuple[list[LeftOutReport], int]:
        chosen = await _names(database, names, streams)
        return await list_left_out(database, Choice(chosen, streams, (), reason, since_s), limit)

    found, total = read(session, ask)
    session.answer({"quarantined": found, "total": total}, *([_listing(found)] if found else []))
    if not found:
        session.note(NOTHING_OF_THE_KIND if streams or reason or since_s is not None else NOTHING_LEFT_OUT)
    elif total > len(found):
        session.note(f"these are the newest {len(found):,} of {total:,}; --limit shows more")


def _listing(found: Sequence[LeftOutReport]) -> Listing:
    rows = [
        (str(each.id), each.installation, each.stream, _cut(each.row_key or ""), _cut(each.json_path), each.reason,
         each.first_seen_at, str(each.request_id), _cut(each.raw))
        for each in found
    ]  # fmt: skip
    headers = ("ID", "INSTALLATION", "STREAM", "ROW", "PATH", "REASON", "FIRST SEEN", "REQUEST", "VALUE")
    return Listing(headers, rows, spare=("REQUEST", "ROW", "FIRST SEEN", "INSTALLATION", "STREAM", "VALUE"))


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 1]}…"


@quarantine.command(
    example="syncd quarantine replay\nsyncd quarantine replay revento/evt_1\nsyncd quarantine replay 17 18"
)
@click.argument("words", nargs=-1, metavar="[INSTALLATION|ID]...")
@stream_option
@wait_option
@pass_session
def replay(session: Session, words: tuple[str, ...], streams: tuple[str, ...], wait: bool) -> int:
    """Try again what was left out, with this version's reader; the API is not called.

    A row that can be read now is stored as a page would store it, unless a newer one is stored by now, and its entries
    go. An ID stands for all of its row. What still cannot be stored stays. The exit code is 3 if something was left
    out that was not before.
    """
    from syncd import main
    from syncd.main.by_hand import replay_kept
    from syncd.store.installations import find_installation
    from syncd.store.left_out import owners

    async def replaying(app: App) -> dict[str, Replayed]:
        choice = await _choice(app.database, words, streams)
        watch = waiting(session)
        done = {}
        for name in await owners(app.database, choice):
            installation = await find_installation(app.database, name)
            chosen = main.chosen_streams(installation, streams)
            done[name] = await replay_kept(app, installation, chosen, choice.ids, watch, wait=wait)
        return done

    done = with_app(session, "quarantine replay", replaying)
    session.answer({"replayed": [_document(*each) for each in done.items()]}, *_text(done))
    if not done:
        session.note(NOTHING_LEFT_OUT)
    return NEWLY_KEPT if any(each.newly_kept for each in done.values()) else 0


def _document(name: str, done: Replayed) -> dict[str, Any]:
    books = ("inserted", "updated", "unchanged", "superseded", "rejected")
    rows = {book: number for book, number in asdict(done.counts).items() if book in books}
    left = [
        {"stream": stream, "reason": reason, "values": number} for (stream, reason), number in sorted(done.left.items())
    ]
    return {
        "installation": name,
        "rows": rows,
        "resolved": done.resolved,
        "newly_kept": done.newly_kept,
        "without_row": done.without_row,
        "left": left,
    }


def _text(done: dict[str, Replayed]) -> list[Part]:
    sentences: list[Part] = [_sentence(*each) for each in done.items()]
    rows: list[tuple[object, ...]] = []
    for name, each in done.items():
        rows += [(name, stream, number, reason) for (stream, reason), number in sorted(each.left.items())]
        rows += [(name, "", each.without_row, WITHOUT_ROW)] if each.without_row else []
    listing = Listing(("INSTALLATION", "STREAM", "STILL LEFT OUT", "REASON"), rows, spare=("INSTALLATION",))
    return [*sentences, "", listing] if rows else sentences


def _sentence(name: str, done: Replayed) -> str:
    books = done.counts
    rows = [
        (books.inserted + books.updated, "stored"),
        (books.unchanged, "stored so already"),
        (books.superseded, "left alone because a newer one is stored"),
        (books.rejected, "still without a usable id"),
    ]
    told = [f"{count(number, 'row')} {what}" for number, what in rows if number]
    values = done.resolved + done.left.total() + done.without_row
    told.append(f"no longer left out: {done.resolved:,} of {count(values, 'value')}")
    return f"{name}: {', '.join(told)}"


@quarantine.command(example="syncd quarantine drop 17 18\nsyncd quarantine drop revento/evt_1 --all --yes")
@click.argument("words", nargs=-1, metavar="[INSTALLATION|ID]...")
@click.option("--all", "is_all", is_flag=True, help="All that is kept, instead of IDs.")
@stream_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def drop(session: Session, *, words: tuple[str, ...], is_all: bool, streams: tuple[str, ...], yes: bool) -> int:
    """Forget what was left out.

    Stored rows stay as they are. What the API serves again is kept anew, and counts as new.
    """
    from syncd.store.left_out import drop as drop_chosen
    from syncd.store.left_out import owners

    if any(map(_is_id, words)) == is_all:
        raise click.UsageError("give the IDs of what to drop, or --all: one of the two")

    async def ask(database: Database) -> tuple[Choice, dict[str, int]]:
        choice = await _choice(database, words, streams)
        return choice, await owners(database, choice)

    choice, numbers = read(session, ask)
    question = f"forget {count(sum(numbers.values()), 'value')} of {', '.join(numbers)}?"
    if numbers and not yes and not session.confirms(question):
        session.note("nothing was done")
        return NOT_CONFIRMED

    async def dropping(database: Database) -> dict[str, int]:
        return {name: await drop_chosen(database, name, choice) for name in numbers}

    dropped = read(session, dropping) if numbers else {}
    documents = [{"installation": name, "values": number} for name, number in dropped.items()]
    session.answer(
        {"dropped": documents}, *(f"{name}: {count(each, 'value')} forgotten" for name, each in dropped.items())
    )
    if not documents:
        session.note(NOTHING_LEFT_OUT)
    return 0


async def _choice(database: Database, words: Sequence[str], streams: Sequence[str]) -> Choice:
    """What is meant: a number is an ID, anything else an installation. Raises ConfigError."""
    from syncd.store.left_out import Choice

    ids = [int(word) for word in dict.fromkeys(words) if _is_id(word)]
    names = [word for word in words if not _is_id(word)]
    return Choice(await _names(database, names, streams), streams, ids)


def _is_id(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 18  # what bigint holds


async def _names(database: Database, names: Sequence[str], streams: Sequence[str]) -> list[str]:
    """The whole names. Raises ConfigError for one that fits none or several, or has no such stream."""
    from syncd import main
    from syncd.store.installations import find_installation

    found = [await find_installation(database, name) for name in names]
    for each in found:
        main.chosen_streams(each, streams)
    return [each.name for each in found]
