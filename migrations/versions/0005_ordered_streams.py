"""Runs that know what they were ordered for, and lease epochs that outlive their installation."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A driver that sleeps through a removal must not find its own epoch again when the installation is added anew."""
    op.add_column("runs", sa.Column("streams", postgresql.ARRAY(sa.Text()), nullable=True), schema="syncd")
    op.drop_constraint("leases_installation_fkey", "leases", schema="syncd", type_="foreignkey")


def downgrade() -> None:
    """Epochs of installations that are gone are forgotten."""
    op.execute("DELETE FROM syncd.leases WHERE installation NOT IN (SELECT name FROM syncd.installations)")
    op.create_foreign_key(
        "leases_installation_fkey", "leases", "installations", ["installation"], ["name"],
        source_schema="syncd", referent_schema="syncd", ondelete="CASCADE",
    )  # fmt: skip
    op.drop_column("runs", "streams", schema="syncd")
