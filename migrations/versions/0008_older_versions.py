"""Versions older than ours that walks met, so that what two of them meet is accepted; and how many rows went back so."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COUNTING = ("walk_pages", "run_streams")


def upgrade() -> None:
    """Nothing is known yet: two walks from now on have to meet a version."""
    op.create_table(
        "older_versions",
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("entity_key", sa.Text(collation="C"), nullable=False),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False),
        sa.Column("walk_id", sa.UUID(), nullable=False),
        sa.ForeignKeyConstraint(
            ["installation"],
            ["syncd.installations.name"],
            name=op.f("older_versions_installation_fkey"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["walk_id"], ["syncd.walks.walk_id"], name=op.f("older_versions_walk_id_fkey"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("installation", "stream", "entity", "entity_key", name=op.f("older_versions_pkey")),
        schema="syncd",
    )
    for table in _COUNTING:
        column = sa.Column("reverted", sa.BigInteger(), server_default="0", nullable=False)
        op.add_column(table, column, schema="syncd")


def downgrade() -> None:
    """What was accepted stays."""
    for table in _COUNTING:
        op.drop_column(table, "reverted", schema="syncd")
    op.drop_table("older_versions", schema="syncd")
