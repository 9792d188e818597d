"""How the state of the accounts and the database looks to people."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from syncd.cli.moments import render_length, render_moment, render_size
from syncd.cli.render import print_facts, safe_text

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
