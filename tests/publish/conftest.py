"""One PostgreSQL for the whole run, and a database of its own for each test."""

import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from postgres import PostgresServer, postgres_server, unused_name
from publish.kills import KillLane
from publish.pair import Pair, create_schema
from publish.station import other, sim, station, world
from store.conftest import ago, database, insert, say

__all__ = ["ago", "database", "insert", "other", "say", "sim", "station", "world"]
"""Fixtures of the store's tests that fill a mirror by hand, and those that mirror and publish."""


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL that no test may stop or kill; those that do start one of their own."""
    with tempfile.TemporaryDirectory(prefix="syncd-pg-") as name:
        Path(name).chmod(0o755)
        with postgres_server(Path(name) / "server") as running:
            yield running


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL that this test may stop, fill and kill."""
    with tempfile.TemporaryDirectory(prefix="syncd-pg-") as name:
        Path(name).chmod(0o755)
        with postgres_server(Path(name) / "server") as running:
            yield running


@pytest.fixture
def target(server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database, which is gone after the test."""
    name = unused_name()
    yield server.url(name)
    with server.connect() as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def reader(target: str) -> Iterator[psycopg.Connection]:
    """A connection to that database with the schema `syncd` on its search path; each statement commits itself."""
    with psycopg.connect(target, autocommit=True, options="-c search_path=syncd") as connection:
        yield connection


@pytest.fixture(scope="session")
def views(server: PostgresServer) -> Iterator[psycopg.Connection]:
    """The published schema, in which each comparison puts rows of its own."""
    with psycopg.connect(server.url("views"), autocommit=True, options="-c search_path=syncd") as connection:
        create_schema(connection)
        yield connection


@pytest.fixture
def pair(database: sqlite3.Connection, views: psycopg.Connection) -> Pair:
    """The database that the test fills, and what is published of it."""
    return Pair(database, views)


@pytest.fixture(scope="session")
def kill_lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillLane]:
    """Where the trials of this process run, with a PostgreSQL of its own: killing it would disturb others."""
    with tempfile.TemporaryDirectory(prefix="syncd-pg-") as name:
        Path(name).chmod(0o755)
        with postgres_server(Path(name) / "server") as server:
            lane = KillLane(tmp_path_factory.mktemp("k"), server)
            yield lane
            lane.close()
