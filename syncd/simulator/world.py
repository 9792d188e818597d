"""What the simulated world holds, and everything that can happen in it."""

import functools
import random
import threading
from bisect import insort
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from syncd.simulator.records import (
    Candidate,
    Conversation,
    Event,
    Interview,
    Job,
    Json,
    Message,
    Proposal,
    Token,
    iso,
    scattered_id,
    to_ms,
)
from syncd.simulator.texts import COUNTRIES, PROFILE_TITLES, masked_name

Clock = Callable[[], datetime]
F = TypeVar("F", bound=Callable[..., Any])

ALL_SCOPES = (
    "messages:read",
    "messages:write",
    "proposals:read",
    "jobs:read",
    "payments:read",
)


def locked(method: F) -> F:
    """Run a method of the world under its lock, so that a test's thread and the server's never meet."""

    @functools.wraps(method)
    def under_lock(self: Any, *args: Any, **kwargs: Any) -> Any:
        with self.lock:
            return method(self, *args, **kwargs)

    return cast("F", under_lock)


class WorldState:
    """Everything the server holds, without the happenings that change it."""

    def __init__(self, clock: Clock | None = None, seed: int = 1) -> None:
        self.lock = threading.RLock()
        self.clock: Clock = clock or (lambda: datetime.now(UTC))
        self.random = random.Random(seed)
        self.conversations: dict[str, Conversation] = {}
        self.proposals: dict[str, Proposal] = {}
        self.jobs: dict[str, Job] = {}
        self.candidates: dict[str, Candidate] = {}
        self.deleted_conversations: dict[str, Conversation] = {}
        self.hidden: list[tuple[int, str, str]] = []
        self.events: list[Event] = []
        self.tokens: dict[str, Token] = {}
        self.blocked_words: set[str] = {"BLOCKED-BY-POLICY"}
        self._held = False
        self._serial = seed % 1000 * 1_000_000_000
        self._event_serial = 1000
        self._listed: list[Conversation] | None = None
        self.viewer = self.new_id("u")
        self.organization = self.new_id("o")
        self.token = self.add_token(scopes=ALL_SCOPES)

    def now(self) -> datetime:
        """The server's time, as the clock given says."""
        return self.clock()

    def now_ms(self) -> int:
        """The server's time in milliseconds since 1970."""
        return to_ms(self.clock())

    def new_id(self, prefix: str) -> str:
        """A fresh id."""
        self._serial += 1
        return scattered_id(prefix, self._serial)

    @locked
    def add_token(
        self, scopes: tuple[str, ...] | list[str] = ALL_SCOPES, *, user_id: str | None = None, claimed: bool = True
    ) -> str:
        """Issue a token for `user_id` (default: the owner) with these scopes."""
        public_id, secret = self.new_id("p"), self.new_id("s")
        text = f"ot_pat_{public_id}_{secret}"
        self.tokens[text] = Token(text, public_id, user_id or self.viewer, tuple(scopes), claimed)
        return text

    @locked
    def revoke_token(self, token: str) -> None:
        """Make a token answer 401 from now on."""
        self.tokens.pop(token, None)

    def every_conversation(self) -> list[Conversation]:
        """Everybody's conversations, newest activity first."""
        if self._listed is None:
            self._listed = sorted(self.conversations.values(), key=lambda c: c.key, reverse=True)
        return self._listed

    def listed(self, viewer: str) -> list[Conversation]:
        """The conversations `viewer` takes part in, newest activity first."""
        return [conversation for conversation in self.every_conversation() if viewer in conversation.participants]

    def reorder(self) -> None:
        """Forget the order of the list: some conversation moved, came or went."""
        self._listed = None

    def move(self, conversation: Conversation, at: int | None = None) -> None:
        """Raise a conversation's `updatedAt` to `at` (milliseconds; default now), never back."""
        conversation.updated = max(conversation.updated, self.now_ms() if at is None else at)
        self.reorder()

    def find_message(self, conversation_id: str, message_id: str) -> Message:
        """A message that is there; KeyError when it is not."""
        for message in reversed(self.conversations[conversation_id].messages):
            if message.id == message_id:
                return message
        raise KeyError(message_id)

    def insert_message(self, conversation: Conversation, message: Message) -> None:
        """Put a message where its time belongs."""
        insort(conversation.messages, message, key=lambda m: m.key)

    def add_event(self, type: str, resource_id: str, data: Json, *, job_id: str | None, at: int | None = None) -> None:
        """Append an event to the owner's feed."""
        self._event_serial += 1
        created = self.now_ms() if at is None else at
        visible = not self._held
        self.events.append(
            Event(self._event_serial, type, created, resource_id, job_id, data, self.viewer, visible=visible)
        )

    @locked
    def hold_updates(self, held: bool) -> None:  # noqa: FBT001 - the method's whole meaning
        """While held, events take their ids but are not shown, as a slow transaction's are not."""
        self._held = held

    @locked
    def release_updates(self) -> None:
        """Show every event held back, under ids that readers have already passed."""
        self._held = False
        for event in self.events:
            event.visible = True

    @locked
    def longest(self) -> str:
        """The id of the longest thread."""
        return max(self.conversations.values(), key=lambda c: len(c.messages)).id

    @locked
    def truth(self, viewer: str | None = None) -> Json:
        """All that the API would tell `viewer` (default: the owner), in the API's shapes."""
        who = viewer or self.viewer
        listed = self.listed(who)
        owned = [proposal for proposal in self.proposals.values() if proposal.job.owner == who]
        return {
            "viewerUserId": who,
            "conversations": {c.id: c.to_json(who) for c in listed},
            "order": [c.id for c in listed],
            "messages": {c.id: [m.to_json(who) for m in c.messages] for c in listed},
            "proposals": {p.id: p.to_json() for p in owned},
            "interviews": {p.id: p.interview.to_json(p.id) for p in owned if p.interview and p.interview.ready},
            "jobs": {j.id: self.job_json(j) for j in self.jobs.values() if j.owner == who},
            "updates": [e.to_json() for e in self.events if e.visible and e.viewer == who],
        }

    def job_json(self, job: Job) -> Json:
        """A job as `GET /jobs/mine` prints it."""
        statuses = [self.proposals[proposal_id].status for proposal_id in job.proposal_ids]
        return {
            "id": job.id,
            "title": job.title,
            "status": job.status,
            "createdAt": iso(job.created),
            "updatedAt": iso(job.updated),
            "proposalCounts": {"total": len(statuses), "unreviewed": statuses.count("SUBMITTED")},
        }


