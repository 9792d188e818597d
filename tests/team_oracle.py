"""Compares the mirror of an OpenATS server with what its API would tell; it shares nothing with the program."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from indexed import index_differences

Json = dict[str, Any]

_MESSAGE_FIELDS = ("id", "message", "senderId", "senderName", "sentAt", "isSystemMessage")
_JOB_FIELDS = ("id", "title", "status", "createdAt", "updatedAt")
_NOTHING = (
    "job_id",
    "is_from_viewer",
    "message_type",
    "has_unread_flag",
    "attachment_count",
    "edited_at",
    "updated_at",
)


def team_differences(path: Path, truth: Json, *, account: str = "acme") -> list[str]:
    """Each way in which the mirror is not the truth, one line each; empty: it is."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        check = _Check(connection, account)
        for conversation_id, history in truth["chats"].items():
            check.compare("messages", [_message(conversation_id, shown) for shown in history], conversation_id)
        check.compare("conversations", [_conversation(truth, *chat) for chat in truth["chats"].items()])
        check.compare("jobs", [_job(shown) for shown in truth["jobs"].values()])
        check.compare("candidates", [_candidate(shown) for shown in truth["candidates"].values()])
        return [*check.found, *index_differences(path)]


def _time(text: str) -> str:
    """With milliseconds, as every time in the database."""
    return text if "." in text else text.replace("Z", ".000Z")


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _message(conversation_id: str, shown: Json) -> Json:
    kind = conversation_id.partition(":")[0]
    return {
        "id": f"{kind}:{shown['id']}",
        "conversation_id": conversation_id,
        "sender_user_id": _text(shown["senderId"]),
        "sender_name": shown["senderName"],
        "content": shown["message"],
        "is_system": int(shown["isSystemMessage"]),
        "created_at": _time(shown["sentAt"]),
        "extra": {name: value for name, value in shown.items() if name not in _MESSAGE_FIELDS},
        **dict.fromkeys(_NOTHING),
    }


def _conversation(truth: Json, conversation_id: str, history: list[Json]) -> Json:
    kind, _, id_ = conversation_id.partition(":")
    subject = truth["jobs" if kind == "job" else "candidates"][int(id_)]
    last = max(((_time(m["sentAt"]), f"{kind}:{m['id']}") for m in history), default=(None, None))
    name = f"{subject.get('firstName')} {subject.get('lastName')}"
    return {
        "id": conversation_id,
        "type": "JOB_CHAT" if kind == "job" else "CANDIDATE_CHAT",
        "title": subject["title"] if kind == "job" else name,
        "job_id": str(subject["id"] if kind == "job" else subject["jobId"]),
        "last_message_id": last[1],
        "last_message_at": last[0],
        "unread_count": None,
        "needs_reply_count": None,
        "extra": None,
    }


def _job(shown: Json) -> Json:
    return {
        "id": str(shown["id"]),
        "title": shown["title"],
        "status": shown["status"],
        "created_at": shown["createdAt"],
        "updated_at": shown["updatedAt"],
        "extra": {name: value for name, value in shown.items() if name not in _JOB_FIELDS},
    }


def _candidate(shown: Json) -> Json:
    return {"id": str(shown["id"]), "name": f"{shown['firstName']} {shown['lastName']}", "extra": None}


class _Check:
    """Collects the differences of one comparison."""

    def __init__(self, connection: sqlite3.Connection, account: str) -> None:
        self._connection = connection
        self._account = account
        self.found: list[str] = []

    def compare(self, table: str, expected: list[Json], conversation_id: str | None = None) -> None:
        """Hold the table (or one chat's part of it) against the rows that must be there and not gone."""
        sql, parameters = f"SELECT * FROM {table} WHERE account = ?", [self._account]  # noqa: S608 - our own names
        if conversation_id is not None:
            sql, parameters = f"{sql} AND conversation_id = ?", [*parameters, conversation_id]
        held = {row["id"]: dict(row) for row in self._connection.execute(sql, parameters)}
        for row in expected:
            self._hold(table, held.pop(row["id"], None), row)
        self.found += [
            f"{table} {id_}: not on the server, and not gone" for id_, row in held.items() if not row["gone_at"]
        ]

    def _hold(self, table: str, row: Json | None, expected: Json) -> None:
        if row is None:
            self.found.append(f"{table} {expected['id']}: missing")
            return
        row["extra"] = None if row["extra"] is None else json.loads(row["extra"])
        for name, value in {**expected, "gone_at": None}.items():
            if row[name] != value:
                self.found.append(f"{table} {expected['id']}: {name} is {row[name]!r}, not {value!r}")
