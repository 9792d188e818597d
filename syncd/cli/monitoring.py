"""Watching over the mirror: status, check."""

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from syncd.cli.options import JsonOption, Places, find_database, new_family, read_accounts_now, with_places
from syncd.cli.terminal import (
    make_console,
    make_safe,
    print_facts,
    print_json,
    render_length,
    render_moment,
    render_size,
    safe_text,
)
from syncd.core.times import AHEAD_SECONDS, after, elapsed, parse_duration
from syncd.files import companion
from syncd.store.database import Database
from syncd.store.feed import read_consumers
from syncd.store.published import read_targets
from syncd.store.read import read_failures_before, read_now, read_progress, read_schema_version, read_waiting, reading

app = new_family()


@app.command()
@with_places
def status(places: Places, *, as_json: JsonOption = False) -> None:
    """Show each account's state, freshness, counts, failures and costs, and the database's size."""
    path = find_database(places)
    with reading(path) as database:
        accounts = read_accounts_now(path, database)
        consumers, targets = read_consumers(database), read_targets(database)
        now = read_now(database)
        about = {"path": str(path), "bytes": measure_database(path), "schema_version": read_schema_version(database)}
    if as_json:
        print_json({"database": about, "accounts": accounts, "consumers": consumers, "publish": targets})
    else:
        print_status(make_console(), about, accounts, now)
        print_consumers(make_console(), consumers, now)
        print_targets(make_console(), targets, now)


@app.command()
@with_places
def check(
    places: Places,
    *,
    max_age: Annotated[
        str, typer.Option("--max-age", metavar="DURATION", help="How old the last good poll or a failure may be.")
    ] = "10m",
    max_waiting: Annotated[
        str,
        typer.Option("--max-waiting", metavar="DURATION", help="How long anyone may wait for a reply; 0: any time."),
    ] = "4h",
    as_json: JsonOption = False,
) -> None:
    """For monitors: end with 0 when all is well, else with 1 and the reasons.

    All is well when every account's last successful poll is at most --max-age old, no failure has lasted longer than
    that, nobody who needs a reply waits longer than --max-waiting, and no target that is kept up to date has failed or
    stood still for longer than --max-age. An account whose first pass is under way is
    judged by its progress: it is fresh while it has begun, changed its state or stored something new within --max-age.
    Removed accounts don't count; a database without any account is not well.
    """
    age, waiting = _parse("--max-age", max_age), _parse("--max-waiting", max_waiting)
    if not age:
        raise typer.BadParameter("must be more than 0", param_hint="--max-age")
    path = find_database(places)
    with reading(path) as database:
        accounts = read_accounts_now(path, database)
        reasons = find_reasons(database, accounts, max_age=age, max_waiting=waiting)
    if as_json:
        print_json({"ok": not reasons, "reasons": reasons})
    else:
        typer.echo("\n".join(make_safe(reason["text"]) for reason in reasons) or "ok")
    if reasons:
        raise typer.Exit(1)