# What can happen to conversations and messages.


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


# What can happen to jobs, proposals, candidates and interviews.


_LABELS = {"SUBMITTED": "Submitted", "SHORTLISTED": "Shortlisted", "HIRED": "Hired", "DECLINED": "Declined"}


class HiringHappenings(ConversationHappenings):
    """Jobs, proposals, candidates and interviews come and change."""

    @locked
    def new_job(self, title: str = "Label short videos", *, status: str = "OPEN", owner: str | None = None) -> str:
        """Post a job; returns its id."""
        now = self.now_ms()
        job = Job(self.new_id("j"), title, status, now, now, owner or self.viewer)
        self.jobs[job.id] = job
        return job.id

    @locked
    def set_job_status(self, job_id: str, status: str) -> None:
        """Change a job's status."""
        self.jobs[job_id].status = status
        self.jobs[job_id].updated = self.now_ms()

    @locked
    def rename_job(self, job_id: str, title: str) -> None:
        """Change a job's title, also in its proposals."""
        self.jobs[job_id].title = title
        self.jobs[job_id].updated = self.now_ms()

    def store_candidate(self, name: str) -> Candidate:
        """Create a trainer with a made-up profile."""
        code, country = self.random.choice(COUNTRIES)
        candidate = Candidate(self.new_id("u"), name, country_code=code, country=country)
        candidate.slug = f"trainer-{candidate.id[-6:]}"
        candidate.title = self.random.choice(PROFILE_TITLES)
        candidate.photo = f"https://images.example/{candidate.id}.jpg"
        self.candidates[candidate.id] = candidate
        return candidate

    def store_proposal(self, job: Job, candidate: Candidate, created: int) -> Proposal:
        """Create a proposal as it is just after being sent; milliseconds for `created`."""
        bid: Json = {"amountUsd": self.random.randint(8, 60), "unit": "HOUR", "labelerHourlyRateUsd": 12.5}
        proposal = Proposal(self.new_id("r"), job, candidate, created, created, "SUBMITTED", "Submitted", bid)
        self.proposals[proposal.id] = proposal
        job.proposal_ids.append(proposal.id)
        return proposal

    @locked
    def new_proposal(
        self, job_id: str | None = None, *, name: str | None = None, candidate_id: str | None = None
    ) -> str:
        """A candidate proposes for a job (default: the owner's first); returns the proposal's id."""
        job = self.jobs[job_id or self._first_job()]
        candidate = self.candidates[candidate_id] if candidate_id else None
        proposal = self.store_proposal(
            job, candidate or self.store_candidate(name or masked_name(self.random)), self.now_ms()
        )
        job.updated = proposal.created
        self._announce(proposal, "proposal.received", {"proposalId": proposal.id, "jobId": job.id})
        return proposal.id

    def _first_job(self) -> str:
        mine = [job.id for job in self.jobs.values() if job.owner == self.viewer]
        return mine[0] if mine else self.new_job()

    def _announce(self, proposal: Proposal, type: str, data: Json) -> None:
        if proposal.job.owner == self.viewer:
            self.add_event(type, proposal.id, data, job_id=proposal.job.id)

    @locked
    def set_proposal_status(self, proposal_id: str, raw: str, label: str | None = None) -> None:
        """Change a proposal's status; it does not resurface in its job's list."""
        proposal = self.proposals[proposal_id]
        proposal.status, proposal.status_label = raw, label or _LABELS.get(raw)
        proposal.updated = self.now_ms()
        self._announce(proposal, "proposal.status_changed", {"proposalId": proposal_id, "status": raw})

    @locked
    def interview_appears(
        self,
        proposal_id: str,
        *,
        ready: bool = True,
        score: float | None = 86,
        summary: str | None = "Clear answers.",
        messages: list[Json] | None = None,
    ) -> None:
        """An interview is recorded (or replaced); without `ready` its transcript answers 404 for now."""
        proposal = self.proposals[proposal_id]
        exchange = messages if messages is not None else self._default_exchange()
        proposal.interview = Interview(self.new_id("i"), score, summary, exchange, ready)
        proposal.updated = self.now_ms()

    def _default_exchange(self) -> list[Json]:
        now = self.now_ms()
        lines = [
            ("interviewer", "How do you label a sarcastic post?"),
            ("candidate", "By what it means, not by its words."),
        ]
        return [
            {"id": self.new_id("t"), "role": role, "content": text, "sentAt": iso(now + n * 30_000 - 60_000)}
            for n, (role, text) in enumerate(lines)
        ]

    @locked
    def interview_ready(self, proposal_id: str) -> None:
        """The transcript that was announced can now be read."""
        interview = self.proposals[proposal_id].interview
        if interview is not None:
            interview.ready = True

    @locked
    def interview_erased(self, proposal_id: str) -> None:
        """The interview is gone: 404, and `transcriptAvailable` false."""
        self.proposals[proposal_id].interview = None

    @locked
    def erase_candidate(self, candidate_id: str) -> None:
        """A trainer deletes the account: name, photo, profile and interviews go; nothing announces it."""
        old = self.candidates[candidate_id]
        erased = Candidate(candidate_id, "Freelancer", erased=True)
        self.candidates[candidate_id] = erased
        for proposal in self.proposals.values():
            if proposal.candidate is old:
                proposal.candidate = erased
                proposal.interview = None

    @locked
    def rename(self, candidate_id: str, name: str) -> None:
        """Change a candidate's displayed name; nothing announces it."""
        self.candidates[candidate_id].name = name

    @locked
    def new_conversation(
        self,
        *,
        kind: str = "proposal",
        proposal_id: str | None = None,
        job_id: str | None = None,
        channel_name: str | None = None,
        **fields: Any,
    ) -> str:
        """Open a conversation of kind proposal, job or channel and return its id.

        A proposal thread gets its proposal (candidate's `name`) unless one is given. `fields`: type, name, extra.
        """
        type_ = fields.get("type", "DIRECT_MESSAGE")
        if kind == "proposal":
            chosen = proposal_id or self.new_proposal(job_id, name=fields.get("name"))
            return self.open_proposal_thread(chosen, type=type_, extra=fields.get("extra"))
        name = channel_name or ("general" if kind == "channel" else None)
        return self.new_room(
            job_id=job_id or self._first_job(), channel_name=name, type=type_, extra=fields.get("extra")
        )

    @locked
    def open_proposal_thread(self, proposal_id: str, *, type: str = "DIRECT_MESSAGE", extra: Json | None = None) -> str:
        """Open (or find) a proposal's conversation; returns its id."""
        proposal = self.proposals[proposal_id]
        if proposal.conversation_id is None:
            conversation = self.store_conversation(
                type, "proposal", updated=self.now_ms(), proposal_id=proposal_id, extra=extra
            )
            conversation.participants.add(proposal.candidate.id)
            proposal.conversation_id = conversation.id
        return proposal.conversation_id
