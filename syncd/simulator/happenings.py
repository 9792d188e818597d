"""What can happen to conversations and messages."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from syncd.simulator.records import Conversation, Json, Message
from syncd.simulator.stamps import to_ms
from syncd.simulator.state import WorldState, locked


class MessageHappenings(WorldState):
    """Messages come, change and go; times are aware datetimes."""

    @locked
    def add_message(
        self,
        conversation_id: str,
        text: str | None,
        *,
        from_viewer: bool = False,
        system: bool = False,
        created_at: datetime | str | None = None,
        sender: str | None = None,
        **fields: Any,
    ) -> str:
        """Add a message and return its id; a `created_at` in the past is a late arrival.

        `fields`: message_type, attachments (or attachment_count), has_audio, reactions, extra, terse.
        """
        conversation = self.conversations[conversation_id]
        created = self._creation_ms(conversation, created_at)
        fields["attachments"] = fields.pop("attachment_count", fields.get("attachments", 0))
        message = Message(
            self.new_id("m"),
            created,
            max(created, self.now_ms()),
            conversation_id,
            self.viewer if from_viewer else (sender or self._other(conversation, system=system)),
            text,
            job_id=conversation.job_id,
            system=system,
            **fields,
        )
        self.insert_message(conversation, message)
        self._count(conversation, message)
        self.move(conversation, max(message.updated, conversation.updated))
        return message.id

    def _creation_ms(self, conversation: Conversation, created_at: datetime | str | None) -> int:
        if created_at is not None:
            moment = datetime.fromisoformat(created_at) if isinstance(created_at, str) else created_at
            return to_ms(moment)
        # Two messages of one millisecond would be ordered by their ids, by chance: only an explicit time makes a tie.
        return max(self.now_ms(), conversation.messages[-1].created + 1 if conversation.messages else 0)

    def _other(self, conversation: Conversation, *, system: bool) -> str | None:
        if system:
            return None
        others = sorted(conversation.participants - {self.viewer})
        return others[0] if others else None

    def _count(self, conversation: Conversation, message: Message) -> None:
        if message.system:
            return
        if message.sender == self.viewer:
            conversation.needs_reply = 0
            return
        message.unread = True
        conversation.unread += 1
        conversation.needs_reply += 1
        if self.viewer in conversation.participants:
            data = {"conversationId": conversation.id, "messageId": message.id}
            self.add_event("message.received", message.id, data, job_id=conversation.job_id)

    @locked
    def burst(
        self, conversation_id: str, count: int, *, text: str = "Message {n}", from_viewer: bool = False
    ) -> list[str]:
        """Add `count` messages at once; `{n}` in the text is their number. Returns their ids in order."""
        return [
            self.add_message(conversation_id, text.replace("{n}", str(n)), from_viewer=from_viewer)
            for n in range(1, count + 1)
        ]

    @locked
    def edit_message(self, conversation_id: str, message_id: str, text: str, *, touch_updated: bool = True) -> None:
        """Change a message's text; `touch_updated`: whether the conversation's `updatedAt` moves too."""
        message = self.find_message(conversation_id, message_id)
        message.content = text
        message.edited = message.updated = max(self.now_ms(), message.updated)
        if touch_updated:
            self.move(self.conversations[conversation_id])

    @locked
    def delete_message(self, conversation_id: str, message_id: str, *, touch_updated: bool = False) -> None:
        """Take a message away without a tombstone, as the server does."""
        conversation = self.conversations[conversation_id]
        message = self.find_message(conversation_id, message_id)
        conversation.messages.remove(message)
        conversation.deleted_messages[message_id] = message
        if touch_updated:
            self.move(conversation)

    @locked
    def restore_message(self, conversation_id: str, message_id: str) -> None:
        """Bring a deleted message back under its id, in its place."""
        conversation = self.conversations[conversation_id]
        self.insert_message(conversation, conversation.deleted_messages.pop(message_id))

    @locked
    def show_elsewhere(self, conversation_id: str, message_id: str, elsewhere: str, *, moved: bool = False) -> None:
        """Show a message under the same id in another conversation too; `moved`: and in its own no more."""
        message = self.find_message(conversation_id, message_id)
        twin = replace(message, conversation_id=elsewhere, job_id=self.conversations[elsewhere].job_id)
        self.insert_message(self.conversations[elsewhere], twin)
        self.move(self.conversations[elsewhere])
        if moved:
            self.conversations[conversation_id].messages.remove(message)
            self.move(self.conversations[conversation_id])

    @locked
    def hide_message(self, conversation_id: str, message_id: str, *, seconds: float) -> None:
        """Keep a message from every page for so many seconds, as a replica that lags behind does."""
        self.delete_message(conversation_id, message_id)
        self.hidden.append((self.now_ms() + round(seconds * 1000), conversation_id, message_id))

    @locked
    def show_due(self) -> None:
        """Bring back the hidden messages whose time has come."""
        due = [entry for entry in self.hidden if entry[0] <= self.now_ms()]
        for entry in due:
            self.hidden.remove(entry)
            self.restore_message(*entry[1:])

    @locked
    def read_conversation(self, conversation_id: str) -> None:
        """The owner reads it in the app: nothing is unread, `updatedAt` stays."""
        conversation = self.conversations[conversation_id]
        conversation.unread = 0
        for message in conversation.messages:
            message.unread = False

    @locked
    def dismiss_needs_reply(self, conversation_id: str) -> None:
        """The owner says no reply is needed; `updatedAt` stays."""
        self.conversations[conversation_id].needs_reply = 0

    @locked
    def react(self, conversation_id: str, message_id: str, *, count: int = 1) -> None:
        """Add reactions to a message; no time moves."""
        self.find_message(conversation_id, message_id).reactions += count

    @locked
    def touch(self, conversation_id: str) -> None:
        """Move a conversation's `updatedAt` and nothing else."""
        self.move(self.conversations[conversation_id])


