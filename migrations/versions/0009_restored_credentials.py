"""How often each pair was renewed and in which database it was stored, so that a restored copy is noticed; its consent."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Pairs of before count from 0; where they were stored is not known of them."""
    op.add_column(
        "credentials", sa.Column("generation", sa.BigInteger(), server_default="0", nullable=False), schema="syncd"
    )
    op.add_column("credentials", sa.Column("stored_in", sa.Text()), schema="syncd")
    op.add_column("credentials", sa.Column("granted_at", sa.DateTime(timezone=True)), schema="syncd")
    op.execute("""
        UPDATE syncd.credentials AS pair SET granted_at = coalesce(
            (SELECT max(happened_at) FROM syncd.token_events AS event
             WHERE event.installation = pair.installation AND kind = 'issued'), pair.updated_at)
    """)
    op.alter_column("credentials", "granted_at", nullable=False, schema="syncd")


def downgrade() -> None:
    """The pairs stay."""
    for column in ("granted_at", "stored_in", "generation"):
        op.drop_column("credentials", column, schema="syncd")
