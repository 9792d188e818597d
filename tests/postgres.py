"""A real PostgreSQL on loopback, in a folder of its own, with settings that naive SQL trips over."""

import os
import pwd
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
import pytest
from psycopg import sql

OWNER = "syncd"
"""Who owns the databases that tests use: no superuser, as no publisher should be one."""

MISSING = "no server was found; on Debian: apt-get install postgresql"
"""What to tell where `find_programs` finds none."""

_SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = {fsync}
# What a careless query depends on is not what it expects.
timezone = 'Asia/Kathmandu'
datestyle = 'ISO, DMY'
"""
_RULES = """
local all all trust
host all +asked_for_password 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
_START_SECONDS = 60


def find_programs() -> Path | None:
    """The folder with `initdb` and `postgres`, the newest one; None where there is no PostgreSQL server."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    told = [Path(_ask("pg_config", "--bindir"))] if shutil.which("pg_config") else []
    places = [*told, *debian, *([Path(on_path).resolve().parent] if on_path else [])]
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


def _ask(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603 - our own command


def _find_user() -> str | None:
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


class PostgresServer:
    """A PostgreSQL of our own; `start` and `stop` may follow each other, and `kill9` may strike in between."""

    def __init__(self, programs: Path, folder: Path, *, fsync: bool) -> None:
        self._programs, self._data = programs, folder / "data"
        self.log: list[str] = []
        self._user = _find_user()
        folder.mkdir(parents=True, exist_ok=True)
        if self._user is not None:
            shutil.chown(folder, self._user)
        self.port = _free_port()
        self._initialise(_SETTINGS.format(port=self.port, folder=folder, fsync="on" if fsync else "off"))

    def _initialise(self, settings: str) -> None:
        version = int(re.findall(r"\d+", _ask(str(self._programs / "postgres"), "--version"))[0])
        # A language's order of texts, as most servers have it: not the order of their bytes.
        order = ["--locale-provider=icu", "--icu-locale=en-US"] if version >= 15 else []
        command = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync", *order]
        self._run("initdb", *command)
        self._append("postgresql.conf", settings)
        (self._data / "pg_hba.conf").write_text(_RULES, encoding="utf-8")

    def _append(self, name: str, text: str) -> None:
        with (self._data / name).open("a", encoding="utf-8") as file:
            file.write(text)

    def _run(self, program: str, *arguments: str) -> None:
        ended = subprocess.run(  # noqa: S603 - our own command
            [str(self._programs / program), "-D", str(self._data), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            user=self._user,
        )
        if ended.returncode:
            raise RuntimeError(f"{program} failed:\n{ended.stdout}{ended.stderr}")

    def start(self) -> None:
        """Start it and wait until it takes connections, after a crash until it has recovered."""
        self._process = subprocess.Popen(  # noqa: S603 - our own command
            [str(self._programs / "postgres"), "-D", str(self._data)],
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            user=self._user,
        )
        ready = threading.Event()
        self._listener = threading.Thread(target=self._listen, args=(self._process.stderr, ready), daemon=True)
        self._listener.start()
        if not ready.wait(_START_SECONDS) or self._process.poll() is not None:
            raise RuntimeError("postgres did not start:\n" + "".join(self.log[-20:]))

    def _listen(self, stream: IO[str], ready: threading.Event) -> None:
        with stream:
            for line in stream:
                self.log.append(line)
                if "ready to accept connections" in line:
                    ready.set()
        ready.set()  # nothing more is to come: it has ended

    def stop(self, *, at_once: bool = False) -> None:
        """Stop it and wait for its end; whoever is connected is cut off. `at_once`: without writing anything more."""
        self._process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
        self._reap()

    def _reap(self) -> None:
        self._process.wait()
        self._listener.join()

    def kill9(self) -> None:
        """Kill the postmaster and everything it started by SIGKILL, and wait until all are gone."""
        kill_family(self._process.pid)
        self._reap()

    def restart(self) -> None:
        """Start it again, once it has ended; whoever killed it."""
        self._reap()
        self.start()

    @property
    def pid(self) -> int:
        """The postmaster's process."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process.poll() is None

    def url(self, database: str = "syncd", *, user: str = OWNER) -> str:
        """Where a database is; it is made, and belongs to `syncd`, unless it is there."""
        with self.connect() as connection:
            known = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(known, [database]).fetchone() is None:
                make = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(OWNER))
                connection.execute(make)
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres", *, user: str = "postgres") -> psycopg.Connection:
        """A connection, the superuser's unless told otherwise; each statement commits itself."""
        return psycopg.connect(host="127.0.0.1", port=self.port, dbname=database, user=user, autocommit=True)

    def add_user(self, name: str, password: str) -> None:
        """A user who is let in with this password only."""
        role, secret = sql.Identifier(name), sql.Literal(password)
        with self.connect() as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE asked_for_password").format(role, secret)
            )

    def prepare(self) -> None:
        """Make the roles that every test relies on."""
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(OWNER)))
            connection.execute("CREATE ROLE asked_for_password")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def kill_family(pid: int) -> None:
    """Kill a process and all that it started by SIGKILL, and wait until nobody of them is left."""
    os.kill(pid, signal.SIGSTOP)  # it starts nothing more
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    family = [(one, os.pidfd_open(one)) for one in (pid, *map(int, text.split()))]
    for one, _ in family:
        os.kill(one, signal.SIGKILL)
    for _, handle in family:
        select.select([handle], [], [])
        os.close(handle)


@contextmanager
def postgres_server(folder: Path, *, fsync: bool = False) -> Iterator[PostgresServer]:
    """A running PostgreSQL in this folder, which other users must be able to reach; skips where there is none."""
    programs = find_programs()
    if programs is None:
        pytest.skip(f"NO POSTGRESQL WAS TESTED: {MISSING}")
    server = PostgresServer(programs, folder, fsync=fsync)
    server.start()
    try:
        server.prepare()
        yield server
    finally:
        if server.running:
            server.stop(at_once=True)


def unused_name() -> str:
    """A name for a database that nobody has."""
    return f"test_{secrets.token_hex(6)}"
