"""What a driver waits for and until when, and how long each call has waited for the budget."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody waits, as far as is known."""
    op.add_column("leases", sa.Column("waits_for", sa.Text(), nullable=True), schema="syncd")
    op.add_column("leases", sa.Column("waits_until", sa.TIMESTAMP(timezone=True), nullable=True), schema="syncd")
    waited = sa.Column("waited_ms", sa.BigInteger(), server_default="0", nullable=False)
    op.add_column("requests", waited, schema="syncd")


def downgrade() -> None:
    """The views that show it go first; every upgrade makes them anew."""
    op.execute("DROP VIEW IF EXISTS bi.api_headroom")
    op.drop_column("requests", "waited_ms", schema="syncd")
    op.drop_column("leases", "waits_until", schema="syncd")
    op.drop_column("leases", "waits_for", schema="syncd")
