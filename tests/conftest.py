"""Fixtures for all tests: a PostgreSQL server, and a database for each test that asks for one."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from hypothesis import settings

from tests import leaks, postgres
from tests.harness import Bench, OpenBench, benches, leave_no_home
from tests.leaks import no_leak, pytest_runtest_makereport

__all__ = ["no_leak", "pytest_runtest_makereport"]

# The same examples every time: a red build is a change's doing. `pytest --hypothesis-profile=default` draws new ones.
settings.register_profile("steady", derandomize=True, deadline=None)
settings.load_profile("steady")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: half of its time a test waits, for processes, sockets and leases."""
    return (os.cpu_count() or 1) * 2


def pytest_unconfigure() -> None:
    """A worker of xdist ends without its exit handlers."""
    leave_no_home()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The administrator's URL of the session's server."""
    with postgres.session_server() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_admin(postgres_server: str) -> Iterator[psycopg.Connection]:
    """An autocommitting connection of the administrator, one for the session: a login costs 10 ms."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="session")
def postgres_template(postgres_admin: psycopg.Connection, postgres_server: str) -> Iterator[str]:
    """The name of the database with the newest schema that `database_url` is cloned from."""
    with postgres.template_database(postgres_admin, postgres_server) as name:
        yield name


@pytest.fixture(scope="session", autouse=True)
def _watched() -> Iterator[None]:
    with leaks.watched():
        yield


@pytest.fixture
def database_url(
    postgres_admin: psycopg.Connection, postgres_server: str, postgres_template: str, no_leak: None
) -> Iterator[str]:
    """A database of the test's own with the newest schema."""
    with postgres.temporary_database(postgres_admin, postgres_server, postgres_template) as url:
        yield url
        leaks.look_at_database(url)
        leaks.look_at_processes()


@pytest.fixture
def empty_database_url(postgres_admin: psycopg.Connection, postgres_server: str) -> Iterator[str]:
    """A database of the test's own with nothing in it."""
    with postgres.temporary_database(postgres_admin, postgres_server) as url:
        yield url


@pytest.fixture
async def open_bench(database_url: str) -> AsyncIterator[OpenBench]:
    """Open benches on the test's database; all are closed at the end."""
    async with benches(database_url) as start:
        yield start


@pytest.fixture
async def bench(open_bench: OpenBench) -> Bench:
    """A small world whose first event is connected."""
    bench = await open_bench()
    await bench.add()
    return bench