class ConversationHappenings(MessageHappenings):
    """Conversations come, go and return."""

    @locked
    def leave_conversation(self, conversation_id: str) -> None:
        """The owner is no participant any more: not listed, and 403."""
        self.conversations[conversation_id].participants.discard(self.viewer)

    @locked
    def rejoin(self, conversation_id: str) -> None:
        """The owner is a participant again."""
        conversation = self.conversations[conversation_id]
        conversation.participants.add(self.viewer)
        self.move(conversation)

    @locked
    def delete_conversation(self, conversation_id: str) -> None:
        """The conversation answers 404 from now on."""
        self.deleted_conversations[conversation_id] = self.conversations.pop(conversation_id)
        self.reorder()

    @locked
    def restore_conversation(self, conversation_id: str) -> None:
        """A deleted conversation is there again, as it was."""
        conversation = self.deleted_conversations.pop(conversation_id)
        self.conversations[conversation_id] = conversation
        self.move(conversation)

    def store_conversation(self, type: str, bucket: str, *, updated: int, **fields: Any) -> Conversation:
        """Create an empty conversation with the owner in it; milliseconds for `updated`."""
        conversation = Conversation(self.new_id("c"), type, bucket, updated, owner=self.viewer, **fields)
        conversation.participants.add(self.viewer)
        self.conversations[conversation.id] = conversation
        self.reorder()
        return conversation

    @locked
    def new_room(self, *, job_id: str | None, channel_name: str | None, type: str, extra: Json | None = None) -> str:
        """A job thread, or a channel when it has a name; returns its id."""
        conversation = self.store_conversation(
            type, "job", updated=self.now_ms(), job_id=job_id, channel_name=channel_name, extra=extra
        )
        conversation.participants.update(self.new_id("u") for _ in range(3 if channel_name else 1))
        return conversation.id
