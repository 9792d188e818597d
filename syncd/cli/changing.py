"""Have an errand done on the database: by whoever holds it, else by holding it ourselves for that moment."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from syncd.cli.options import Places
from syncd.errors import DatabaseError

_HOLDER_SECONDS = 5.0
"""How long a holder may take to open or close its door."""


def run_errand(places: Places, database: Path, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
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
    from syncd.store.errands import run_errand as run_here
    from syncd.store.opening import open_writer

    with open_writer(database, group_read=group_read) as writer:
        return run_here(writer.connection, command, arguments, render_time(datetime.now(UTC)), alone=True)
