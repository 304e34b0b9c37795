"""Runs that somebody asks to end."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Give people a way to end a round that another process drives."""
    op.add_column("runs", sa.Column("cancel_requested_at", sa.TIMESTAMP(timezone=True), nullable=True), schema="syncd")


def downgrade() -> None:
    """Take it away again."""
    op.drop_column("runs", "cancel_requested_at", schema="syncd")
