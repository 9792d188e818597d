"""The story of an outgoing message: what people ask for, the one attempt to send it, and the search for it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from syncd.core.model import Conversation, Instant, Message, OpenedConversation, Outgoing, check_text
from syncd.core.observations import CheckDue, Waiting
from syncd.core.outbox import (
    Answered,
    Attempted,
    Found,
    Looked,
    Ordered,
    Queued,
    Unanswered,
    advise,
    earliest,
    is_late,
    look_delay,
    next_state,
    seconds_until_leaving,
)
from syncd.core.times import SIT_OUT_SECONDS, after, seconds_between
from syncd.engine.account import Mirror, identified
from syncd.engine.requests import read_wait
from syncd.errors import (
    AuthError,
    FetchError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RejectedError,
    SyncdError,
    UnreachableError,
    UsageError,
)
from syncd.protocols import Sender

_T = TypeVar("_T")

_MOST_PAGES = 20  # of one conversation in one look: nobody writes more in the minute after an attempt


@dataclass(slots=True)
class _Looks:
    """How often a lost message was looked for in this process, and when it is looked for again."""

    count: int = 0
    next_at: float = 0.0


@dataclass(slots=True)
class SendTurn:
    """What all that send for one account share: one request at a time, so that none is under way during a look.

    `until`: the server said to ask nothing before, on the clock that only grows.
    """

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    looks: dict[int, _Looks] = field(default_factory=dict)
    until: float = 0.0


class OutboxSender:
    """Sends what waits in one account's outbox, and settles what was lost."""

    def __init__(self, mirror: Mirror, send_turn: SendTurn) -> None:
        self.mirror = mirror
        self.send_turn = send_turn

    @property
    def sender(self) -> Sender:
        """The source, as one that takes messages."""
        source = self.mirror.source
        if not isinstance(source, Sender):
            raise UsageError(f"account {self.mirror.account} is only read; write there instead")
        return source

    def now(self) -> Instant:
        """Our clock's time."""
        return self.mirror.clock.now()

    async def work(self) -> None:
        """Look for what was lost, then send what is queued, the oldest first.

        Raises the trouble that keeps the rest from leaving: AuthError, RateLimitedError, UnreachableError and the like.
        """
        async with self.send_turn.lock:
            waiting = await self._in_time()
            if not any(self._is_due(outgoing) for outgoing in waiting):
                return
            await identified(self.mirror, self.ask)
            trouble = await self._look_for([outgoing for outgoing in waiting if outgoing.since is not None])
            for outgoing in waiting:
                if outgoing.state == "queued" and self._is_due(outgoing):
                    await self._send(outgoing.id)
            if trouble is not None:
                raise trouble

    async def expire(self) -> None:
        """Give up what is queued and late, though nothing can be sent now."""
        async with self.send_turn.lock:
            await self._in_time()

    async def _in_time(self) -> list[Outgoing]:
        """What waits; a queued message that is too late says so, and waits no longer."""
        waiting = await self.mirror.store.fetch_waiting(self.mirror.account)
        late = {row.id for row in waiting if row.state == "queued" and is_late(row, self.now())}
        for id_ in late:
            await self._begin(id_)
        return [outgoing for outgoing in waiting if outgoing.id not in late]

    def next_look(self, outgoing: Outgoing) -> float:
        """Seconds until the message is looked for again."""
        looks = self.send_turn.looks.get(outgoing.id, _Looks())
        return max(0.0, looks.next_at - self.mirror.clock.monotonic())

    def _is_due(self, outgoing: Outgoing) -> bool:
        if outgoing.state == "queued":
            return not seconds_until_leaving(outgoing, self.now())
        return self.next_look(outgoing) <= 0

    async def departures(self) -> list[float]:
        """Seconds until each message for later leaves, of those whose instant is still to come."""
        waiting = await self.mirror.store.fetch_waiting(self.mirror.account)
        left = [seconds_until_leaving(outgoing, self.now()) for outgoing in waiting if outgoing.state == "queued"]
        return [seconds for seconds in left if seconds]

    async def ask(self, fetch: Callable[[], Awaitable[_T]]) -> _T:
        """The answer of a request, unless the account is told to wait; RateLimitedError says for how long."""
        await self._check_wait()
        try:
            return await fetch()
        except RateLimitedError as limited:
            self.send_turn.until = self.mirror.clock.monotonic() + limited.retry_after
            until = after(self.now(), limited.retry_after)
            await self.mirror.store.apply(Waiting(account=self.mirror.account, now=self.now(), until=until))
            raise
        except AuthError:
            self.mirror.identity = None  # the next token may be another's
            raise

    async def _check_wait(self) -> None:
        left = max(await read_wait(self.mirror), self.send_turn.until - self.mirror.clock.monotonic())
        if left > 0:
            until = after(self.now(), left)
            raise RateLimitedError(f"the server allows no requests before {until}", retry_after=left)

    async def _send(self, id_: int) -> None:
        """Send one message, if it is still to be sent."""
        await self._check_wait()  # to wait is no attempt
        self.mirror.check_room()
        outgoing = await self._begin(id_)
        if outgoing is None or outgoing.state != "sending":
            return
        content, conversation_id = outgoing.content or "", outgoing.conversation_id
        try:
            message = await self.ask(lambda: self.sender.send_message(conversation_id, content))
        except FetchError as error:
            await self._note(outgoing, error)
        else:
            await self._answered(outgoing, message)

    async def _begin(self, id_: int) -> Outgoing | None:
        begun: Outgoing | None = await self.mirror.store.apply(
            Attempted(account=self.mirror.account, now=self.now(), id=id_)
        )
        if begun is not None and begun.state == "expired":
            self._log("outbox.expired", begun, level="warning")
        return begun

    async def _answered(self, outgoing: Outgoing, message: Message) -> None:
        answered = Answered(account=self.mirror.account, now=self.now(), id=outgoing.id, message=message)
        await self.mirror.store.apply(answered)
        self._log("outbox.sent", outgoing, message_id=message.id)

    async def _note(self, outgoing: Outgoing, error: FetchError) -> None:
        """Write down what becomes of a message that brought no answer; an account's own trouble ends the round."""
        state = next_state(error)
        told = advise(error, may_write=self.mirror.may("messages:write")) if state == "failed" else str(error)
        noted = Unanswered(account=self.mirror.account, now=self.now(), id=outgoing.id, state=state, error=told)
        await self.mirror.store.apply(noted)
        self.send_turn.looks.pop(outgoing.id, None)
        known = {"reason": error.reason, "request_id": error.request_id}
        self._log(f"outbox.{_WORDS[state]}", outgoing, level="info" if state == "queued" else "warning", **known)
        if state == "queued":
            raise error

    def _log(self, event: str, outgoing: Outgoing, *, level: str = "info", **fields: object) -> None:
        """One line about a message; never its text."""
        known = {"outbox_id": outgoing.id, "conversation_id": outgoing.conversation_id, **fields}
        self.mirror.log(event, level=level, **{name: value for name, value in known.items() if value is not None})

    async def _look_for(self, lost: list[Outgoing]) -> FetchError | None:
        """Look for messages that may have arrived, conversation by conversation; the trouble that a look met."""
        trouble: FetchError | None = None
        due = [outgoing for outgoing in lost if self._is_due(outgoing)]
        for conversation_id in dict.fromkeys(outgoing.conversation_id for outgoing in due):
            mine = [outgoing for outgoing in lost if outgoing.conversation_id == conversation_id]
            for outgoing in mine:
                looks = self.send_turn.looks.setdefault(outgoing.id, _Looks())
                looks.count += 1
                looks.next_at = self.mirror.clock.monotonic() + look_delay(looks.count)
            try:
                await self._look(conversation_id, mine)
            except RateLimitedError:
                raise
            except FetchError as error:
                trouble = error
        return trouble

    async def _look(self, conversation_id: str, lost: list[Outgoing]) -> None:
        """Settle what can be settled by reading the conversation back beyond the attempts."""
        since = min(outgoing.since or self.now() for outgoing in lost)
        try:
            messages, server_time = await self._read_back(conversation_id, since)
            gone = False
        except (NotFoundError, ForbiddenError):
            messages, server_time, gone = (), self.now(), True
        looked = Looked(
            account=self.mirror.account,
            now=self.now(),
            conversation_id=conversation_id,
            ids=frozenset(outgoing.id for outgoing in lost),
            messages=messages,
            server_time=server_time,
            gone=gone,
        )
        await self.mirror.store.apply(looked)
        await self._tell(lost)

    async def _read_back(self, conversation_id: str, since: Instant) -> tuple[tuple[Message, ...], Instant]:
        """The newest messages, down to what was there before `since`, and the server's time."""
        messages: list[Message] = []
        cursor = None
        for _ in range(_MOST_PAGES):
            page = await self.ask(partial(self.mirror.source.fetch_messages, conversation_id, "older", cursor))
            messages += page.messages
            cursor = page.next_cursor
            border = earliest(since, seconds_between(self.now(), page.server_time))
            if cursor is None or any((message.created_at or border) < border for message in page.messages):
                break
        return tuple(messages), page.server_time

    async def _tell(self, lost: list[Outgoing]) -> None:
        """Log what the look has settled, and forget its looks."""
        for before in lost:
            outgoing = await self.mirror.store.fetch_outgoing(self.mirror.account, before.id)
            if outgoing is None or outgoing.state in ("sending", "queued"):
                continue
            self.send_turn.looks.pop(outgoing.id, None)
            level = "warning" if outgoing.state == "unconfirmed" else "info"
            self._log(f"outbox.{outgoing.state}", outgoing, level=level, message_id=outgoing.message_id)