def measure_database(path: Path) -> int:
    """The bytes that the database takes on disk, its write-ahead log included."""
    files = (path, companion(path, "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _parse(option: str, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


# How the state of the accounts and the database looks to people.


Row = dict[str, Any]
Fact = tuple[str, str | Text]

_STYLES = {"ok": "green", "starting": "cyan"}


def print_status(console: Console, database: Row, accounts: Sequence[Row], now: str) -> None:
    """Print a block for each account, then what the database takes."""
    for row in accounts:
        console.print(
            Text(" · ").join([safe_text(row["account"], "bold"), safe_text(row["source"]), safe_text(row["base_url"])])
        )
        print_facts(console, [*_state_facts(row, now), *_count_facts(row), *_trouble_facts(row, now)])
        console.print()
    if not accounts:
        console.print("No account is mirrored yet; syncd sync begins.")
    console.print(
        safe_text(f"{database['path']} · {render_size(database['bytes'])} · schema {database['schema_version']}")
    )


def print_consumers(console: Console, consumers: Sequence[Row], now: str) -> None:
    """Print how far each reader of the change feed has got, and what holds it up."""
    for row in consumers:
        line = safe_text(f"consumer {row['name']}", "bold").append(
            f" · at event {row['event_id']}, {row['behind']:,} behind · {render_moment(row['updated_at'], now)}",
            style="default",
        )
        console.print(line)
        if row["error"]:
            waits = (row["next_try_at"] or "") > now
            then = f"next try {render_moment(row['next_try_at'], now)}" if waits else "its next run tries again"
            console.print(safe_text(f"  failed {row['tries']} times: {row['error']}; {then}", "red"))


def _state_facts(row: Row, now: str) -> Iterator[Fact]:
    since = render_moment(row["state_since"], now, "an unknown time")
    yield (
        "state",
        safe_text(row["state"], _STYLES.get(row["state"], "bold red")).append(f" since {since}", style="default"),
    )
    yield "last poll", render_moment(row["last_success_at"], now)
    yield "complete since", render_moment(row["complete_since"], now, "not yet: the first pass is under way")
    yield "last reconciled", render_moment(row["last_reconciled_at"], now)
    if row["retry_at"]:
        yield "next try", render_moment(row["retry_at"], now)
    if isinstance(row["poll"], dict):
        yield "cost of a poll", _describe_cost(row["poll"])


def _describe_cost(poll: Row) -> str:
    parts = (
        ("requests", lambda value: f"{value} request{'' if value == 1 else 's'}"),
        ("bytes", render_size),
        ("rows", lambda value: f"{value} rows written"),
        ("cpu_ms", lambda value: f"{value:.0f} ms CPU"),
        ("seconds", lambda value: f"{value:.2f} s"),
    )
    return ", ".join(render(poll[name]) for name, render in parts if isinstance(poll.get(name), int | float))


def _count_facts(row: Row) -> Iterator[Fact]:
    yield "conversations", f"{row['conversations']:,} ({row['unread']:,} unread, {row['needs_reply']:,} need a reply)"
    yield "messages", f"{row['messages']:,}"
    if row["longest_wait_seconds"] is not None:
        yield "longest wait", render_length(row["longest_wait_seconds"])


def _trouble_facts(row: Row, now: str) -> Iterator[Fact]:
    if row["last_error"]:
        yield "last error", safe_text(row["last_error"], "red")
    if row["missing_scopes"]:
        yield "missing scopes", safe_text(", ".join(map(str, row["missing_scopes"])), "yellow")
    if row["loss_guard"]:
        yield "held back", safe_text(row["loss_guard"], "yellow")
    if not row["failures"]:
        yield "failures", "none"
        return
    yield "failures", f"{row['failures']:,}, the oldest since {render_moment(row['oldest_failure_at'], now)}"
    for failing in row["failing"]:
        yield "", safe_text(f"{failing['count']} of kind {failing['kind']}: {failing['reason'] or 'reason unknown'}")


# What a monitor should hear: the reasons why the mirror is not well.


Reason = dict[str, Any]


def find_reasons(
    database: Database, accounts: Sequence[dict[str, Any]], *, max_age: float, max_waiting: float
) -> list[Reason]:
    """Every reason, each with `kind` (stale, failure, waiting, publish or no_accounts), what it is about, and `text`.

    `accounts`: as they are now. Limits are seconds; a `max_waiting` of 0 lets people wait for ever.
    """
    now = read_now(database)
    if not accounts:
        return [{"kind": "no_accounts", "text": "no account is mirrored yet"}]
    stale = [reason for row in accounts if (reason := _judge_freshness(database, row, now, max_age))]
    failing = [
        _describe_failure(row, now)
        for row in read_failures_before(database, after(now, -max_age), after(now, AHEAD_SECONDS))
    ]
    waiting = [_describe_wait(row) for row in (read_waiting(database, max_waiting) if max_waiting else ())]
    return [*stale, *failing, *waiting, *find_target_reasons(database, now, max_age)]


def _judge_freshness(database: Database, row: dict[str, Any], now: str, max_age: float) -> Reason | None:
    last = row["last_success_at"]
    if row["state"] == "starting":
        last = max(filter(None, (last, read_progress(database, row["account"], now))), default=None)
    age = _age(last, now)
    if age is not None and age <= max_age:
        return None
    what = "first pass without progress" if row["state"] == "starting" else "last successful poll"
    since = "never" if last is None else _AHEAD if age is None else f"{render_length(age)} ago"
    trouble = f": {row['last_error']}" if row["last_error"] else ""
    text = f"{row['account']}: {what} {since} (state {row['state']}{trouble})"
    return {"kind": "stale", "account": row["account"], "state": row["state"], "age_seconds": age, "text": text}


_AHEAD = "at a time that has yet to come, as the clock was set back"


def _age(since: str | None, now: str) -> float | None:
    """Seconds since then; None where nobody knows: it never was, or lies ahead."""
    age = math.inf if since is None else elapsed(since, now)
    return None if math.isinf(age) else age


def _describe_failure(row: dict[str, Any], now: str) -> Reason:
    lasted = _age(row["first_failed_at"], now)
    what = f"{row['kind']} {row['subject_id']}"
    since = f"for {render_length(lasted)}" if lasted is not None else f"since {_AHEAD[3:]}"
    text = f"{row['account']}: {what} has failed {since} ({row['reason'] or 'reason unknown'})"
    return {
        "kind": "failure",
        "account": row["account"],
        "subject_kind": row["kind"],
        "subject_id": row["subject_id"],
        "reason": row["reason"],
        "age_seconds": lasted,
        "text": text,
    }


def _describe_wait(row: dict[str, Any]) -> Reason:
    name = row["title"] or row["candidate_name"] or row["job_title"]
    who = f"{name} ({row['conversation_id']})" if name else row["conversation_id"]
    text = f"{row['account']}: {who} has waited {render_length(row['waiting_seconds'])} for a reply"
    return {
        "kind": "waiting",
        "account": row["account"],
        "conversation_id": row["conversation_id"],
        "waiting_seconds": row["waiting_seconds"],
        "text": text,
    }


# How publishing stands: for people, for monitors, and for who erases.


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
    age = _age(since, now)
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
