"""OpenATS's JSON → the model. Every answer is `{"data": …}`; field names are those of its documentation."""

from collections.abc import Callable
from typing import Any

from syncd.core.model import Candidate, Job, Message, Snapshot, Subject, SubjectKind, SubjectList, chat_id
from syncd.sources.answers import Answer
from syncd.sources.fields import Fields, parse_each, parse_list, shape_error, unique


def parse_snapshot(answer: Answer, kind: SubjectKind, id: str) -> Snapshot:
    """All messages of one chat (GET /chat/job/{id} and /chat/candidate/{id})."""
    chat = chat_id(kind, id)
    messages, unreadable = parse_each(
        parse_list(answer.body, ("data",)),
        lambda item: parse_message(item, kind, chat),
        "message",
        f"chat:{chat}",
        lambda number: chat_id(kind, number),
    )
    return Snapshot(
        messages=unique(messages, lambda message: message.id),
        etag=answer.etag,
        server_time=answer.server_time,
        is_whole=_is_whole(answer.body),
        unreadable=unreadable,
    )


def parse_message(body: Any, kind: SubjectKind, conversation_id: str) -> Message:
    """A message of that chat; job and candidate messages are numbered apart, so the kind is part of the id."""
    fields = Fields(body, "a message")
    return Message(
        id=chat_id(kind, fields.id()),
        conversation_id=conversation_id,
        sender_user_id=fields.key("senderId"),
        sender_name=fields.text("senderName"),
        content=fields.text("message"),
        is_system=fields.boolean("isSystemMessage"),
        created_at=fields.time("sentAt"),
        extra=fields.extra(),
    )


def parse_jobs(answer: Answer) -> SubjectList:
    """Every job (GET /jobs)."""
    return _parse_subjects(answer, parse_job, "job", "jobs")


def parse_candidates(answer: Answer, job_id: str) -> SubjectList:
    """The candidates of one job (GET /candidates/jobs/{id})."""
    return _parse_subjects(answer, parse_candidate, "candidate", f"candidates:{job_id}")


def parse_one(answer: Answer, parse: Callable[[Any], Subject]) -> Subject:
    """A single job or candidate (GET /jobs/{id}, /candidates/{id})."""
    body = answer.body
    if not isinstance(body, dict):
        raise shape_error("an answer that is no object")
    return parse(body.get("data", body))


def parse_job(body: Any) -> Subject:
    """A job; pay, place and the like have no column and stay in `extra`."""
    fields = Fields(body, "a job")
    job = Job(
        id=fields.id(),
        title=fields.text("title"),
        status=fields.text("status"),
        created_at=fields.time("createdAt"),
        updated_at=fields.time("updatedAt"),
        extra=fields.extra(),
    )
    return Subject(kind="job", row=job, job_id=job.id)


def parse_candidate(body: Any) -> Subject:
    """A candidate; what has no column (address, telephone, résumé…) is personal, and nothing of it is kept."""
    fields = Fields(body, "a candidate")
    parts = (fields.text("firstName"), fields.text("lastName"))
    candidate = Candidate(id=fields.id(), name=" ".join(part for part in parts if part) or None)
    return Subject(kind="candidate", row=candidate, job_id=fields.key("jobId"))


def _parse_subjects(answer: Answer, parse: Callable[[Any], Subject], kind: str, listing: str) -> SubjectList:
    subjects, unreadable = parse_each(parse_list(answer.body, ("data",)), parse, kind, listing)
    return SubjectList(
        subjects=unique(subjects, lambda subject: subject.row.id),
        server_time=answer.server_time,
        etag=answer.etag,
        is_whole=_is_whole(answer.body),
        unreadable=unreadable,
    )


def _is_whole(body: Any) -> bool:
    """Whether the answer is all there is: this server knows no pages, but a later one may say that there are more.

    No document says how: what other servers call it is looked for beside `data`, and one level below.
    """
    if not isinstance(body, dict):
        return True
    beside = [body, *(value for name, value in body.items() if name != "data" and isinstance(value, dict))]
    return not any(one.get(name) for one in beside for name in ("nextCursor", "next_cursor", "hasMore", "has_more"))
