"""The control schema `syncd`: the one definition, for control queries and for migrations. Times are UTC."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from syncd.store.control_columns import (
    NAMES,
    books_balance,
    count_column,
    counts_columns,
    installation_column,
    owner_column,
    stream_column,
    text_column,
    time_column,
    times_column,
    uuid_column,
)

metadata = MetaData(schema="syncd", naming_convention=NAMES)

installations = Table(
    "installations",
    metadata,
    text_column("name", "Identity of the installation, such as revento/evt_1", key=True),
    text_column("source", "Which API, under which kind of token: revento, revento-user", null=False),
    text_column("account", "The account at the source: the event id; for revento-user event id/user id", null=False),
    text_column("organization", "The source's id of the organization that consented"),
    text_column("timezone", "IANA zone of the event, for local times in views", null=False),
    text_column("environment", "production or sandbox", null=False),
    text_column("api_url", "Base URL of the API", null=False),
    text_column("auth_url", "Base URL of the authorization server"),
    Column("scopes", ARRAY(Text), nullable=False, comment="Scopes that the newest token carries"),
    text_column("state", "active, paused, suspended (by the source) or needs_consent", null=False),
    text_column("state_reason", "Why it is not active"),
    uuid_column("grant_id", "One per consent; a token refresh keeps it", null=False),
    Column("cursor_survives_refresh", Boolean, comment="Is a cursor good for a later access token? null: not seen yet"),
    Column("cursor_survives_limit", Boolean, comment="Is a cursor good for another page size? null: not seen yet"),
    time_column("created_at", "When it was added", null=False),
    time_column("updated_at", "When its settings, credentials or state last changed", null=False),
    comment="One row per connected account",
)

credentials = Table(
    "credentials",
    metadata,
    installation_column(key=True),
    Column("access_token", LargeBinary, nullable=False, comment="Ciphertext of the access token"),
    Column("refresh_token", LargeBinary, comment="Ciphertext of the refresh token; null: there is none"),
    text_column("access_fingerprint", "Short name of the access token, as in requests.token_fingerprint", null=False),
    text_column("refresh_fingerprint", "Short name of the refresh token"),
    time_column("access_expires_at", "When the access token dies", null=False),
    time_column("refresh_expires_at", "When the refresh token dies if it is not used"),
    Column("generation", BigInteger, nullable=False, server_default="0", comment="Renewals since the consent"),
    text_column("stored_in", "The server and database that stored the pair; null: not known"),
    time_column("granted_at", "When the organizer consented, as far as it is known", null=False),
    time_column("intent_at", "A refresh was begun and its outcome is not known; null: none is open"),
    time_column("updated_at", "When this pair was stored", null=False),
    comment="Token pairs, ciphertext only",
)

token_events = Table(
    "token_events",
    metadata,
    Column("token_event_id", BigInteger, Identity(always=True), primary_key=True, comment="Order of the events"),
    installation_column(),
    time_column("happened_at", "When", null=False),
    text_column("kind", "issued, refreshing, refreshed, refused, put_off or resealed", null=False),
    text_column("token_fingerprint", "Short name of the token concerned"),
    text_column("detail", "The authorization server's word, or why it was put off"),
    Index(None, "installation", "happened_at"),
    comment="What happened to each token; never the token itself",
)

leases = Table(
    "leases",
    metadata,
    # No foreign key: the row outlives its installation, or epochs would begin anew when that is added again.
    text_column("installation", "Name of the installation, as in installations.name", key=True),
    text_column("owner", "Command, host and process that drives it; null: nobody"),
    Column("epoch", BigInteger, nullable=False, comment="Grows with each claim; a write under an older one is refused"),
    time_column("until", "The claim holds until then, by the database's clock; null: it was given back"),
    times_column("cut_off_at", "When drivers were found cut off lately, whose last calls nobody wrote down"),
    text_column("waits_for", "What its driver waits for: room in the hour or the minute, or the server (Retry-After)"),
    time_column("waits_until", "When that wait ends; null or past: no wait"),
    comment="Who may call the API for an installation and write its rows; outlives the installation",
)

runs = Table(
    "runs",
    metadata,
    uuid_column("run_id", "Identity of the run", key=True),
    installation_column(),
    uuid_column("grant_id", "The consent under which it ran", null=False),
    text_column("trigger", "schedule, sync, retry or backfill", null=False),
    Column("streams", ARRAY(Text), comment="Streams that it was ordered for; null: written by an older version"),
    text_column("state", "running, succeeded, partial, failed, refused, interrupted or cancelled", null=False),
    text_column("owner", "Command, host and process of its last driver", null=False),
    time_column("started_at", "When it began", null=False),
    time_column("heartbeat_at", "When its last page was committed, or its last driver took over", null=False),
    time_column("ended_at", "When it ended; null: it is running or was cut off"),
    Column("exit_code", Integer, comment="As the command line would end"),
    time_column("cancel_requested_at", "When somebody asked it to end early; null: nobody did"),
    Index(None, "installation", "started_at"),
    comment="One row per round of one installation",
)

walks = Table(
    "walks",
    metadata,
    uuid_column("walk_id", "Identity of the walk", key=True),
    installation_column(),
    stream_column(),
    Column("generation", Integer, nullable=False, comment="1, and one more for each restart from the first page"),
    text_column("outcome", "open, certified or abandoned", null=False),
    text_column("reason", "Why it was abandoned"),
    uuid_column("run_id", "The run that began it"),
    time_column("started_at", "Before its first request was sent", null=False),
    time_column("ended_at", "When it was certified or abandoned"),
    count_column("pages", "Pages of a certified walk; of another the ledger tells"),
    count_column("rows", "Rows that the API served on them"),
    count_column("distinct_keys", "Different rows among them"),
    count_column("duplicates", "Rows that an earlier page of the walk had served already"),
    count_column("rejected", "Rows that could not be stored"),
    Column("is_witness", Boolean, nullable=False, server_default="false", comment="True: can testify to absence"),
    Column("source_total", BigInteger, comment="Total that the source itself reports; null: it reports none"),
    uuid_column("first_request_id", "Request of the first page"),
    uuid_column("last_request_id", "Request of the last page"),
    Index(None, "installation", "stream", "started_at"),
    Index("walks_one_open_idx", "installation", "stream", unique=True, postgresql_where="outcome = 'open'"),
    comment="The certificates: only a certified walk turns a stream green",
)

walk_pages = Table(
    "walk_pages",
    metadata,
    owner_column("walk_id", "syncd.walks.walk_id", "The walk"),
    Column("page_number", Integer, primary_key=True, autoincrement=False, comment="1 is the first page"),
    uuid_column("request_id", "The request that brought the page", null=False),
    uuid_column("run_id", "The run that stored it", null=False),
    *counts_columns(),
    Column("page_limit", Integer, comment="Page size that was asked for; null: the listing takes none"),
    Column("key_hashes", LargeBinary, nullable=False, comment="8 bytes for each row served, sorted"),
    time_column("committed_at", "When its transaction began", null=False),
    books_balance(),
    comment="The ledger: one row per page, committed together with the page's rows and the position behind it",
)

positions = Table(
    "positions",
    metadata,
    installation_column(key=True),
    stream_column(key=True),
    text_column("position", "Where the open walk, or else the next one, goes on: a JSON document", null=False),
    time_column("saved_at", "When it was saved", null=False),
    comment="Where each stream goes on after any stop",
)

run_streams = Table(
    "run_streams",
    metadata,
    owner_column("run_id", "syncd.runs.run_id", "The run"),
    stream_column(key=True),
    text_column("status", "certified, held (certified, removals wait), incomplete, skipped or failed", null=False),
    text_column("reason", "Why it is not certified, or what is held"),
    count_column("pages", "Pages stored"),
    count_column("requests", "Calls of the driver that ended it, failed attempts included; `requests` has all"),
    *counts_columns(),
    count_column("removed", "Rows that were hidden because they were gone at the source"),
    uuid_column("request_id", "The last request"),
    text_column("error_code", "The API's word for the failure"),
    time_column("ended_at", "When the stream was done with", null=False),
    books_balance(),
    comment="What a run did to each stream",
)

stream_status = Table(
    "stream_status",
    metadata,
    installation_column(key=True),
    stream_column(key=True),
    Column("promised_seconds", Integer, nullable=False, comment="How old the last certified walk may become"),
    time_column("last_certified_at", "Start of the last certified walk: everything older than that is in the tables"),
    uuid_column("last_walk_id", "That walk"),
    time_column("last_tried_at", "When a run last ended this stream, either way"),
    text_column("status", "How that ended: certified, held, incomplete, skipped or failed"),
    text_column("reason", "Why it is not certified, or what is held"),
    comment="Freshness of each stream",
)

requests = Table(
    "requests",
    metadata,
    uuid_column("request_id", "The id we sent; support at the source can find the call by it", key=True),
    uuid_column("run_id", "The run that made the call; null: a check outside a run"),
    installation_column(),
    text_column("endpoint", "Path template", null=False),
    time_column("sent_at", "When it left", null=False),
    time_column("ended_at", "When its reply was whole; null: no reply came"),
    Column("duration_ms", BigInteger, nullable=False, comment="Milliseconds from leaving to the end"),
    count_column("waited_ms", "Milliseconds for which it waited for the budget, before it left"),
    Column("status", Integer, comment="HTTP status; null: no reply came"),
    text_column("error_code", "The API's word for the failure, or ours; null: it succeeded"),
    count_column("bytes", "Size of the reply's body, decoded"),
    Column("rate_limit", BigInteger, comment="Hourly budget, as the reply says"),
    Column("rate_remaining", BigInteger, comment="What the reply says is left of it"),
    time_column("rate_reset_at", "When the reply says it is whole again"),
    Column("retry_after_s", Double, comment="Seconds that the reply tells us to wait; null: it does not"),
    text_column("token_fingerprint", "Short name of the token that was used", null=False),
    text_column("server_request_id", "The id that the server echoed"),
    Index(None, "installation", "sent_at"),
    Index(None, "run_id"),
    comment="Every attempt of every call",
)

quarantined_rows = Table(
    "quarantined_rows",
    metadata,
    installation_column(key=True),
    stream_column(key=True),
    text_column("row_ref", "Digest of the row's key, or of the row itself where it has none", key=True),
    text_column("row_key", "Key of the row; null: it has none that can be used"),
    Column("raw_row", LargeBinary, nullable=False, comment="The row as it was served, byte for byte"),
    uuid_column("request_id", "The request that brought it", null=False),
    uuid_column("run_id", "The run that met it", null=False),
    time_column("saved_at", "When it was first served in this form", null=False),
    comment="Rows with something that no column can hold, for `syncd quarantine replay`; personal data stand in them",
    info={"personal": True},
)

quarantined_values = Table(
    "quarantined_values",
    metadata,
    Column("quarantine_id", BigInteger, Identity(always=True), primary_key=True, comment="Identity"),
    installation_column(),
    stream_column(),
    text_column("json_path", "Where the value stood: the row named by its id, [] where it has none", null=False),
    text_column("reason", "Why it could not be stored", null=False),
    text_column("raw", "The value as JSON", null=False),
    uuid_column("request_id", "The request that brought it", null=False),
    uuid_column("run_id", "The run that met it", null=False),
    time_column("first_seen_at", "When it was first met", null=False),
    text_column("row_ref", "The row that it was left out of; null: kept by an older version, without its row"),
    ForeignKeyConstraint(
        ["installation", "stream", "row_ref"],
        [f"syncd.quarantined_rows.{name}" for name in ("installation", "stream", "row_ref")],
        name="quarantined_values_row_fkey",
        ondelete="CASCADE",
    ),
    Index("quarantined_values_row_idx", "installation", "stream", "row_ref"),
    Index("quarantined_values_place_idx", "installation", "stream", text("md5(json_path || raw)"), unique=True),
    comment="Values that the API served and no column can hold; personal data may stand in them",
    info={"personal": True},
)

older_versions = Table(
    "older_versions",
    metadata,
    installation_column(key=True),
    stream_column(key=True),
    text_column("entity", "Table of the row", key=True),
    Column("entity_key", Text(collation="C"), primary_key=True, comment="Key of the row"),
    Column("content_hash", LargeBinary, nullable=False, comment="Hash of the older version"),
    owner_column("walk_id", "syncd.walks.walk_id", "The walk that met it last", key=False),
    comment="Versions older than ours, as walks met them; one that a second walk meets again is accepted",
)

pending_removals = Table(
    "pending_removals",
    metadata,
    installation_column(key=True),
    stream_column(key=True),
    text_column("entity", "Table of the row", key=True),
    Column("entity_key", Text(collation="C"), primary_key=True, comment="Key of the row"),
    time_column("held_at", "When the row was first held", null=False),
    uuid_column("walk_id", "The certified walk that found it gone", null=False),
    time_column("rejected_at", "When a person decided that the row stays; null: it waits for a decision"),
    comment="Rows that are gone at the source and stay until a person decides: `syncd deletes`",
)
