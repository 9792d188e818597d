"""The usual page of messages, decoded straight into structs; whatever is unusual about one is read field by field.

A page is usual when every message has documented fields only, each of its documented type, and times in our own form.
The two ways of reading come to the same; this one takes half the time.
"""

from typing import Annotated, Final

from msgspec import Meta, Struct, json

from syncd.core.model import Instant, Message, Page
from syncd.sources.fields import OUR_TIME, render_extra, unique

_Time = Annotated[str, Meta(pattern=rf"\A{OUR_TIME}\Z")]
_Count = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class UsualMessage(Struct, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A message as its documentation has it."""

    id: Annotated[str, Meta(min_length=1)]
    conversation_id: str | None = None
    job_id: str | None = None
    sender_user_id: str | None = None
    sender_name: str | None = None
    is_from_viewer: bool | None = None
    content: str | None = None
    message_type: str | None = None
    system: bool | None = None
    has_unread_flag: bool | None = None
    attachment_count: _Count | None = None
    has_audio: bool | None = None
    reaction_count: _Count | None = None
    created_at: _Time | None = None
    updated_at: _Time | None = None
    edited_at: _Time | None = None


class UsualPage(Struct, rename="camel"):
    """A page of them; what else stands beside them is of no use here."""

    messages: list[UsualMessage]
    next_cursor: str | None = None


USUAL_PAGE: Final = json.Decoder(UsualPage)


def read_page(usual: UsualPage, conversation_id: str, *, limit: int, server_time: Instant) -> Page:
    """The page in the model's terms."""
    return Page(
        conversation_id=conversation_id,
        messages=unique([_read_message(one, conversation_id) for one in usual.messages], lambda message: message.id),
        next_cursor=usual.next_cursor or None,
        limit=limit,
        server_time=server_time,
        count=len(usual.messages),
    )


def _read_message(usual: UsualMessage, conversation_id: str) -> Message:
    named = usual.conversation_id
    return Message(
        id=usual.id,
        conversation_id=conversation_id,
        job_id=usual.job_id,
        sender_user_id=usual.sender_user_id,
        sender_name=usual.sender_name,
        is_from_viewer=usual.is_from_viewer,
        content=usual.content,
        message_type=usual.message_type,
        is_system=usual.system,
        has_unread_flag=usual.has_unread_flag,
        attachment_count=usual.attachment_count,
        has_audio=usual.has_audio,
        reaction_count=usual.reaction_count,
        created_at=usual.created_at,
        updated_at=usual.updated_at,
        edited_at=usual.edited_at,
        extra=None if named is None or named == conversation_id else render_extra({"conversationId": named}),
    )
