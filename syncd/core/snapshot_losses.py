"""What a round may believe of what it missed: a large loss needs a second look that agrees."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from syncd.core.model import Conversation, Message, Row
from syncd.core.pacing import SECOND_LOOK_SECONDS
from syncd.core.plan import Memo, Plan
from syncd.core.reconcile import Settlement, gone_events, is_large
from syncd.core.snapshot import Chat
from syncd.core.snapshot_held import HeldLosses, Suspicion
from syncd.core.snapshot_plan import with_last
from syncd.core.snapshot_seen import RoundEnded
from syncd.core.times import after


class _Losses(Struct, frozen=True):
    """Chats and messages that are missing."""

    conversations: tuple[Conversation, ...] = ()
    messages: tuple[Message, ...] = ()

    def __len__(self) -> int:
        return len(self.conversations) + len(self.messages)

    def keys(self) -> Iterable[Suspicion]:
        """How `_suspects` names them."""
        yield from (("conversation", row.id) for row in self.conversations)
        yield from (("message", row.id) for row in self.messages)

    def chats(self) -> frozenset[str]:
        """The chats that have to be looked at again for them."""
        return frozenset({row.id for row in self.conversations} | {row.conversation_id for row in self.messages})


def plan_round_ended(held: HeldLosses, ended: RoundEnded) -> Plan:
    """Believe what a second look confirmed and what is a small loss, and hold a large one back.

    The answer is a Settlement.
    """
    confirmed = _sorted_out(held, confirmed=True)
    unconfirmed = _sorted_out(held, confirmed=False)
    large = is_large(len(unconfirmed.conversations), held.all_conversations) or is_large(
        len(unconfirmed.messages), held.all_messages
    )
    doubted = unconfirmed if large else _Losses()
    believed = (
        confirmed
        if large
        else _Losses(confirmed.conversations + unconfirmed.conversations, confirmed.messages + unconfirmed.messages)
    )
    chats = {id_: _doubting(held.chats[id_], ended) for id_ in doubted.chats() if id_ in held.chats}
    account = replace(held.account, last_reconciled_at=ended.now) if ended.compared else held.account
    memo = _guarded(held.memo, doubted, chats, ended)
    return Plan(
        rows=tuple(_gone_rows(held, believed, doubted, ended.now)),
        events=tuple(gone_events(believed.conversations, believed.messages, ended.now)),
        chats=tuple(sorted(chats.items())),
        unsuspect=tuple(believed.keys()),
        account=None if account == held.account else account,
        memo=None if memo == held.memo else memo,
        answer=Settlement(believed=len(believed), held_back=len(doubted)),
    )


def _sorted_out(held: HeldLosses, *, confirmed: bool) -> _Losses:
    """The losses that were seen twice, the second time long enough after the first; or those that were not."""

    def is_wanted(kind: str, id_: str, conversation_id: str) -> bool:
        chat = held.chats.get(conversation_id)
        looked_at = (chat and chat.looked_at) or ""
        return (looked_at >= after(held.since[kind, id_], SECOND_LOOK_SECONDS)) is confirmed

    return _Losses(
        tuple(row for row in held.conversations if is_wanted("conversation", row.id, row.id)),
        tuple(row for row in held.messages if is_wanted("message", row.id, row.conversation_id)),
    )


def _doubting(chat: Chat, ended: RoundEnded) -> Chat:
    return replace(chat, doubted_until=chat.doubted_until or after(ended.now, SECOND_LOOK_SECONDS))


def _guarded(memo: Memo, doubted: _Losses, chats: dict[str, Chat], ended: RoundEnded) -> Memo:
    """What is remembered, and told, of a loss that is held back."""
    since = None if ended.compared else memo.reconciling_since
    if not doubted:
        return replace(memo, reconciling_since=since, second_look_at=None, loss_guard=None)
    guard = (
        f"{len(doubted.messages)} messages and {len(doubted.conversations)} conversations look deleted; "
        "nothing is marked before a second look agrees"
    )
    looks = [chat.doubted_until for chat in chats.values() if chat.doubted_until is not None]
    return replace(memo, reconciling_since=since, second_look_at=min(looks, default=None), loss_guard=guard)


def _gone_rows(held: HeldLosses, believed: _Losses, doubted: _Losses, now: str) -> Iterable[Row]:
    """The rows that are gone, with their subjects, and the chats that lost their last message."""
    yield from (replace(row, gone_at=now) for row in believed.messages)
    for row in believed.conversations:
        yield replace(row, gone_at=now)
        subject = held.subjects.get(row.id)
        if subject is not None and subject.gone_at is None:
            yield replace(subject, gone_at=now)
    gone = {row.id for row in believed.conversations}
    for id_ in sorted({row.conversation_id for row in believed.messages} - gone):
        left = [row for row in doubted.messages if row.conversation_id == id_]
        newest, owner = held.newest.get(id_), held.owners.get(id_)
        if owner is not None:
            row = with_last(owner, left if newest is None else [*left, newest])
            yield from () if row == owner else (row,)
