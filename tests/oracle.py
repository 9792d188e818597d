"""Compares a mirror with the truth, that is what the server would tell, row by row and field by field.

It shares nothing with the program: it reads the API's JSON itself, by tables of field names, and the database as SQL.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexed import index_differences

Json = dict[str, Any]
Key = tuple[str, ...]


def _flag(value: Any) -> Any:
    return None if value is None else int(value)


def _amount(value: Any) -> Any:
    return None if value is None else float(value)


@dataclass(frozen=True)
class Shape:
    """How one table is read off the API: column → path of field names; `spent`: fields that nothing keeps."""

    table: str
    columns: Mapping[str, tuple[str, ...]]
    key: tuple[str, ...] = ("id",)
    spent: tuple[str, ...] = ()
    convert: Mapping[str, Callable[[Any], Any]] | None = None

    def expected(self, body: Json) -> Json:
        """The row that this object must have become."""
        converters = self.convert or {}
        row = {name: converters.get(name, _same)(_dig(body, path)) for name, path in self.columns.items()}
        return row | {"extra": _rest(body, self.columns.values(), self.spent), "gone_at": None}


def _same(value: Any) -> Any:
    return value


def _dig(body: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        body = body.get(name) if isinstance(body, dict) else None
    return body


def _rest(body: Json, taken: Iterable[tuple[str, ...]], spent: tuple[str, ...]) -> Json | None:
    """What no column took: nested objects keep what is left of them."""
    paths = list(taken)
    left: Json = {}
    for name, value in body.items():
        nested = [path[1:] for path in paths if len(path) > 1 and path[0] == name]
        if name in spent or (name,) in paths:
            continue
        if nested and isinstance(value, dict):
            inner = {k: v for k, v in value.items() if (k,) not in nested and f"{name}.{k}" not in spent}
            if inner:
                left[name] = inner
        elif not nested or value is not None:
            left[name] = value
    return left or None


def _plain(**fields: str) -> dict[str, tuple[str, ...]]:
    return {column: tuple(field.split(".")) for column, field in fields.items()}


CONVERSATION = Shape(
    "conversations",
    _plain(
        id="id",
        type="type",
        bucket="bucket",
        job_id="jobId",
        proposal_id="proposalId",
        channel_name="channelName",
        updated_at="updatedAt",
        last_message_id="lastMessage.id",
        last_message_at="lastMessage.createdAt",
        unread_count="unreadCount",
        needs_reply_count="needsReplyCount",
    ),
    spent=("lastMessage",),
)
MESSAGE = Shape(
    "messages",
    _plain(
        id="id",
        conversation_id="conversationId",
        job_id="jobId",
        sender_user_id="senderUserId",
        sender_name="senderName",
        is_from_viewer="isFromViewer",
        content="content",
        message_type="messageType",
        is_system="system",
        has_unread_flag="hasUnreadFlag",
        attachment_count="attachmentCount",
        has_audio="hasAudio",
        reaction_count="reactionCount",
        created_at="createdAt",
        updated_at="updatedAt",
        edited_at="editedAt",
    ),
    convert=dict.fromkeys(("is_from_viewer", "is_system", "has_unread_flag", "has_audio"), _flag),
)
JOB = Shape("jobs", _plain(id="id", title="title", status="status", created_at="createdAt", updated_at="updatedAt"))
PROPOSAL = Shape(
    "proposals",
    _plain(
        id="id",
        job_id="jobId",
        job_title="jobTitle",
        candidate_id="candidate.id",
        status="status.raw",
        status_label="status.label",
        bid_amount_usd="bid.amountUsd",
        bid_unit="bid.unit",
        interview_score="metrics.interviewScore",
        match_score="metrics.matchScore",
        transcript_available="aiInterview.transcriptAvailable",
        created_at="createdAt",
        updated_at="updatedAt",
    ),
    spent=("candidate", "verification", "aiInterview.score", "aiInterview.summary"),
    convert={
        "transcript_available": _flag,
        **dict.fromkeys(("bid_amount_usd", "interview_score", "match_score"), _amount),
    },
)
CANDIDATE = Shape(
    "candidates",
    _plain(id="id", name="displayName", slug="profileSlug", title="profileTitle", country_code="countryCode"),
    spent=(
        "firstName",
        "lastNameInitial",
        "profilePhotoUrl",
        "country",
        "talentType",
        "highestEarningsUsd",
        "reviewCount",
    ),
)
INTERVIEW = Shape(
    "interviews",
    _plain(proposal_id="proposalId", interview_id="interviewId", score="score", summary="summary"),
    key=("proposal_id",),
    spent=("messages",),
    convert={"score": _amount},
)
TURN = Shape(
    "interview_messages",
    _plain(proposal_id="proposalId", id="id", seq="seq", role="role", content="content", sent_at="sentAt"),
    key=("proposal_id", "id"),
)


class Mirror:
    """One account of a database, as rows by key."""

    def __init__(self, path: Path, account: str) -> None:
        self._account = account
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        self._connection.row_factory = sqlite3.Row

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def rows(self, shape: Shape) -> dict[Key, Json]:
        """Every row of the account in the shape's table."""
        found = self._connection.execute(f"SELECT * FROM {shape.table} WHERE account = ?", (self._account,))  # noqa: S608 - the shapes' own names
        rows = [dict(row) for row in found]
        for row in rows:
            row["extra"] = None if row["extra"] is None else json.loads(row["extra"])
        return {tuple(row[name] for name in shape.key): row for row in rows}


