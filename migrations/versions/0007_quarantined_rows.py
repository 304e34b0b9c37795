"""The row that each quarantined value was left out of, so that a later version can read it again without a call."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ROW = ["installation", "stream", "row_ref"]


def upgrade() -> None:
    """What was kept before has no row; the next walk that meets it again keeps that too."""
    op.create_table(
        "quarantined_rows",
        sa.Column("installation", sa.Text(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("row_ref", sa.Text(), nullable=False),
        sa.Column("row_key", sa.Text(), nullable=True),
        sa.Column("raw_row", sa.LargeBinary(), nullable=False),
        sa.Column("request_id", sa.UUID(), nullable=False),
        sa.Column("run_id", sa.UUID(), nullable=False),
        sa.Column("saved_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["installation"],
            ["syncd.installations.name"],
            name=op.f("quarantined_rows_installation_fkey"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(*_ROW, name=op.f("quarantined_rows_pkey")),
        schema="syncd",
        info={"personal": True},
    )
    op.add_column("quarantined_values", sa.Column("row_ref", sa.Text(), nullable=True), schema="syncd")
    op.create_foreign_key(
        "quarantined_values_row_fkey", "quarantined_values", "quarantined_rows", _ROW, _ROW,
        source_schema="syncd", referent_schema="syncd", ondelete="CASCADE",
    )  # fmt: skip
    op.create_index("quarantined_values_row_idx", "quarantined_values", _ROW, schema="syncd")


def downgrade() -> None:
    """Values stay, without their rows."""
    op.drop_constraint("quarantined_values_row_fkey", "quarantined_values", schema="syncd", type_="foreignkey")
    op.drop_index("quarantined_values_row_idx", "quarantined_values", schema="syncd")
    op.drop_column("quarantined_values", "row_ref", schema="syncd")
    op.drop_table("quarantined_rows", schema="syncd")
