"""`bi.data_freshness` tells how many rows of a stream are held."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No table changes; every upgrade makes the views anew."""


def downgrade() -> None:
    """The view that has the column goes; every upgrade makes it anew."""
    op.execute("DROP VIEW IF EXISTS bi.data_freshness")
