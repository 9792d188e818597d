"""The contract's names are the program's: settings and their defaults, commands, exit codes, tables, views, metrics."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from documents import DOCS, find_blocks
from people import World
from syncd.cli.main import FAMILIES
from syncd.config.load import load
from syncd.config.models import Settings
from syncd.errors import SyncdError
from syncd.ops.metrics import Figures, _Collector

CONTRACT = (DOCS / "contract.md").read_text(encoding="utf-8")
MIRRORED = ["first_seen_at", "changed_at", "change_id", "gone_at", "extra"]
EXAMPLES = {"name", "base_url", "token_env", "headers"}
"""Settings of accounts that the contract shows with a value that is none of theirs by default."""


def read_table(heading: str, page: str = CONTRACT) -> list[list[str]]:
    """The rows of the table that is headed so, cell by cell."""
    _, found, rest = page.partition(f"\n| {heading} |")
    assert found, heading
    lines = rest.split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))] for line in lines]


@pytest.fixture
def database(people: World) -> Iterator[sqlite3.Connection]:
    """A database of this version."""
    with closing(sqlite3.connect(people.path)) as connection:
        yield connection


def columns(database: sqlite3.Connection, name: str) -> list[tuple[str, int]]:
    """Each column of a table or view, and its place in the key (0: none)."""
    return list(database.execute("SELECT name, pk FROM pragma_table_info(?)", (name,)))


def names(database: sqlite3.Connection, kind: str) -> set[str]:
    """The public tables or views."""
    found = database.execute("SELECT name FROM sqlite_master WHERE type = ?", (kind,))
    return {name for (name,) in found if not name.startswith(("_", "sqlite_"))}


def test_the_tables(database: sqlite3.Connection) -> None:
    """The contract has every public table with its key and its columns."""
    rows = read_table("table")
    assert {name.strip("`") for name, _, _ in rows} == names(database, "table")
    for name, key, others in rows:
        found = columns(database, name.strip("`"))
        assert key == ", ".join(name for name, _ in sorted((c for c in found if c[1]), key=lambda column: column[1]))
        rest = [column for column, place in found if not place and column not in MIRRORED]
        assert others == ", ".join(rest), name
        assert {column for column, _ in found} & {*MIRRORED} in ({*MIRRORED}, {"change_id"})


def test_the_views(database: sqlite3.Connection) -> None:
    """The contract has every view with its columns."""
    rows = {name.strip("`"): found for cell, _, found in read_table("view") for name in cell.split(", ")}
    assert set(rows) == names(database, "view")
    for name, told in rows.items():
        shown = rows["inbox"] if told == "as `inbox`" else told
        assert shown == ", ".join(column for column, _ in columns(database, name)), name


def test_the_commands() -> None:
    """The contract has every command."""
    shown = {found for (cell, _) in read_table("command") for found in re.findall(r"`syncd ([a-z-]+)", cell)}
    assert shown == {name for family in FAMILIES.values() for name in family}


def test_the_kinds_of_events() -> None:
    """The contract has every kind of event that the core makes."""
    core = "".join(path.read_text(encoding="utf-8") for path in (DOCS.parent / "core").glob("*.py"))
    kinds = r"(?:conversation|message|proposal|interview|account)\.[a-z_]+"
    shown = {kind for (cell, _, _) in read_table("kind") for kind in re.findall(f"`({kinds})`", cell)}
    assert shown == set(re.findall(f'"({kinds})"', core))


def test_the_exit_codes() -> None:
    """Every code that an error ends a command with has its meaning."""

    def codes(error: type[SyncdError]) -> set[int]:
        return {error.exit_code}.union(*(codes(kind) for kind in error.__subclasses__()))

    assert {str(code) for code in codes(SyncdError)} <= {code for code, _ in read_table("exit code")}


def settings(folder: Path, text: str) -> Settings:
    """A configuration as it is understood."""
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, {"HOME": str(folder)})


def test_the_settings(tmp_path: Path) -> None:
    """The contract shows every setting of an account, of the store and of the log with its default."""
    shown = settings(tmp_path, next(block.text for block in find_blocks("toml") if block.page == "contract.md"))
    usual = settings(tmp_path, '[accounts.acme]\nsource = "opentrain"\n[accounts.ats]\nsource = "openats"\n')
    assert shown.log == usual.log
    assert shown.store.model_dump(exclude={"path"}) == usual.store.model_dump(exclude={"path"})
    for name, account in usual.accounts.items():
        written = shown.accounts[name].model_dump(exclude=EXAMPLES)
        assert written == account.model_dump(exclude=EXAMPLES)
        keys = shown.accounts["acme"].model_fields_set | shown.accounts["ats"].model_fields_set
        assert type(account).model_fields.keys() - keys - {"name"} == {
            "token_file",
            "token_command",
            "token_credential",
        }


def test_the_metrics() -> None:
    """The page on the service has every metric."""
    page = (DOCS / "service.md").read_text(encoding="utf-8")
    shown = {found for row in read_table("metric", page) for found in re.findall(r"`(syncd_\w+)`", row[0])}
    figures: Any = Figures(accounts=(), database_bytes=0, wal_bytes=0)
    counted = {"counter": "_total"}
    assert shown == {metric.name + counted.get(metric.type, "") for metric in _Collector(lambda: figures).collect()}
