"""What participants show of themselves under tokens of their own: applications and profiles."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.schema import SchemaItem

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Both are empty until somebody's token is added."""
    op.create_table(
        "user_applications",
        *_keys(),
        sa.Column("application_id", sa.Text(collation="C"), nullable=True),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("submitted_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_reviewed_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("last_review_action", sa.Text(), nullable=True),
        sa.Column("withdrawn_at", sa.TIMESTAMP(timezone=True), nullable=True),
        *_metadata("user_applications"),
        schema="revento",
        info={"key": ("event_id", "user_id")},
    )
    op.create_table(
        "user_profiles",
        *_keys(),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("locale", sa.Text(), nullable=True),
        *_metadata("user_profiles"),
        schema="revento",
        info={"key": ("event_id", "user_id"), "personal": True},
    )


def _keys() -> tuple[sa.Column[str], ...]:
    made = sa.Computed("event_id || '/' || user_id", persisted=True)
    return (
        sa.Column("user_key", sa.Text(collation="C"), made, nullable=False),
        sa.Column("event_id", sa.Text(collation="C"), nullable=False),
        sa.Column("user_id", sa.Text(collation="C"), nullable=False),
    )


def _metadata(table: str) -> tuple[SchemaItem, ...]:
    return (
        sa.Column("_syncd_synced_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("_syncd_deleted_at", sa.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("_syncd_run_id", sa.Uuid(), nullable=True),
        sa.Column("_syncd_request_id", sa.Uuid(), nullable=True),
        sa.Column("_syncd_hash", sa.LargeBinary(), nullable=True),
        sa.Column("_syncd_is_stub", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["revento.events.event_id"],
            name=op.f(f"{table}_event_id_fkey"),
            initially="DEFERRED",
            deferrable=True,
        ),
        sa.PrimaryKeyConstraint("user_key", name=op.f(f"{table}_pkey")),
    )


def downgrade() -> None:
    """What people showed of themselves goes with the tables."""
    op.drop_table("user_profiles", schema="revento")
    op.drop_table("user_applications", schema="revento")
