"""When a driver was found cut off, so that the calls it may have made count against the budget of every later one."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Of the past nothing is known; its hour is over soon."""
    op.add_column(
        "leases",
        sa.Column("cut_off_at", sa.ARRAY(sa.DateTime(timezone=True)), server_default="{}", nullable=False),
        schema="syncd",
    )


def downgrade() -> None:
    """They are forgotten."""
    op.drop_column("leases", "cut_off_at", schema="syncd")
