"""What the doctor makes of what was found: one finding for each check, each with what to do."""

import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from syncd.core.model import Instant
from syncd.core.times import seconds_between
from syncd.ops.disk import FLOOR_BYTES

Severity = Literal["ok", "warning", "problem"]

CLOCK_SECONDS = 60.0
"""How far our clock may be from a server's, in seconds."""

_ROOMY_BYTES = 512 << 20
_LONG_LOG_BYTES = 64 << 20
_SCOPES = {
    "proposals:read": "candidates, bids and interviews are not mirrored",
    "jobs:read": "jobs are not mirrored",
}


class Finding(Struct, frozen=True, kw_only=True):
    """The outcome of one check; `account` None: it is about the whole installation. `advice`: what to do."""

    check: str
    verdict: Severity
    text: str
    account: str | None = None
    advice: str | None = None


def fine(check: str, text: str, account: str | None = None) -> Finding:
    """Nothing to do."""
    return Finding(check=check, verdict="ok", text=text, account=account)


def warn(check: str, text: str, advice: str, account: str | None = None) -> Finding:
    """It works, and could be better."""
    return Finding(check=check, verdict="warning", text=text, account=account, advice=advice)


def problem(check: str, text: str, advice: str | None = None, account: str | None = None) -> Finding:
    """It does not work, or will not for long; without `advice` the text itself says what to do."""
    return Finding(check=check, verdict="problem", text=text, account=account, advice=advice)


def judge_clock(account: str, ours: Instant, theirs: Instant) -> Finding:
    """Compare our clock with the server's."""
    ahead = seconds_between(theirs, ours)
    if abs(ahead) <= CLOCK_SECONDS:
        return fine("clock", f"within {max(1, round(abs(ahead)))} s of the server's", account)
    where = "ahead of" if ahead > 0 else "behind"
    return problem(
        "clock",
        f"{abs(ahead):.0f} s {where} the server's",
        "let the machine keep its time, for example with systemd-timesyncd",
        account,
    )


def judge_disk(free: int, database: int) -> Finding:
    """Weigh the room that is left, in bytes, against what stops the polls and what a backup or a migration takes."""
    text = f"{free >> 20} MiB are free"
    if free < FLOOR_BYTES:
        return problem("disk", text, f"free some: below {FLOOR_BYTES >> 20} MiB polling pauses")
    if free < max(_ROOMY_BYTES, 2 * database):
        return warn("disk", text, "free some: a backup or a migration needs as much as the database takes")
    return fine("disk", text)


def judge_scopes(account: str, scopes: Collection[str] | None) -> Finding:
    """Say what the token may not read; `scopes` None: the server does not tell."""
    if scopes is None:
        return fine("scopes", "the server does not say which the token has", account)
    held = {scope.replace(":write", ":read") for scope in scopes}
    if "messages:read" not in held:
        return problem("scopes", "the token lacks messages:read", "make a token that has it", account)
    lacking = [scope for scope in _SCOPES if scope not in held]
    if not lacking:
        return fine("scopes", "the token may read all that is mirrored", account)
    text = "; ".join(f"the token lacks {scope}: {_SCOPES[scope]}" for scope in lacking)
    return warn("scopes", text, "make a token with them, if you want that", account)


def judge_specification(account: str, differences: Sequence[str]) -> Finding:
    """Say what syncd reads that the server no longer describes."""
    if not differences:
        return fine("specification", "the server's published specification has every field that syncd reads", account)
    return warn(
        "specification",
        f"the server's published specification differs: {', '.join(differences)}",
        "look for a newer syncd; what is missing is stored as NULL meanwhile",
        account,
    )


def judge_readers(log_bytes: int, readers: Mapping[int, str], writer: int | None) -> Finding:
    """Name who keeps the write-ahead log from being emptied; `readers`: processes in a read transaction, by number."""
    held = {pid: name for pid, name in readers.items() if pid != writer}
    size = f"the write-ahead log takes {log_bytes >> 20} MiB"
    if log_bytes < _LONG_LOG_BYTES or not held:
        return fine("readers", f"{size}; {len(held)} others are reading" if held else size)
    named = ", ".join(f"process {pid} ({name})" for pid, name in held.items())
    return warn("readers", f"{size}, held by {named}", "end that query or transaction: the log grows until it ends")


def judge_writers(writers: Mapping[int, str], holder: int | None) -> list[Finding]:
    """Name who else writes the database just now, and keeps the daemon from it; `holder`: the daemon."""
    return [
        warn(
            "writers",
            f"process {pid} ({name}) is writing to the database",
            "end it if it lasts: nothing is mirrored meanwhile, and the database is syncd's to write",
        )
        for pid, name in writers.items()
        if pid != holder
    ]


def judge_failures(rows: Iterable[Mapping[str, Any]]) -> list[Finding]:
    """Explain what fails, one finding for each account, kind and reason."""
    return [
        warn(
            "failures",
            f"{row['count']} {row['kind']}: {row['reason'] or 'reason unknown'} (since {row['first_failed_at']})",
            f"nothing: it is tried again by itself, next at {row['next_try_at']}; the rest is not held up",
            str(row["account"]),
        )
        for row in rows
    ] or [fine("failures", "nothing is failing")]


def judge_losses(account: str, guard: str | None) -> Finding:
    """Explain a large loss that is not believed yet."""
    if guard is None:
        return fine("losses", "nothing is held back", account)
    return warn(
        "losses",
        f"a large part vanished at once, and is kept until a second look agrees: {guard}",
        "check that the token and the address are the right ones; `syncd sync --full` looks again",
        account,
    )


def judge_target(target: str, version: int, behind: int, refusals: Sequence[str]) -> list[Finding]:
    """Say how far a target that answers is; `version` of its schema, 0: it has none."""
    if refusals:
        return [problem("publish", refusal) for refusal in refusals]
    if version == 0:
        return [warn("publish", f"{target} answers, and nothing is there yet", "start the daemon, or: syncd publish")]
    return [fine("publish", f"{target} answers: schema version {version}, {behind:,} changes behind the mirror")]


def is_well(findings: Iterable[Finding]) -> bool:
    """Whether nothing is a problem; warnings are none."""
    return all(finding.verdict != "problem" for finding in findings)


# What the doctor sees of the machine: who may read the database's files.


def judge_permissions(database: Path, *, group_read: bool) -> Finding:
    """Whether we may read the database, its files are no wider than promised, and its folder lets nobody swap them."""
    if not os.access(database, os.R_OK):
        return problem(
            "permissions", f"{database} can't be read by you", "join its group (usermod -aG), or run this as its owner"
        )
    files = [database, *(database.with_name(database.name + suffix) for suffix in ("-wal", "-shm"))]
    files = [file for file in files if file.exists()]
    allowed = 0o640 if group_read else 0o600
    wide = [file for file in files if stat.S_IMODE(file.stat().st_mode) & ~allowed]
    if wide:
        names = " ".join(map(str, wide))
        return warn("permissions", f"wider than promised: {names}", f"chmod {allowed:o} {names}")
    if database.parent.stat().st_mode & stat.S_IWOTH:
        return problem("permissions", f"everybody may write {database.parent}", f"chmod o-w {database.parent}")
    return fine("permissions", f"{stat.S_IMODE(database.stat().st_mode):o} {database}")
