"""What a monitor should hear: the reasons why the mirror is not well."""

from collections.abc import Sequence
from typing import Any

from syncd.cli.moments import render_length
from syncd.cli.targets import find_target_reasons
from syncd.core.times import after, seconds_between
from syncd.store.read import (
    Database,
    read_failures_before,
    read_now,
    read_progress,
    read_waiting,
)

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
    failing = [_describe_failure(row, now) for row in read_failures_before(database, after(now, -max_age))]
    waiting = [_describe_wait(row) for row in (read_waiting(database, max_waiting) if max_waiting else ())]
    return [*stale, *failing, *waiting, *find_target_reasons(database, now, max_age)]


def _judge_freshness(database: Database, row: dict[str, Any], now: str, max_age: float) -> Reason | None:
    last = row["last_success_at"]
    if row["state"] == "starting":
        last = max(filter(None, (last, read_progress(database, row["account"]))), default=None)
    age = None if last is None else seconds_between(last, now)
    if age is not None and age <= max_age:
        return None
    what = "first pass without progress" if row["state"] == "starting" else "last successful poll"
    since = "never" if age is None else f"{render_length(age)} ago"
    trouble = f": {row['last_error']}" if row["last_error"] else ""
    text = f"{row['account']}: {what} {since} (state {row['state']}{trouble})"
    return {"kind": "stale", "account": row["account"], "state": row["state"], "age_seconds": age, "text": text}


def _describe_failure(row: dict[str, Any], now: str) -> Reason:
    lasted = seconds_between(row["first_failed_at"], now)
    what = f"{row['kind']} {row['subject_id']}"
    text = f"{row['account']}: {what} has failed for {render_length(lasted)} ({row['reason'] or 'reason unknown'})"
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
