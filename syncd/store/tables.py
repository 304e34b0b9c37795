"""The control schema `syncd`: the one definition, for control queries and for migrations. Times are UTC."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP, UUID

metadata = MetaData(
    schema="syncd",
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    },
)


def _text(name: str, comment: str, *, null: bool = True, key: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=null and not key, comment=comment)


def _at(name: str, comment: str, *, null: bool = True) -> Column[object]:
    return Column(name, TIMESTAMP(timezone=True), nullable=null, comment=comment)


def _count(name: str, comment: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0", comment=comment)


def _uuid(name: str, comment: str, *, null: bool = True, key: bool = False) -> Column[object]:
    return Column(name, UUID(as_uuid=True), primary_key=key, nullable=null and not key, comment=comment)


def _owner(name: str, target: str, comment: str) -> Column[object]:
    """The first part of a key; the row goes with what it names."""
    return Column(name, UUID(as_uuid=True), ForeignKey(target, ondelete="CASCADE"), primary_key=True, comment=comment)


def _installation(*, key: bool = False) -> Column[str]:
    return Column(
        "installation",
        Text,
        ForeignKey("syncd.installations.name", ondelete="CASCADE"),
        primary_key=key,
        nullable=False,
        comment="Name of the installation, as in installations.name",
    )


def _stream(*, key: bool = False) -> Column[str]:
    return _text("stream", "Name of the stream, as `syncd status` shows it", null=False, key=key)


def _counts() -> list[Column[int]]:
    """The books: `seen` is always the sum of the other five."""
    return [
        _count("seen", "Rows that the API served"),
        _count("inserted", "Rows that were new"),
        _count("updated", "Rows whose content had changed"),
        _count("unchanged", "Rows that were not touched because nothing had changed"),
        _count("superseded", "Rows that were older than ours, or repeated within one page"),
        _count("rejected", "Rows that could not be stored at all"),
        _count("quarantined_values", "Values newly left out of their rows, counted apart"),
    ]


def _books_balance() -> CheckConstraint:
    return CheckConstraint("seen = inserted + updated + unchanged + superseded + rejected", name="books_balance")


installations = Table(
    "installations",
    metadata,
    _text("name", "Identity of the installation, such as revento/evt_1", key=True),
    _text("source", "Which API: revento", null=False),
    _text("account", "The account at the source; for revento the event id", null=False),
    _text("organization", "The source's id of the organization that consented"),
    _text("timezone", "IANA zone of the event, for local times in views", null=False),
    _text("environment", "production or sandbox", null=False),
    _text("api_url", "Base URL of the API", null=False),
    _text("auth_url", "Base URL of the authorization server"),
    Column("scopes", ARRAY(Text), nullable=False, comment="Scopes that the newest token carries"),
    _text("state", "active, paused, suspended (by the source) or needs_consent", null=False),
    _text("state_reason", "Why it is not active"),
    _uuid("grant_id", "One per consent; a token refresh keeps it", null=False),
    _at("created_at", "When it was added", null=False),
    _at("updated_at", "When its settings, credentials or state last changed", null=False),
    comment="One row per connected account",
)

credentials = Table(
    "credentials",
    metadata,
    _installation(key=True),
    Column("access_token", LargeBinary, nullable=False, comment="Ciphertext of the access token"),
    Column("refresh_token", LargeBinary, comment="Ciphertext of the refresh token; null: there is none"),
    _text("access_fingerprint", "Short name of the access token, as in requests.token_fingerprint", null=False),
    _text("refresh_fingerprint", "Short name of the refresh token"),
    _at("access_expires_at", "When the access token dies", null=False),
    _at("refresh_expires_at", "When the refresh token dies if it is not used"),
    _at("intent_at", "A refresh was begun and its outcome is not known; null: none is open"),
    _at("updated_at", "When this pair was stored", null=False),
    comment="Token pairs, ciphertext only",
)

token_events = Table(
    "token_events",
    metadata,
    Column("token_event_id", BigInteger, Identity(always=True), primary_key=True, comment="Order of the events"),
    _installation(),
    _at("happened_at", "When", null=False),
    _text("kind", "issued, refreshing, refreshed or refused", null=False),
    _text("token_fingerprint", "Short name of the token concerned"),
    _text("detail", "The authorization server's word, where it gave one"),
    Index(None, "installation", "happened_at"),
    comment="What happened to each token; never the token itself",
)

leases = Table(
    "leases",
    metadata,
    _installation(key=True),
    _text("owner", "Command, host and process that drives it; null: nobody"),
    Column("epoch", BigInteger, nullable=False, comment="Grows with each claim; a write under an older one is refused"),
    _at("until", "The claim holds until then, by the database's clock; null: it was given back"),
    comment="Who may call the API for an installation and write its rows",
)

runs = Table(
    "runs",
    metadata,
    _uuid("run_id", "Identity of the run", key=True),
    _installation(),
    _uuid("grant_id", "The consent under which it ran", null=False),
    _text("trigger", "schedule, sync or backfill", null=False),
    _text("state", "running, succeeded, partial, failed, refused, interrupted or cancelled", null=False),
    _text("owner", "Command, host and process of its last driver", null=False),
    _at("started_at", "When it began", null=False),
    _at("heartbeat_at", "When its last page was committed, or its last driver took over", null=False),
    _at("ended_at", "When it ended; null: it is running or was cut off"),
    Column("exit_code", Integer, comment="As the command line would end"),
    _at("cancel_requested_at", "When somebody asked it to end early; null: nobody did"),
    Index(None, "installation", "started_at"),
    comment="One row per round of one installation",
)

walks = Table(
    "walks",
    metadata,
    _uuid("walk_id", "Identity of the walk", key=True),
    _installation(),
    _stream(),
    Column("generation", Integer, nullable=False, comment="1, and one more for each restart from the first page"),
    _text("outcome", "open, certified or abandoned", null=False),
    _text("reason", "Why it was abandoned"),
    _uuid("run_id", "The run that began it"),
    _at("started_at", "Before its first request was sent", null=False),
    _at("ended_at", "When it was certified or abandoned"),
    _count("pages", "Pages walked"),
    _count("rows", "Rows that the API served"),
    _count("distinct_keys", "Different rows among them"),
    _count("duplicates", "Rows that an earlier page of the walk had served already"),
    _count("rejected", "Rows that could not be stored"),
    Column("is_witness", Boolean, nullable=False, server_default=false(), comment="True: can testify to absence"),
    Column("source_total", BigInteger, comment="Total that the source itself reports; null: it reports none"),
    _uuid("first_request_id", "Request of the first page"),
    _uuid("last_request_id", "Request of the last page"),
    Index(None, "installation", "stream", "started_at"),
    Index("walks_one_open_idx", "installation", "stream", unique=True, postgresql_where="outcome = 'open'"),
    comment="The certificates: only a certified walk turns a stream green",
)

walk_pages = Table(
    "walk_pages",
    metadata,
    _owner("walk_id", "syncd.walks.walk_id", "The walk"),
    Column("page_number", Integer, primary_key=True, autoincrement=False, comment="1 is the first page"),
    _uuid("request_id", "The request that brought the page", null=False),
    _uuid("run_id", "The run that stored it", null=False),
    *_counts(),
    Column("page_limit", Integer, comment="Page size that was asked for; null: the listing takes none"),
    Column("key_hashes", LargeBinary, nullable=False, comment="8 bytes for each row served, sorted"),
    _at("committed_at", "When its transaction began", null=False),
    _books_balance(),
    comment="The ledger: one row per page, committed together with the page's rows and the position behind it",
)

positions = Table(
    "positions",
    metadata,
    _installation(key=True),
    _stream(key=True),
    _text("position", "Where the open walk, or else the next one, goes on: a JSON document", null=False),
    _at("saved_at", "When it was saved", null=False),
    comment="Where each stream goes on after any stop",
)

run_streams = Table(
    "run_streams",
    metadata,
    _owner("run_id", "syncd.runs.run_id", "The run"),
    _stream(key=True),
    _text("status", "certified, held (certified, removals wait), incomplete, skipped or failed", null=False),
    _text("reason", "Why it is not certified, or what is held"),
    _count("pages", "Pages stored"),
    _count("requests", "Calls made, failed attempts included"),
    *_counts(),
    _count("removed", "Rows that were hidden because they were gone at the source"),
    _uuid("request_id", "The last request"),
    _text("error_code", "The API's word for the failure"),
    _at("ended_at", "When the stream was done with", null=False),
    _books_balance(),
    comment="What a run did to each stream",
)

stream_status = Table(
    "stream_status",
    metadata,
    _installation(key=True),
    _stream(key=True),
    Column("promised_seconds", Integer, nullable=False, comment="How old the last certified walk may become"),
    _at("last_certified_at", "Start of the last certified walk: everything older than that is in the tables"),
    _uuid("last_walk_id", "That walk"),
    _at("last_tried_at", "When a run last ended this stream, either way"),
    _text("status", "How that ended: certified, held, incomplete, skipped or failed"),
    _text("reason", "Why it is not certified, or what is held"),
    comment="Freshness of each stream",
)

requests = Table(
    "requests",
    metadata,
    _uuid("request_id", "The id we sent; support at the source can find the call by it", key=True),
    _uuid("run_id", "The run that made the call; null: a check outside a run"),
    _installation(),
    _text("endpoint", "Path template", null=False),
    _at("sent_at", "When it left", null=False),
    _at("ended_at", "When its reply was whole; null: no reply came"),
    Column("duration_ms", BigInteger, nullable=False, comment="Milliseconds from leaving to the end"),
    Column("status", Integer, comment="HTTP status; null: no reply came"),
    _text("error_code", "The API's word for the failure, or ours; null: it succeeded"),
    _count("bytes", "Size of the reply's body, decoded"),
    Column("rate_limit", BigInteger, comment="Hourly budget, as the reply says"),
    Column("rate_remaining", BigInteger, comment="What the reply says is left of it"),
    _at("rate_reset_at", "When the reply says it is whole again"),
    Column("retry_after_s", Double, comment="Seconds that the reply tells us to wait; null: it does not"),
    _text("token_fingerprint", "Short name of the token that was used", null=False),
    _text("server_request_id", "The id that the server echoed"),
    Index(None, "installation", "sent_at"),
    Index(None, "run_id"),
    comment="Every attempt of every call",
)

quarantined_values = Table(
    "quarantined_values",
    metadata,
    Column("quarantine_id", BigInteger, Identity(always=True), primary_key=True, comment="Identity"),
    _installation(),
    _stream(),
    _text("json_path", "Where the value stood: the row named by its id, [] where it has none", null=False),
    _text("reason", "Why it could not be stored", null=False),
    _text("raw", "The value as JSON", null=False),
    _uuid("request_id", "The request that brought it", null=False),
    _uuid("run_id", "The run that met it", null=False),
    _at("first_seen_at", "When it was first met", null=False),
    Index("quarantined_values_place_idx", "installation", "stream", text("md5(json_path || raw)"), unique=True),
    comment="Values that the API served and no column can hold; personal data may stand in them",
    info={"personal": True},
)

pending_removals = Table(
    "pending_removals",
    metadata,
    _installation(key=True),
    _stream(key=True),
    _text("entity", "Table of the row", key=True),
    Column("entity_key", Text(collation="C"), primary_key=True, comment="Key of the row"),
    _at("held_at", "When the row was first held", null=False),
    _uuid("walk_id", "The certified walk that found it gone", null=False),
    _at("rejected_at", "When a person decided that the row stays; null: it waits for a decision"),
    comment="Rows that are gone at the source and stay until a person decides: `syncd deletes`",
)
