"""How messages on their way out look to people."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from syncd.cli.moments import render_distance, render_length, render_local
from syncd.cli.render import make_table, safe_text

Row = dict[str, Any]

_SNIPPET = 60
_STYLES = {"queued": "cyan", "sending": "cyan", "sent": "green", "cancelled": "dim"}
_ENDED = {"failed": "has failed", "expired": "has expired", "unconfirmed": "is unconfirmed"}


def print_outbox(console: Console, rows: Sequence[Row], total: int, now: str) -> None:
    """Print the outbox as a table, under it what is to be done about each message that did not leave."""
    if not rows:
        console.print("Nothing was sent from here yet.")
        return
    table = make_table("Id", "State", "When", "Conversation", "Text")
    for row in rows:
        when = row["attempted_at"] or row["created_at"]
        snippet = " ".join(str(row["content"] or "")[:_SNIPPET].split())
        table.add_row(
            Text(str(row["id"]), justify="right"),
            safe_text(row["state"], _STYLES.get(row["state"], "yellow")),
            Text(render_distance(when, now) if when else ""),
            safe_text(row["conversation"] or row["conversation_id"]),
            safe_text(snippet) if row["content"] else safe_text(row["message_id"], "dim"),
        )
    console.print(table)
    for row in rows:
        words = _remark(row, now)
        if words:
            console.print(safe_text(f"{row['id']}: {words}", "yellow"))
    if total > len(rows):
        console.print(Text(f"{len(rows)} of {total} shown; --limit 0 shows all.", style="dim"))


def _remark(row: Row, now: str) -> str:
    if row["state"] == "queued" and row["expires_at"] and row["expires_at"] <= now:
        return "its hour is over, and it will not leave by itself"
    return str(row["error"] or "") if row["state"] != "sent" else ""


def render_outcome(answer: Row) -> str:
    """What became of a message so far, in one line."""
    state, number = answer["state"], answer["id"]
    reason = f": {answer['error']}" if answer["error"] else ""
    if state == "sent":
        return f"message {number} is sent ({answer['message_id']})"
    if state == "queued":
        return f"message {number} is queued{reason}; {_leaves(answer)}"
    if state == "sending":
        seconds = answer.get("wait_seconds")
        if seconds is None:
            return f"it is not known yet whether message {number} has arrived{reason}; syncd outbox tells later"
        return f"the reply to message {number} was lost; looking for it in the conversation, for up to two minutes"
    return f"message {number} {_ENDED.get(state, f'is {state}')}{reason}"


def _leaves(answer: Row) -> str:
    """When a queued message leaves, until when, and how to stop it."""
    if answer.get("wait_seconds") is not None:
        return f"trying again in {render_length(answer['wait_seconds'])}"
    retry_at, expires_at = answer["retry_at"], answer["expires_at"]
    first = f"not before {render_local(retry_at, '%H:%M:%S')}" if retry_at else "with the next poll"
    until = f", at the latest {render_local(expires_at, '%H:%M')}" if expires_at else ""
    return f"it leaves {first}{until} (syncd outbox cancel {answer['id']} stops it)"
