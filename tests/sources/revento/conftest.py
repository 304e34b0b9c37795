"""A database with the source's own tables, made by `create_all`: what tables.py says, no migration in between."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateSchema

from syncd.sources.revento.tables import METADATA
from tests.postgres import temporary_database


@pytest.fixture(scope="session")
def tables_template(postgres_admin: psycopg.Connection, postgres_server: str) -> Iterator[str]:
    """The name of a database that holds schema revento and nothing else."""
    with temporary_database(postgres_admin, postgres_server) as url:
        engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(CreateSchema("revento"))
            METADATA.create_all(connection)
        yield urlsplit(url).path.lstrip("/")
