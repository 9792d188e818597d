"""One PostgreSQL for the whole run, and a database of its own for each test."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from postgres import PostgresServer, postgres_server, unused_name
from publish.kills import KillLane, KillMatrix, KillTally, render_table
from publish.pair import Pair, create_schema
from publish.station import other, sim, station, world
from store.conftest import ago, database, insert, say

_TALLIES = pytest.StashKey[list[KillTally]]()

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
def kill_matrix(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, *, whole: bool
) -> Iterator[KillMatrix]:
    """Lanes with a PostgreSQL each, as killing one would disturb the others."""
    with ExitStack() as stack:
        lanes = []
        for _ in range(2 * (os.cpu_count() or 1) if whole else 1):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="syncd-pg-")))
            folder.chmod(0o755)
            lane = KillLane(tmp_path_factory.mktemp("k"), stack.enter_context(postgres_server(folder / "server")))
            stack.callback(lane.close)
            lanes.append(lane)
        running = KillMatrix(lanes)
        pytestconfig.stash[_TALLIES] = running.tallies
        yield running


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table of kills."""
    tallies = config.stash.get(_TALLIES, [])
    if tallies:
        terminalreporter.section("crash matrix of publishing")
        for line in render_table(tallies):
            terminalreporter.write_line(line)