_WORDS = {"queued": "put_off", "sending": "lost", "failed": "failed"}


# What people ask for when they write: send, cancel, send again, open a conversation; each waits for its outcome.


Progress = Callable[[dict[str, Any]], None]
Verb = Callable[[OutboxSender, dict[str, Any], Progress], Awaitable[dict[str, Any]]]

_PATIENCE = 180.0  # seconds until whoever waits for an outcome is told that it is not known yet
_OPENING_TRIES = 3
_OPENING_PAUSE = 1.0
_LIST_PAGES = 3  # a conversation just opened stands at the head of the list
_NO_SCOPE = 77


class RefusedError(SyncdError):
    """The server refuses it, and says why."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


async def send(outbox_sender: OutboxSender, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Queue a message, and see it through unless it is for later."""
    content = str(arguments["content"])
    check_text(content)
    outgoing: Outgoing = await outbox_sender.mirror.store.apply(
        Queued(
            account=outbox_sender.mirror.account,
            now=outbox_sender.now(),
            conversation_id=str(arguments["conversation_id"]),
            content=content,
            key=arguments.get("key"),
            later=bool(arguments.get("later")),
        )
    )
    progress(_result(outbox_sender, outgoing, None))
    return (
        _result(outbox_sender, outgoing, None)
        if arguments.get("later")
        else await _see_through(outbox_sender, outgoing, progress)
    )


