"""The texts among rows that are about to be written."""

from collections.abc import Iterable
from sqlite3 import Connection

from msgspec import json

from syncd.core.model import Instant, InterviewMessage, Message, Row
from syncd.store.indexing import Text

_HELD_MESSAGES = "SELECT id FROM messages WHERE account = ? AND id IN (SELECT value FROM json_each(?))"
_HELD_ANSWERS = (
    "SELECT i.proposal_id, i.id FROM json_each(?) AS own CROSS JOIN interview_messages AS i"
    " ON i.account = ? AND i.proposal_id = json_extract(own.value, '$[0]') AND i.id = json_extract(own.value, '$[1]')"
)


def find_new_texts(connection: Connection, account: str, rows: Iterable[Row], now: Instant) -> list[Text]:
    """The texts of rows that are not held yet; those of held ones are the triggers' to note."""
    messages, answers = dict[str, Text](), dict[tuple[str, str], Text]()
    for row in rows:
        if isinstance(row, Message) and row.content:
            at = row.created_at or now
            text = Text(at, account, "message", row.conversation_id, row.id, row.content, _name_sender(row))
            messages.setdefault(row.id, text)  # if one comes twice, the second changes the first
        elif isinstance(row, InterviewMessage) and row.content:
            text = Text(row.sent_at or now, account, "interview", row.proposal_id, row.id, row.content, row.role)
            answers.setdefault((row.proposal_id, row.id), text)
    if messages:
        for (held,) in connection.execute(_HELD_MESSAGES, (account, _listed(messages))).fetchall():
            del messages[held]
    if answers:
        for key in connection.execute(_HELD_ANSWERS, (_listed(answers), account)).fetchall():
            del answers[key]
    return [*messages.values(), *answers.values()]


def _listed(keys: Iterable[object]) -> str:
    return json.encode(list(keys)).decode()


def _name_sender(message: Message) -> str:
    """As `_search_due` is read: what we call them, their name, their id."""
    role = "system" if message.is_system else "me" if message.is_from_viewer else None
    return " ".join(filter(None, (role, message.sender_name, message.sender_user_id)))
