"""The kinds of column that the control tables are made of."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Text
from sqlalchemy.dialects.postgresql import ARRAY, TIMESTAMP, UUID

# Of what a migration has to name.
NAMES = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    "ck": "%(table_name)s_%(constraint_name)s_check",
}


def text_column(name: str, comment: str, *, null: bool = True, key: bool = False) -> Column[str]:
    """A text."""
    return Column(name, Text, primary_key=key, nullable=null and not key, comment=comment)


def time_column(name: str, comment: str, *, null: bool = True) -> Column[object]:
    """A moment, with its zone."""
    return Column(name, TIMESTAMP(timezone=True), nullable=null, comment=comment)


def times_column(name: str, comment: str) -> Column[object]:
    """Any number of moments; none at first."""
    return Column(name, ARRAY(TIMESTAMP(timezone=True)), nullable=False, server_default="{}", comment=comment)


def count_column(name: str, comment: str) -> Column[int]:
    """A number that begins at 0."""
    return Column(name, BigInteger, nullable=False, server_default="0", comment=comment)


def uuid_column(name: str, comment: str, *, null: bool = True, key: bool = False) -> Column[object]:
    """An identity."""
    return Column(name, UUID(as_uuid=True), primary_key=key, nullable=null and not key, comment=comment)


def owner_column(name: str, target: str, comment: str, *, key: bool = True) -> Column[object]:
    """The first part of a key, unless told; the row goes with what it names."""
    return Column(
        name,
        UUID(as_uuid=True),
        ForeignKey(target, ondelete="CASCADE"),
        primary_key=key,
        nullable=False,
        comment=comment,
    )


def installation_column(*, key: bool = False) -> Column[str]:
    """The installation that the row belongs to, and goes with."""
    return Column(
        "installation",
        Text,
        ForeignKey("syncd.installations.name", ondelete="CASCADE"),
        primary_key=key,
        nullable=False,
        comment="Name of the installation, as in installations.name",
    )


def stream_column(*, key: bool = False) -> Column[str]:
    """The stream."""
    return text_column("stream", "Name of the stream, as `syncd status` shows it", null=False, key=key)


def counts_columns() -> list[Column[int]]:
    """The books: `seen` is always the sum of the five behind it."""
    return [
        count_column("seen", "Rows that the API served"),
        count_column("inserted", "Rows that were new"),
        count_column("updated", "Rows whose content had changed"),
        count_column("unchanged", "Rows that were not touched because nothing had changed"),
        count_column("superseded", "Rows that were older than ours, or repeated within one page"),
        count_column("rejected", "Rows that could not be stored at all"),
        count_column("quarantined_values", "Values newly left out of their rows, counted apart"),
        count_column("reverted", "Those of the updated rows that went back to an older version, as two walks met it"),
    ]


def books_balance() -> CheckConstraint:
    """The books of a page, a walk or a run balance."""
    return CheckConstraint("seen = inserted + updated + unchanged + superseded + rejected", name="books_balance")