def differences(
    path: Path,
    truth: Json,
    *,
    account: str = "acme",
    every_proposal: bool = False,
    ignore: Iterable[tuple[str, str]] = (),
) -> list[str]:
    """Each way in which the mirror is not the truth, one line each; empty: it is.

    Rows that vanished upstream must bear `gone_at`, except messages of a conversation that is gone, proposals and jobs
    (absence from a list proves nothing). `ignore`: (table, column) pairs that the server changes without a sign.
    """
    with closing(Mirror(path, account)) as mirror:
        check = _Check(mirror, frozenset(ignore))
        conversations = truth["conversations"]
        check.compare(CONVERSATION, conversations.values())
        gone = {id_ for (id_,), row in mirror.rows(CONVERSATION).items() if row["gone_at"] is not None}
        messages = [message for listed in truth["messages"].values() for message in listed]
        check.compare(MESSAGE, messages, spare=lambda row: row["conversation_id"] in gone)
        wanted = {c.get("proposalId") for c in conversations.values()}
        proposals = [p for p in truth["proposals"].values() if every_proposal or p["id"] in wanted]
        check.compare(PROPOSAL, proposals, spare=lambda _: True)
        check.compare(
            CANDIDATE, {p["candidate"]["id"]: p["candidate"] for p in proposals}.values(), spare=lambda _: True
        )
        known = {p["id"] for p in proposals}
        interviews = [i for id_, i in truth["interviews"].items() if id_ in known]
        check.compare(INTERVIEW, interviews, spare=lambda row: row["proposal_id"] not in known)
        turns = [_turn(i, seq, m) for i in interviews for seq, m in enumerate(i["messages"])]
        check.compare(TURN, turns, spare=lambda row: row["proposal_id"] not in known)
        check.compare(JOB, truth["jobs"].values(), spare=lambda _: True)
        return [*check.found, *index_differences(path)]


def _turn(interview: Json, seq: int, message: Json) -> Json:
    return message | {"proposalId": interview["proposalId"], "seq": seq}


class _Check:
    """Collects the differences of one comparison."""

    def __init__(self, mirror: Mirror, ignore: frozenset[tuple[str, str]]) -> None:
        self._mirror = mirror
        self._ignore = ignore
        self.found: list[str] = []

    def compare(self, shape: Shape, bodies: Iterable[Json], *, spare: Callable[[Json], bool] = lambda _: False) -> None:
        """Hold the table against the objects; `spare` tells which rows may stay though the server has none such."""
        held = self._mirror.rows(shape)
        for body in bodies:
            expected = shape.expected(body)
            key = tuple(str(expected[name]) for name in shape.key)
            row = held.pop(key, None)
            if row is None:
                self.found.append(f"{shape.table} {key}: missing")
                continue
            for name, value in expected.items():
                if (shape.table, name) not in self._ignore and row[name] != value:
                    self.found.append(f"{shape.table} {key}: {name} is {row[name]!r}, not {value!r}")
        for key, row in held.items():
            if row["gone_at"] is None and not spare(row):
                self.found.append(f"{shape.table} {key}: not on the server, and not gone")
