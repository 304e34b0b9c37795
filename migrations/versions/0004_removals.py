"""Removals: which walks may testify to a row's absence, and what waits for a person's decision."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Walks of older versions testify to nothing: they did not note their page sizes."""
    op.add_column(
        "walks",
        sa.Column("is_witness", sa.Boolean(), server_default=sa.false(), nullable=False),
        schema="syncd",
    )
    op.add_column("walk_pages", sa.Column("page_limit", sa.Integer(), nullable=True), schema="syncd")
    op.create_table(
        "pending_removals",
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("entity_key", sa.Text(collation="C"), nullable=False),
        sa.Column("held_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("walk_id", sa.UUID(), nullable=False),
        sa.Column("rejected_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["installation"],
            ["syncd.installations.name"],
            name=op.f("pending_removals_installation_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("installation", "stream", "entity", "entity_key", name=op.f("pending_removals_pkey")),
        schema="syncd",
    )


def downgrade() -> None:
    """Drop what upgrade added; what was held shows as live."""
    op.drop_table("pending_removals", schema="syncd")
    op.drop_column("walk_pages", "page_limit", schema="syncd")
    op.drop_column("walks", "is_witness", schema="syncd")
