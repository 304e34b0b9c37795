"""What must hold at every moment of a story of kills, read from the database and from the sandbox.

Triggers of our own note each committed write that hides a row, sets it back in time or deletes it, so that nothing
that happened in between is missed.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from syncd.sandbox.log import fingerprint as sandbox_fingerprint
from syncd.wire.tokens import fingerprint
from tests.harness import ACTIVITIES, PARTICIPANTS, TOKEN, Bench

Row = tuple[str, str]  # table, id
# Table -> the listing in the sandbox's truth, and the id's column.
LISTINGS = {
    "participants": ("participants", "participant_id"),
    "activities": ("activities", "activity_id"),
    "roles": ("roles", "role_id"),
    "threads": ("threads", "thread_id"),
    "registration_waves": ("registration-waves", "wave_id"),
}
PAGED = (PARTICIPANTS, ACTIVITIES)
_PAGED_STREAMS = "('participants', 'activities')"

_NOTE = """
    CREATE SCHEMA oracle;
    CREATE TABLE oracle.writes (relation text, id text, what text);
    CREATE FUNCTION oracle.note() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE before jsonb := to_jsonb(OLD); after jsonb := to_jsonb(NEW); what text;
    BEGIN
        IF TG_OP = 'DELETE' THEN what := 'deleted';
        ELSIF NEW._syncd_deleted_at IS NOT NULL AND OLD._syncd_deleted_at IS NULL THEN what := 'hidden';
        ELSIF (after->>'updated_at')::timestamptz < (before->>'updated_at')::timestamptz THEN what := 'set back';
        ELSE RETURN NULL; END IF;
        INSERT INTO oracle.writes VALUES (TG_TABLE_NAME, before->>TG_ARGV[0], what);
        RETURN NULL;
    END $$;
"""
_WATCH = """
    CREATE TRIGGER oracle AFTER UPDATE OR DELETE ON revento.{table}
    FOR EACH ROW EXECUTE FUNCTION oracle.note('{column}');
"""


def watch(bench: Bench) -> None:
    """Note from now on what is written."""
    bench.execute(_NOTE)
    for table, (_, column) in LISTINGS.items():
        bench.execute(_WATCH.format(table=table, column=column))


def served(bench: Bench) -> dict[Row, str | None]:
    """Every row that the API serves now, and its stamp where it has one."""
    (event,) = bench.sandbox.truth()["events"]
    return {
        (table, row["id"]): row.get("updated_at")
        for table, (listing, _) in LISTINGS.items()
        for row in event[listing.replace("-", "_")]
    }


def stored(bench: Bench) -> dict[Row, str | None]:
    """Every row that is shown, likewise."""
    return {
        (table, row_id): stamp
        for table, (_, column) in LISTINGS.items()
        for row_id, stamp in bench.query(
            f"SELECT {column}, to_jsonb(t)->>'updated_at' FROM revento.{table} AS t "
            "WHERE _syncd_deleted_at IS NULL AND NOT _syncd_is_stub"
        )
    }


def always(bench: Bench) -> Iterator[str]:
    """O2 to O4, O6, O10: what is wrong after a life, however it ended."""
    alive = served(bench)
    for table, row_id, what in bench.query("SELECT relation, id, what FROM oracle.writes"):
        if what != "hidden" or (table, row_id) in alive:
            yield f"{table} {row_id} was {what}"
    for table, (_, column) in LISTINGS.items():
        if bench.value(f"SELECT count(*) - count(DISTINCT {column}) FROM revento.{table}"):
            yield f"{table} holds a row twice"
    if bench.value(_UNBALANCED):
        yield "books do not balance"
    if gaps := bench.query(_GAPS):
        yield f"pages are missing in ledgers: {gaps}"
    if unknown := _used(bench) - {one for (one,) in bench.query("SELECT token_fingerprint FROM syncd.token_events")}:
        yield f"tokens were used before they were stored: {unknown}"


_UNBALANCED = """
    SELECT count(*) FROM syncd.walk_pages
    WHERE seen <> inserted + updated + unchanged + superseded + rejected
"""
_GAPS = """
    SELECT walk_id, max(page_number), count(*) FROM syncd.walk_pages GROUP BY walk_id
    HAVING max(page_number) <> count(*)
"""


def _used(bench: Bench) -> set[str]:
    grants = bench.sandbox.tokens.grants()
    issued = {sandbox_fingerprint(token): token for grant in grants for token in grant.access_expires_at}
    calls = {entry.token for entry in bench.sandbox.requests if entry.endpoint != TOKEN}
    return {fingerprint(token) for known, token in issued.items() if known in calls}


def lost(bench: Bench, before: dict[Row, str | None]) -> Iterator[str]:
    """O1: what the API served `before` the round and serves still is stored, at no older version."""
    shown = stored(bench)
    for row in before.keys() & served(bench).keys():
        if row not in shown:
            yield f"{row} is lost"
        elif _moment(shown[row]) < _moment(before[row]):
            yield f"{row} is older than before the round"


def _moment(stamp: str | None) -> datetime:
    return datetime.fromisoformat(stamp or "1970-01-01T00:00:00Z")


def at_rest(bench: Bench) -> Iterator[str]:
    """What is wrong once a round has ended by itself: somebody still drives, or something is still open."""
    leases = bench.query("SELECT owner FROM syncd.leases")
    if leases != [(None,)]:
        yield f"the lease was not given back: {leases}"
    for what, sql in _OPEN.items():
        if count := bench.value(sql):
            yield f"{count} {what}"


_OPEN = {
    "runs are open": "SELECT count(*) FROM syncd.runs WHERE state = 'running'",
    "walks are open": "SELECT count(*) FROM syncd.walks WHERE outcome = 'open'",
    "refreshes are in doubt": "SELECT count(*) FROM syncd.credentials WHERE intent_at IS NOT NULL",
}


def pages_committed(bench: Bench) -> int:
    """Pages of the paged listings in the ledger."""
    sql = f"SELECT count(*) FROM syncd.walk_pages JOIN syncd.walks USING (walk_id) WHERE stream IN {_PAGED_STREAMS}"
    return int(bench.value(sql))


def pages_served(bench: Bench) -> int:
    """Pages of them that the sandbox has answered with."""
    return sum(entry.endpoint in PAGED and entry.status == 200 for entry in bench.sandbox.requests)


def walks_given_up(bench: Bench) -> int:
    """Walks that began anew."""
    return int(bench.value("SELECT count(*) FROM syncd.walks WHERE outcome = 'abandoned'"))


def is_pair_lost(bench: Bench) -> bool:
    """Whether the server has spent the refresh token that is stored: its successor died with a process."""
    grant = bench.sandbox.tokens.grants()[-1]
    return bool(bench.value("SELECT refresh_fingerprint FROM syncd.credentials") != fingerprint(grant.refresh_token))


def is_family_revoked(bench: Bench) -> bool:
    """Whether the newest consent is gone."""
    return bench.sandbox.tokens.grants()[-1].revoked


def bad_conduct(bench: Bench) -> dict[str, Any]:
    """How often the sandbox saw a refresh token reused, or a call on a dead grant."""
    codes = ("refresh_token_reused", "call_after_invalid_grant", "call_after_token_revoked")
    return {note["code"]: note["count"] for note in bench.sandbox.notes() if note["code"] in codes and note["count"]}
