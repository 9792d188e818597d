"""What people ask for when they write: send, cancel, send again, open a conversation; each waits for its outcome."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from syncd.core.model import Conversation
from syncd.core.observations import Look
from syncd.core.outbox_seen import Found, Ordered, Queued
from syncd.core.outgoing import Outgoing, check_text
from syncd.core.pacing import SIT_OUT_SECONDS
from syncd.core.refusals import advise
from syncd.core.times import after
from syncd.engine.identity import identified
from syncd.engine.outbox import Courier
from syncd.errors import (
    FetchError,
    ForbiddenError,
    NotFoundError,
    RateLimitedError,
    RejectedError,
    SyncdError,
    UnreachableError,
)

Progress = Callable[[dict[str, Any]], None]
Verb = Callable[[Courier, dict[str, Any], Progress], Awaitable[dict[str, Any]]]

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


async def send(courier: Courier, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Queue a message, and see it through unless it is for later."""
    content = str(arguments["content"])
    check_text(content)
    outgoing: Outgoing = await courier.mirror.store.apply(
        Queued(
            account=courier.mirror.account,
            now=courier.now(),
            conversation_id=str(arguments["conversation_id"]),
            content=content,
            key=arguments.get("key"),
        )
    )
    progress(_result(courier, outgoing, None))
    return (
        _result(courier, outgoing, None) if arguments.get("later") else await _see_through(courier, outgoing, progress)
    )


async def cancel(courier: Courier, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Cancel a message that is queued."""
    del progress
    outgoing: Outgoing = await courier.mirror.store.apply(
        Ordered(account=courier.mirror.account, now=courier.now(), id=int(arguments["id"]), again=False)
    )
    return _result(courier, outgoing, None) | {"exit_code": 0}


async def retry(courier: Courier, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Send a message again, as a person has decided; one that has arrived after all is not sent."""
    outgoing: Outgoing = await courier.mirror.store.apply(
        Ordered(account=courier.mirror.account, now=courier.now(), id=int(arguments["id"]), again=True)
    )
    return await _see_through(courier, outgoing, progress)


async def deliver(courier: Courier, *, healthy: bool) -> None:
    """Send and settle what waits, after a poll; `healthy`: the poll met no trouble, so that it is worth a try."""
    try:
        await (courier.work() if healthy else courier.expire())
    except SyncdError as error:
        courier.mirror.log("outbox.waiting", level="info", error=str(error))


async def _see_through(courier: Courier, outgoing: Outgoing, progress: Progress) -> dict[str, Any]:
    """Work until the message's outcome is known, or nobody knows when it will be."""
    clock, store = courier.mirror.clock, courier.mirror.store
    give_up = clock.monotonic() + _PATIENCE
    while True:
        trouble: SyncdError | None = None
        try:
            await courier.work()
        except SyncdError as error:
            trouble = error
        outgoing = await store.fetch_outgoing(courier.mirror.account, outgoing.id) or outgoing
        wait = _wait(courier, outgoing, trouble)
        if wait is None or clock.monotonic() + wait > give_up:
            return _result(courier, outgoing, trouble)
        progress(_result(courier, outgoing, trouble) | {"wait_seconds": wait})
        await clock.sleep(wait)


def _wait(courier: Courier, outgoing: Outgoing, trouble: SyncdError | None) -> float | None:
    """Seconds after which to go on; None when that is of no use."""
    limit = trouble.retry_after if isinstance(trouble, RateLimitedError) else 0.0
    if limit > SIT_OUT_SECONDS:
        return None
    if outgoing.state == "sending":
        return max(limit, courier.next_look(outgoing))
    return limit if outgoing.state == "queued" and limit > 0 else None


def _result(courier: Courier, outgoing: Outgoing, trouble: SyncdError | None) -> dict[str, Any]:
    """The message as its sender is told of it."""
    limit = trouble.retry_after if isinstance(trouble, RateLimitedError) else None
    open_ = outgoing.state in ("queued", "sending")
    return {
        "id": outgoing.id,
        "account": courier.mirror.account,
        "conversation_id": outgoing.conversation_id,
        "state": outgoing.state,
        "message_id": outgoing.message_id,
        "error": str(trouble) if open_ and trouble is not None else outgoing.error,
        "expires_at": outgoing.expires_at,
        "retry_at": None if limit is None else after(courier.now(), limit),
        "exit_code": _exit_code(courier, outgoing, trouble),
    }


def _exit_code(courier: Courier, outgoing: Outgoing, trouble: SyncdError | None) -> int:
    if outgoing.state == "sent":
        return 0
    if outgoing.state == "queued":
        return 0 if trouble is None else trouble.exit_code
    if outgoing.state == "sending":
        return 1 if trouble is None else trouble.exit_code
    return _refusal_code(courier) if outgoing.state == "failed" else 1


def _refusal_code(courier: Courier) -> int:
    return 1 if courier.mirror.may("messages:write") else _NO_SCOPE


async def open_conversation(courier: Courier, arguments: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Open or find a proposal's conversation; it is in the mirror when its id is told."""
    del progress
    proposal_id = str(arguments["proposal_id"])
    await identified(courier.mirror, courier.ask)
    try:
        conversation_id = await _open(courier, proposal_id)
    except (ForbiddenError, NotFoundError, RejectedError) as error:
        told = advise(error, may_write=courier.mirror.may("messages:write"))
        raise RefusedError(told, _refusal_code(courier)) from None
    await _mirror(courier, conversation_id, proposal_id)
    return {"account": courier.mirror.account, "conversation_id": conversation_id, "proposal_id": proposal_id}


async def _open(courier: Courier, proposal_id: str) -> str:
    """Ask the server, again where its answer was lost: it opens none twice."""
    tries, clock = 0, courier.mirror.clock
    while True:
        try:
            return await courier.ask(partial(courier.sender.open_conversation, proposal_id))
        except RateLimitedError as limited:
            if limited.retry_after > SIT_OUT_SECONDS or tries == _OPENING_TRIES:
                raise
            await clock.sleep(limited.retry_after)
        except UnreachableError:
            if tries == _OPENING_TRIES:
                raise
            await clock.sleep(_OPENING_PAUSE)
        tries += 1


async def _mirror(courier: Courier, conversation_id: str, proposal_id: str) -> None:
    """Hold the conversation as the list shows it; its messages, if it has any, are fetched by the next poll."""
    account, store = courier.mirror.account, courier.mirror.store
    try:
        entry = await _find_entry(courier, conversation_id)
    except FetchError:
        entry = None  # it is open all the same
    now = courier.now()
    found = Found(account=account, now=now, conversation_id=conversation_id, proposal_id=proposal_id, entry=entry)
    await store.apply(found)
    if entry is None or entry.last_message_id is None:
        await store.apply(Look(account=account, now=now, conversation_id=conversation_id))


async def _find_entry(courier: Courier, conversation_id: str) -> Conversation | None:
    cursor = None
    for _ in range(_LIST_PAGES):
        page = await courier.ask(partial(courier.mirror.source.fetch_entries, cursor))
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
