"""The plain script: httpx and sqlite3, one request after the other, as somebody writes it in an hour.

It skips conversations whose `updatedAt` has not changed, and stops paging where a page shows nothing new.
"""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx

_TABLES = """
CREATE TABLE IF NOT EXISTS conversations (
  id TEXT PRIMARY KEY, type TEXT, bucket TEXT, job_id TEXT, proposal_id TEXT, channel_name TEXT, updated_at TEXT,
  last_message_id TEXT, unread_count INTEGER, needs_reply_count INTEGER);
CREATE TABLE IF NOT EXISTS messages (
  id TEXT PRIMARY KEY, conversation_id TEXT, created_at TEXT, updated_at TEXT, job_id TEXT, sender_user_id TEXT,
  is_from_viewer INTEGER, content TEXT, message_type TEXT, system INTEGER, has_unread_flag INTEGER,
  attachment_count INTEGER, has_audio INTEGER, edited_at TEXT, reaction_count INTEGER);
CREATE INDEX IF NOT EXISTS messages_by_conversation ON messages (conversation_id, created_at);
"""
_CONVERSATION = ("id", "type", "bucket", "jobId", "proposalId", "channelName", "updatedAt")
_COUNTS = ("unreadCount", "needsReplyCount")
_MESSAGE = (
    *("id", "conversationId", "createdAt", "updatedAt", "jobId", "senderUserId", "isFromViewer", "content"),
    *("messageType", "system", "hasUnreadFlag", "attachmentCount", "hasAudio", "editedAt", "reactionCount"),
)


def fetch_pages(client: httpx.Client, **params: str) -> Iterator[dict[str, Any]]:
    """Every page of GET /messages with these parameters."""
    params["limit"] = "100"
    while True:
        answer = client.get("/messages", params=params)
        answer.raise_for_status()
        page: dict[str, Any] = answer.json()
        yield page
        if page["nextCursor"] is None:
            return
        params["cursor"] = page["nextCursor"]


def mirror_conversation(client: httpx.Client, database: sqlite3.Connection, entry: dict[str, Any]) -> None:
    """Store the conversation, and its messages back to those that are known."""
    held = database.execute("SELECT updated_at FROM conversations WHERE id = ?", (entry["id"],)).fetchone()
    if held is None or held[0] != entry["updatedAt"]:
        for page in fetch_pages(client, conversationId=entry["id"]):
            before = database.execute("SELECT count(*) FROM messages").fetchone() if held else None
            rows = [tuple(message.get(name) for name in _MESSAGE) for message in page["messages"]]
            marks = ", ".join("?" * len(_MESSAGE))
            database.executemany(f"INSERT OR REPLACE INTO messages VALUES ({marks})", rows)  # noqa: S608 - question marks
            if held and database.execute("SELECT count(*) FROM messages").fetchone() == before:
                break
    last = (entry.get("lastMessage") or {}).get("id")
    row = (*map(entry.get, _CONVERSATION), last, *map(entry.get, _COUNTS))
    marks = ", ".join("?" * len(row))
    database.execute(f"INSERT OR REPLACE INTO conversations VALUES ({marks})", row)  # noqa: S608 - question marks
    database.commit()


def main() -> None:
    """`URL TOKEN DATABASE`: mirror once."""
    url, token, path = sys.argv[1:4]
    headers = {"Authorization": f"Bearer {token}"}
    with (
        closing(sqlite3.connect(path)) as database,
        httpx.Client(base_url=f"{url}/api/public/v1", headers=headers) as client,
    ):
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(_TABLES)
        for page in fetch_pages(client):
            for entry in page["conversations"]:
                mirror_conversation(client, database, entry)


if __name__ == "__main__":
    main()
