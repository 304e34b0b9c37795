"""What each installation's API was seen to do with a cursor."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_READINGS = ("cursor_survives_refresh", "cursor_survives_limit")


def upgrade() -> None:
    """Nothing was seen yet."""
    for name in _READINGS:
        op.add_column("installations", sa.Column(name, sa.Boolean(), nullable=True), schema="syncd")


def downgrade() -> None:
    """What was seen is forgotten."""
    for name in _READINGS:
        op.drop_column("installations", name, schema="syncd")
