"""How publishing stands: for people, for monitors, and for who erases."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from syncd.cli.moments import render_length, render_moment
from syncd.cli.render import safe_text
from syncd.core.times import seconds_between
from syncd.store.publishing import read_targets
from syncd.store.read import Database, reading

Row = dict[str, Any]
_LOOK_SECONDS = 0.1


def print_targets(console: Console, targets: Sequence[Row], now: str) -> None:
    """Print how far each target is, and what keeps it from going on."""
    for row in targets:
        behind = f"{row['behind']:,} changes behind" if row["behind"] else "up to date"
        when = render_moment(row["published_at"], now)
        console.print(safe_text(f"publish {row['target']}", "bold").append(f" · {behind} · {when}", style="default"))
        if row["error"]:
            since, next_try = (render_moment(row[name], now, "") for name in ("failing_since", "next_try_at"))
            then = f"; next try {next_try}" if row["next_try_at"] else ""
            console.print(safe_text(f"  failing since {since}: {row['error']}{then}", "red"))
        if row["to_remove"]:
            console.print(safe_text(f"  {row['to_remove']:,} rows erased here are still to be removed there", "yellow"))


def find_target_reasons(database: Database, now: str, max_age: float) -> list[Row]:
    """A reason for each target that somebody means to keep up to date and that has failed, or stood still, too long."""
    found = (_judge(row, now, max_age) for row in read_targets(database) if row["follows"])
    return [reason for reason in found if reason is not None]


def _judge(row: Row, now: str, max_age: float) -> Row | None:
    since = row["failing_since"] if row["error"] else row["published_at"] if row["behind"] else now
    age = None if since is None else seconds_between(since, now)
    if age is not None and age <= max_age:
        return None
    lasted = "ever" if age is None else render_length(age)
    trouble = f"has failed for {lasted}: {row['error']}" if row["error"] else f"is behind and stood still for {lasted}"
    text = f"publishing to {row['target']} {trouble}"
    return {"kind": "publish", "target": row["target"], "age_seconds": age, "error": row["error"], "text": text}


def await_removal(path: Path, seconds: float) -> list[Row]:
    """For each target whether what was erased here is gone there too, once it is or after so many seconds.

    Only for those that somebody keeps up to date, and that answer, is anything waited for.
    """
    deadline = time.monotonic() + seconds
    while True:
        with reading(path) as database:
            targets = read_targets(database)
        owing = [row for row in targets if row["to_remove"] and row["follows"] and not row["error"]]
        if not owing or time.monotonic() > deadline:
            break
        time.sleep(_LOOK_SECONDS)
    return [
        {"target": row["target"], "removed": not row["to_remove"], "rows": row["to_remove"], "error": row["error"]}
        for row in targets
    ]
