"""The world's storage: what is looked up by what, and the feed of events."""

import functools
import random
import threading
from bisect import insort
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from syncd.simulator.postings import Candidate, Job, Proposal
from syncd.simulator.records import Conversation, Event, Json, Message, Token
from syncd.simulator.stamps import iso, scattered_id, to_ms

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
