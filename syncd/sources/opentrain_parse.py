"""OpenTrain's JSON → the model: conversations, messages, the feed and the identity.

Field names are those of the public documentation of each call; [?] marks what it leaves open.
"""

from typing import Any

from syncd.core.model import Change, ChangePage, Conversation, EntryPage, Identity, Message, OpenedConversation, Page
from syncd.sources.answers import Answer
from syncd.sources.fields import Fields, parse_cursor, parse_each, parse_list, shape_error, unique
from syncd.sources.opentrain_usual import UsualPage, read_page


def parse_entries(answer: Answer) -> EntryPage:
    """A page of the conversation list (GET /messages documentation)."""
    items = parse_list(answer.body, ("conversations",))
    entries, unreadable = parse_each(items, parse_conversation, "conversation", "conversations")
    return EntryPage(
        entries=unique(entries, lambda entry: entry.id),
        next_cursor=parse_cursor(answer.body),
        server_time=answer.server_time,
        unreadable=unreadable,
    )


def parse_conversation(body: Any) -> Conversation:
    """A conversation as the list shows it; `lastMessage` is consumed whole, for the message itself has a row.

    An id of it that can't be kept stays in `extra`: then only its time says that there is a last message.
    """
    fields = Fields(body, "a conversation")
    last = fields.group("lastMessage")
    last_message_id, last_message_at = last.key("id") or None, last.time("createdAt")
    if "id" in last.rest:
        fields.rest["lastMessage"] = {"id": last.rest["id"]}
        if last_message_at is None:
            raise shape_error("a conversation whose last message has neither an id nor a time")
    return Conversation(
        id=fields.id(),
        type=fields.text("type"),
        bucket=fields.text("bucket"),
        job_id=fields.key("jobId"),
        proposal_id=fields.key("proposalId"),
        channel_name=fields.text("channelName"),
        updated_at=fields.time("updatedAt"),
        last_message_id=last_message_id,
        last_message_at=last_message_at,
        unread_count=fields.integer("unreadCount"),
        needs_reply_count=fields.integer("needsReplyCount"),
        extra=fields.extra(),
    )


def parse_page(answer: Answer, conversation_id: str, limit: int) -> Page:
    """A page of one conversation's messages (GET /messages documentation, message mode)."""
    if isinstance(answer.body, UsualPage):
        return read_page(answer.body, conversation_id, limit=limit, server_time=answer.server_time)
    items = parse_list(answer.body, ("messages",))
    messages, unreadable = parse_each(
        items, lambda item: parse_message(item, conversation_id), "message", f"thread:{conversation_id}"
    )
    return Page(
        conversation_id=conversation_id,
        messages=unique(messages, lambda message: message.id),
        next_cursor=parse_cursor(answer.body),
        limit=limit,
        server_time=answer.server_time,
        unreadable=unreadable,
        count=len(items),
    )


def parse_message(body: Any, conversation_id: str) -> Message:
    """A message of that conversation; one that names another stays where it was found, the other name in `extra`."""
    fields = Fields(body, "a message")
    named = fields.key("conversationId")
    if named not in (None, conversation_id):
        fields.rest["conversationId"] = named
    return Message(
        id=fields.id(),
        conversation_id=conversation_id,
        job_id=fields.key("jobId"),
        sender_user_id=fields.key("senderUserId"),
        sender_name=fields.text("senderName"),
        is_from_viewer=fields.boolean("isFromViewer"),
        content=fields.text("content"),
        message_type=fields.text("messageType"),
        is_system=fields.boolean("system"),
        has_unread_flag=fields.boolean("hasUnreadFlag"),
        attachment_count=fields.integer("attachmentCount"),
        has_audio=fields.boolean("hasAudio"),
        reaction_count=fields.integer("reactionCount"),
        created_at=fields.time("createdAt"),
        updated_at=fields.time("updatedAt"),
        edited_at=fields.time("editedAt"),
        extra=fields.extra(),
    )


def parse_sent(answer: Answer, conversation_id: str) -> Message:
    """The message that was sent (POST /messages documentation: `{"ok": true, "message": {…}}`)."""
    if not isinstance(answer.body, dict) or "message" not in answer.body:
        raise shape_error("an answer without message")
    return parse_message(answer.body["message"], conversation_id)


def parse_opened(answer: Answer) -> OpenedConversation:
    """The conversation that was opened or found (POST /proposals/{id}/conversation documentation)."""
    fields = Fields(answer.body, "an answer")
    return OpenedConversation(
        id=fields.id("conversationId"), job_id=fields.key("jobId"), created=fields.boolean("created")
    )


def parse_changes(answer: Answer) -> ChangePage:
    """A page of the feed (GET /updates documentation); the names of its list are [?] beyond `events`."""
    items = parse_list(answer.body, ("events", "updates", "items", "data"))
    changes, _ = parse_each(
        items, parse_change, "event", "updates"
    )  # it only makes haste: what can't be read is skipped
    return ChangePage(
        changes=unique(changes, lambda change: change.id),
        next_cursor=parse_cursor(answer.body),
        server_time=answer.server_time,
    )


def parse_change(body: Any) -> Change:
    """A line of the feed; its `data` holds ids only, and which ones depends on its type."""
    fields = Fields(body, "an event")
    data = fields.group("data")
    return Change(
        id=fields.id(),
        type=fields.text("type") or "",
        created_at=fields.time("createdAt"),
        conversation_id=data.key("conversationId"),
        message_id=data.key("messageId"),
        proposal_id=data.key("proposalId"),
    )


def parse_identity(answer: Answer) -> Identity:
    """Whose token it is (GET /auth/me documentation); the owner's name and address in it are not kept."""
    body = answer.body.get("data", answer.body) if isinstance(answer.body, dict) else answer.body  # [?] its envelope
    fields = Fields(body, "an identity")
    if not {"actor", "token"} & fields.rest.keys():
        raise shape_error("an answer without actor")
    scopes = fields.group("token").rest.get("scopes")
    return Identity(
        user_id=fields.group("actor").key("userId"),
        scopes=frozenset(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else None,
        server_time=answer.server_time,
    )