async def cancel(outbox_sender: OutboxSender, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Cancel a message that is queued."""
    del progress
    outgoing: Outgoing = await outbox_sender.mirror.store.apply(
        Ordered(account=outbox_sender.mirror.account, now=outbox_sender.now(), id=int(arguments["id"]), again=False)
    )
    return _result(outbox_sender, outgoing, None) | {"exit_code": 0}


async def retry(outbox_sender: OutboxSender, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Send a message again, as a person has decided; one that has arrived after all is not sent."""
    outgoing: Outgoing = await outbox_sender.mirror.store.apply(
        Ordered(account=outbox_sender.mirror.account, now=outbox_sender.now(), id=int(arguments["id"]), again=True)
    )
    return await _see_through(outbox_sender, outgoing, progress)


async def deliver(outbox_sender: OutboxSender, *, healthy: bool) -> None:
    """Send and settle what waits, after a poll; `healthy`: the poll met no trouble, so that it is worth a try."""
    try:
        await (outbox_sender.work() if healthy else outbox_sender.expire())
    except SyncdError as error:
        outbox_sender.mirror.log("outbox.waiting", level="info", error=str(error))


async def _see_through(outbox_sender: OutboxSender, outgoing: Outgoing, progress: Progress) -> dict[str, Any]:
    """Work until the message's outcome is known, or nobody knows when it will be."""
    clock, store = outbox_sender.mirror.clock, outbox_sender.mirror.store
    give_up = clock.monotonic() + _PATIENCE
    while True:
        trouble: SyncdError | None = None
        try:
            await outbox_sender.work()
        except SyncdError as error:
            trouble = error
        outgoing = await store.fetch_outgoing(outbox_sender.mirror.account, outgoing.id) or outgoing
        wait = _wait(outbox_sender, outgoing, trouble)
        if wait is None or clock.monotonic() + wait > give_up:
            return _result(outbox_sender, outgoing, trouble)
        progress(_result(outbox_sender, outgoing, trouble) | {"wait_seconds": wait})
        await clock.sleep(wait)


def _wait(outbox_sender: OutboxSender, outgoing: Outgoing, trouble: SyncdError | None) -> float | None:
    """Seconds after which to go on; None when that is of no use."""
    limit = trouble.retry_after if isinstance(trouble, RateLimitedError) else 0.0
    if limit > SIT_OUT_SECONDS:
        return None
    if outgoing.state == "sending":
        return max(limit, outbox_sender.next_look(outgoing))
    return limit if outgoing.state == "queued" and limit > 0 else None


def _result(outbox_sender: OutboxSender, outgoing: Outgoing, trouble: SyncdError | None) -> dict[str, Any]:
    """The message as its sender is told of it."""
    limit = trouble.retry_after if isinstance(trouble, RateLimitedError) else None
    open_ = outgoing.state in ("queued", "sending")
    return {
        "id": outgoing.id,
        "account": outbox_sender.mirror.account,
        "conversation_id": outgoing.conversation_id,
        "state": outgoing.state,
        "message_id": outgoing.message_id,
        "error": str(trouble) if open_ and trouble is not None else outgoing.error,
        "expires_at": outgoing.expires_at,
        "leaves_at": outgoing.leaves_at,
        "retry_at": None if limit is None else after(outbox_sender.now(), limit),
        "exit_code": _exit_code(outbox_sender, outgoing, trouble),
    }


def _exit_code(outbox_sender: OutboxSender, outgoing: Outgoing, trouble: SyncdError | None) -> int:
    if outgoing.state == "sent":
        return 0
    if outgoing.state == "queued":
        return 0 if trouble is None else trouble.exit_code
    if outgoing.state == "sending":
        return 1 if trouble is None else trouble.exit_code
    return _refusal_code(outbox_sender) if outgoing.state == "failed" else 1


def _refusal_code(outbox_sender: OutboxSender) -> int:
    return 1 if outbox_sender.mirror.may("messages:write") else _NO_SCOPE


async def open_conversation(
    outbox_sender: OutboxSender, arguments: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Open or find a proposal's conversation; it is in the mirror when its id is told."""
    del progress
    proposal_id = str(arguments["proposal_id"])
    await identified(outbox_sender.mirror, outbox_sender.ask)
    try:
        opened = await _open(outbox_sender, proposal_id)
    except (ForbiddenError, NotFoundError, RejectedError) as error:
        told = advise(error, may_write=outbox_sender.mirror.may("messages:write"))
        raise RefusedError(told, _refusal_code(outbox_sender)) from None
    await _mirror(outbox_sender, opened.id, proposal_id)
    return {
        "account": outbox_sender.mirror.account,
        "conversation_id": opened.id,
        "proposal_id": proposal_id,
        "job_id": opened.job_id,
        "created": opened.created,
    }


async def _open(outbox_sender: OutboxSender, proposal_id: str) -> OpenedConversation:
    """Ask the server, again where its answer was lost: it opens none twice."""
    tries, clock = 0, outbox_sender.mirror.clock
    while True:
        try:
            return await outbox_sender.ask(partial(outbox_sender.sender.open_conversation, proposal_id))
        except RateLimitedError as limited:
            if limited.retry_after > SIT_OUT_SECONDS or tries == _OPENING_TRIES:
                raise
            await clock.sleep(limited.retry_after)
        except UnreachableError:
            if tries == _OPENING_TRIES:
                raise
            await clock.sleep(_OPENING_PAUSE)
        tries += 1


async def _mirror(outbox_sender: OutboxSender, conversation_id: str, proposal_id: str) -> None:
    """Hold the conversation as the list shows it; its messages, if it has any, are fetched by the next poll."""
    account, store = outbox_sender.mirror.account, outbox_sender.mirror.store
    try:
        entry = await _find_entry(outbox_sender, conversation_id)
    except FetchError:
        entry = None  # it is open all the same
    now = outbox_sender.now()
    found = Found(account=account, now=now, conversation_id=conversation_id, proposal_id=proposal_id, entry=entry)
    await store.apply(found)
    if entry is None or entry.last_message_id is None:
        await store.apply(CheckDue(account=account, now=now, conversation_id=conversation_id))


async def _find_entry(outbox_sender: OutboxSender, conversation_id: str) -> Conversation | None:
    cursor = None
    for _ in range(_LIST_PAGES):
        page = await outbox_sender.ask(partial(outbox_sender.mirror.source.fetch_entries, cursor))
        found = next((entry for entry in page.entries if entry.id == conversation_id), None)
        cursor = page.next_cursor
        if found is not None or cursor is None:
            return found
    return None


VERBS: dict[str, Verb] = {
    "send": send,
    "outbox_cancel": cancel,
    "outbox_retry": retry,
    "open_conversation": open_conversation,
}
"""What a holder does for those who write, by the name it is asked for."""
