"""The control schema: installations, leases, walks, runs, requests."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import Text
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create schema syncd with its tables."""
    op.execute("CREATE SCHEMA IF NOT EXISTS syncd")
    op.execute("COMMENT ON SCHEMA syncd IS 'Control tables of syncd: not for BI'")
    op.create_table(
        "installations",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("organization", sa.Text(), nullable=True),
        sa.Column("timezone", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("api_url", sa.Text(), nullable=False),
        sa.Column("auth_url", sa.Text(), nullable=True),
        sa.Column("scopes", postgresql.ARRAY(Text()), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("installations_pkey")),
        schema="syncd",
    )
    op.create_table(
        "credentials",
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("access_token", sa.LargeBinary(), nullable=False),
        sa.Column("refresh_token", sa.LargeBinary(), nullable=True),
        sa.Column("access_fingerprint", sa.Text(), nullable=False),
        sa.Column("refresh_fingerprint", sa.Text(), nullable=True),
        sa.Column("access_expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("refresh_expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("intent_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("updated_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["installation"],
            ["syncd.installations.name"],
            name=op.f("credentials_installation_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("installation", name=op.f("credentials_pkey")),
        schema="syncd",
    )
    op.create_table(
        "leases",
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["installation"], ["syncd.installations.name"], name=op.f("leases_installation_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("installation", name=op.f("leases_pkey")),
        schema="syncd",
    )
    op.create_table(
        "positions",
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), nullable=False),
        sa.Column("saved_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["installation"], ["syncd.installations.name"], name=op.f("positions_installation_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("installation", "stream", name=op.f("positions_pkey")),
        schema="syncd",
    )
    op.create_table(
        "quarantined_values",
        sa.Column("quarantine_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("json_path", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("request_id", sa.UUID(), nullable=False),
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("first_seen_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["installation"],
            ["syncd.installations.name"],
            name=op.f("quarantined_values_installation_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("quarantine_id", name=op.f("quarantined_values_pkey")),
        schema="syncd",
        info={"personal": True},
    )
    op.create_index(
        "quarantined_values_place_idx",
        "quarantined_values",
        ["installation", "stream", sa.literal_column("md5(json_path || raw)")],
        unique=True,
        schema="syncd",
    )
    op.create_table(
        "requests",
        sa.Column("request_id", sa.UUID(), nullable=False),
        sa.Column("run_id", sa.UUID(), nullable=True),
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=False),
        sa.Column("sent_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rate_limit", sa.BigInteger(), nullable=True),
        sa.Column("rate_remaining", sa.BigInteger(), nullable=True),
        sa.Column("rate_reset_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("retry_after_s", sa.Double(), nullable=True),
        sa.Column("token_fingerprint", sa.Text(), nullable=False),
        sa.Column("server_request_id", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["installation"], ["syncd.installations.name"], name=op.f("requests_installation_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("request_id", name=op.f("requests_pkey")),
        schema="syncd",
    )
    op.create_index(
        op.f("requests_installation_sent_at_idx"), "requests", ["installation", "sent_at"], unique=False, schema="syncd"
    )
    op.create_index(op.f("requests_run_id_idx"), "requests", ["run_id"], unique=False, schema="syncd")
    op.create_table(
        "runs",
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.UUID(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("heartbeat_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["installation"], ["syncd.installations.name"], name=op.f("runs_installation_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", name=op.f("runs_pkey")),
        schema="syncd",
    )
    op.create_index(
        op.f("runs_installation_started_at_idx"), "runs", ["installation", "started_at"], unique=False, schema="syncd"
    )
    op.create_table(
        "stream_status",
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("promised_seconds", sa.Integer(), nullable=False),
        sa.Column("last_certified_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_walk_id", sa.UUID(), nullable=True),
        sa.Column("last_tried_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["installation"],
            ["syncd.installations.name"],
            name=op.f("stream_status_installation_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("installation", "stream", name=op.f("stream_status_pkey")),
        schema="syncd",
    )
    op.create_table(
        "token_events",
        sa.Column("token_event_id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("happened_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("token_fingerprint", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["installation"],
            ["syncd.installations.name"],
            name=op.f("token_events_installation_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_event_id", name=op.f("token_events_pkey")),
        schema="syncd",
    )
    op.create_index(
        op.f("token_events_installation_happened_at_idx"),
        "token_events",
        ["installation", "happened_at"],
        unique=False,
        schema="syncd",
    )
    op.create_table(
        "walks",
        sa.Column("walk_id", sa.UUID(), nullable=False),
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("run_id", sa.UUID(), nullable=True),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("pages", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rows", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("distinct_keys", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("duplicates", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("source_total", sa.BigInteger(), nullable=True),
        sa.Column("first_request_id", sa.UUID(), nullable=True),
        sa.Column("last_request_id", sa.UUID(), nullable=True),
        sa.ForeignKeyConstraint(
            ["installation"], ["syncd.installations.name"], name=op.f("walks_installation_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("walk_id", name=op.f("walks_pkey")),
        schema="syncd",
    )
    op.create_index(
        op.f("walks_installation_stream_started_at_idx"),
        "walks",
        ["installation", "stream", "started_at"],
        unique=False,
        schema="syncd",
    )
    op.create_index(
        "walks_one_open_idx",
        "walks",
        ["installation", "stream"],
        unique=True,
        schema="syncd",
        postgresql_where="outcome = 'open'",
    )
    op.create_table(
        "run_streams",
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("pages", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("requests", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("seen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("inserted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("superseded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("quarantined_values", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("removed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("request_id", sa.UUID(), nullable=True),
        sa.Column("error_code", sa.Text(), nullable=True),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "seen = inserted + updated + unchanged + superseded + rejected",
            name=op.f("run_streams_books_balance_check"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["syncd.runs.run_id"], name=op.f("run_streams_run_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("run_id", "stream", name=op.f("run_streams_pkey")),
        schema="syncd",
    )
    op.create_table(
        "walk_pages",
        sa.Column("walk_id", sa.UUID(), nullable=False),
        sa.Column("page_number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("request_id", sa.UUID(), nullable=False),
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("seen", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("inserted", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("superseded", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("quarantined_values", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("key_hashes", sa.LargeBinary(), nullable=False),
        sa.Column("committed_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.CheckConstraint(
            "seen = inserted + updated + unchanged + superseded + rejected", name=op.f("walk_pages_books_balance_check")
        ),
        sa.ForeignKeyConstraint(
            ["walk_id"], ["syncd.walks.walk_id"], name=op.f("walk_pages_walk_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("walk_id", "page_number", name=op.f("walk_pages_pkey")),
        schema="syncd",
    )


def downgrade() -> None:
    """Drop every table of schema syncd but alembic's own, which notes this very step."""
    op.execute("""
        DROP TABLE syncd.walk_pages, syncd.run_streams, syncd.walks, syncd.token_events, syncd.stream_status,
            syncd.runs, syncd.requests, syncd.quarantined_values, syncd.positions, syncd.leases, syncd.credentials,
            syncd.installations CASCADE
    """)
