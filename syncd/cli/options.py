"""What every command shares: where configuration and database are, and who holds the database."""

import inspect
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from syncd.config.places import reading_db_candidates
from syncd.errors import DatabaseError, NoDatabaseError, SyncdError, UsageError
from syncd.files import companion
from syncd.store.database import Database
from syncd.store.read import read_accounts, read_holders, read_status, reading

Words = ParamSpec("Words")

MOST = 2**63 - 1
"""The largest number that SQLite holds: what is counted or numbered is no larger."""

# Whether a file can be read is told by whoever reads it, with what to do.
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        readable=False,
        show_default=False,
        help="The configuration; found by itself if absent.",
    ),
]
DatabaseOption = Annotated[
    Path | None,
    typer.Option(
        "--db", metavar="FILE", readable=False, show_default=False, help="The database; wins over the configuration's."
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
AccountOption = Annotated[
    str | None, typer.Option("--account", metavar="NAME", show_default=False, help="Only this account.")
]


def new_family(**settings: Any) -> typer.Typer:
    """An application for a family of commands: plain help, and errors left to `main`."""
    return typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, **settings)


@dataclass(frozen=True)
class Places:
    """The configuration and the database that the command line names; None where it names none.

    Raises UsageError for a name that no file has, such as the empty one of a variable that is not set.
    """

    config: Path | None = None
    db: Path | None = None

    def __post_init__(self) -> None:
        for option, path in (("--config", self.config), ("--db", self.db)):
            if path is not None and not path.name:
                raise UsageError(f"{option} wants the name of a file; leave it out, or name one")


def places_so_far(context: typer.Context) -> Places:
    """What the words before the one that is being completed name; older typers leave them the texts they are."""
    outer = context.parent.params if context.parent else {}
    named = (context.params.get(name) or outer.get(name) for name in ("config", "db"))
    return Places(*(Path(path) if path else None for path in named))


def with_places(command: Callable[Concatenate[Places, Words], None]) -> Callable[..., None]:
    """Give a command --config and --db; what they say, here or before the command, is its first argument."""

    def run(context: typer.Context, *, config: Path | None, db: Path | None, **words: Any) -> None:
        outer = context.find_object(Places) or Places()
        command(Places(config=config or outer.config, db=db or outer.db), **words)  # type: ignore[call-arg]  # typer passes what the signature below names

    own = list(inspect.signature(command).parameters.values())[1:]
    added = [
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, annotation=ConfigOption, default=None),
        inspect.Parameter("db", inspect.Parameter.KEYWORD_ONLY, annotation=DatabaseOption, default=None),
    ]
    named = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    run.__signature__ = inspect.Signature([*named, *added])  # type: ignore[attr-defined]  # how Python lets a function state its signature
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*named, *added)}
    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
    return run


# Which database a reading command reads, and whose conversation an id names.


def find_database(places: Places) -> Path:
    """The first database that is there; NoDatabaseError names all the places tried."""
    candidates = reading_db_candidates(places.db, places.config, os.environ)
    for candidate in candidates:
        if _exists(candidate):
            return Path(os.path.realpath(candidate))
    tried = ", ".join(map(str, candidates))
    raise NoDatabaseError(f"there is no database yet (tried {tried}); syncd sync makes one, or name it with --db")


def open_database(places: Places) -> AbstractContextManager[Database]:
    """Read the database that `places` leads to."""
    return reading(find_database(places))


def check_account(database: Database, account: str | None) -> None:
    """Refuse an account that is not in the database, naming those that are."""
    if account is None or account in (known := read_accounts(database)):
        return
    raise UsageError(f"there is no account {account} here; there is {_listed(known) or 'none yet'}")


def choose_account(database: Database, conversation_id: str, account: str | None) -> str:
    """The one account that holds the conversation; raises UsageError naming them when several do."""
    check_account(database, account)
    holders = [name for name in read_holders(database, conversation_id) if account in (None, name)]
    if not holders:
        place = f"account {account}" if account else "this database"
        raise SyncdError(f"there is no conversation {conversation_id} in {place}; syncd inbox lists them")
    if len(holders) > 1:
        raise UsageError(f"several accounts hold {conversation_id}: {_listed(holders)}; say which with --account NAME")
    return holders[0]


def _exists(path: Path) -> bool:
    """Whether there is something; what may not be looked at is left for opening to complain about."""
    try:
        return path.exists()
    except PermissionError:
        return True


def _listed(names: list[str]) -> str:
    return ", ".join(names)


# How the accounts are just now: what the database says, and what its holder could not write there.


_PATIENCE_SECONDS = 2.0


def read_accounts_now(path: Path, database: Database) -> list[dict[str, Any]]:
    """Each account's row of `read_status`; one in trouble that the database does not take has that trouble's state."""
    refused = _ask_for_refused(path)
    return [row | refused.get(row["account"], {}) for row in read_status(database)]


def _ask_for_refused(path: Path) -> dict[str, dict[str, Any]]:
    """What the holder knows and could not write; nothing where there is none, or it does not answer at once."""
    if not companion(path, ".sock").exists():
        return {}
    from syncd.ops.door import ask_holder  # it is slow to import

    try:
        return ask_holder(path, "refused", {}, patience=_PATIENCE_SECONDS) or {}
    except SyncdError:
        return {}


# Have an errand done on the database: by whoever holds it, else by holding it ourselves for that moment.


_HOLDER_SECONDS = 5.0
"""How long a holder may take to open or close its door."""


def run_holder_command(places: Places, database: Path, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The errand's answer; raises DatabaseError while another process holds the database without serving it."""
    from syncd.ops.door import ask_holder, take_lock

    deadline = time.monotonic() + _HOLDER_SECONDS
    while True:
        answer = ask_holder(database, command, arguments)
        if answer is not None:
            return answer
        group_read = _may_group_read(places, database)
        try:
            lock = take_lock(database, group_read=group_read)
        except DatabaseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
            continue
        with lock:
            return _run_alone(database, command, arguments, group_read=group_read)


def _may_group_read(places: Places, database: Path) -> bool:
    from syncd.config.load import load

    return bool(load(places.config, os.environ, db=database).store.group_read)


def _run_alone(database: Path, command: str, arguments: dict[str, Any], *, group_read: bool) -> dict[str, Any]:
    from syncd.core.times import render_time
    from syncd.store.commands import run_store_command as run_here
    from syncd.store.migrate import open_writer

    with open_writer(database, group_read=group_read) as writer:
        return run_here(writer.connection, command, arguments, render_time(datetime.now(UTC)), alone=True)
