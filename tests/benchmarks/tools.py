"""What stands side by side in a first pass: syncd, the limits, and what a user would pick instead."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from benchmarks.processes import Command, Measured, configure, measure, module, syncd
from benchmarks.serving import IN_FLIGHT, TOKEN, Server

SYNCD: Final = "syncd"
RAW: Final = "limit: fetch, raw sockets"
HTTPX: Final = "limit: fetch, httpx"
STORE: Final = "limit: store, executemany"
INDEXED: Final = "limit: store, with syncd's indexes and search"
TOGETHER: Final = "limit: both at once, in one process"
PLAIN: Final = "plain script"
DLT: Final = "dlt"


@dataclass(frozen=True)
class Tool:
    """`command`: what to run, given the server and an empty folder; `database`: where its messages are then."""

    name: str
    command: Callable[[Server, Path], Command]
    database: str | None = None


def run_tool(tool: Tool, server: Server, folder: Path) -> Measured:
    """Run it once; RuntimeError unless it fetched or stored every message."""
    measured = measure(*tool.command(server, folder))
    found = measured.told.get("messages") if tool.database is None else count_messages(folder / tool.database)
    if found != server.messages:
        raise RuntimeError(f"{tool.name} has {found} of {server.messages} messages: a wrong mirror is no result")
    return measured


def count_messages(path: Path) -> int:
    """How many messages a database holds."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        (count,) = database.execute("SELECT count(*) FROM messages").fetchone()
    return int(count)


def _syncd(server: Server, folder: Path) -> Command:
    configure(folder, server.url, concurrency=IN_FLIGHT)
    return syncd(folder, "sync", "--json")


def _fetch(how: str) -> Callable[[Server, Path], Command]:
    return lambda server, _: module("benchmarks.fetching", how, str(server.port), str(IN_FLIGHT))


def _store(_server: Server, folder: Path) -> Command:
    return module("benchmarks.storing", str(folder / _SYNCD_DATABASE), str(folder / "limit.db"))


def _store_indexed(_server: Server, folder: Path) -> Command:
    return module("benchmarks.storing", str(folder / _SYNCD_DATABASE), str(folder / "indexed.db"), "indexed")


def _together(server: Server, folder: Path) -> Command:
    return module("benchmarks.together", str(server.port), str(IN_FLIGHT), str(folder / "together.db"))


def _plain(server: Server, folder: Path) -> Command:
    return module("benchmarks.plain_script", server.url, TOKEN, str(folder / "plain.db"))


def _dlt(server: Server, folder: Path) -> Command:
    (folder / "dlt").mkdir(exist_ok=True)
    return module("benchmarks.dlt_script", server.url, TOKEN, str(folder / "dlt"), str(IN_FLIGHT))


_SYNCD_DATABASE: Final = ".local/state/syncd/syncd.db"

LIMITS: Final = (
    Tool(RAW, _fetch("raw")),
    Tool(HTTPX, _fetch("httpx")),
    Tool(STORE, _store),
    Tool(INDEXED, _store_indexed),
    Tool(TOGETHER, _together, "together.db"),
)
MIRRORS: Final = (
    Tool(SYNCD, _syncd, _SYNCD_DATABASE),
    Tool(PLAIN, _plain, "plain.db"),
    Tool(DLT, _dlt, "dlt/dlt.db"),
)


def has_dlt() -> bool:
    """Whether dlt is installed (the extra `benchmark`)."""
    return find_spec("dlt") is not None
