"""One chat: ask whether it has changed, compare it if so, and ask its subject what an empty answer means."""

from syncd.core.snapshot import Doubtful, Due, NotModified, Snapshot, parse_chat_id
from syncd.core.snapshot_seen import RosterRead, SnapshotRead, SubjectMissing
from syncd.engine.snapshot_round import Round
from syncd.errors import FetchError, NotFoundError


async def look_at(under: Round, due: Due) -> None:
    """Bring one chat up to date; what can't be had is kept as a failure."""
    id_ = due.conversation_id
    try:
        if not due.ask_subject or await exists(under, id_):
            await _read_chat(under, due)
    except FetchError as error:
        await under.doubt("conversation", id_, error)
    under.mirror.tally.done += 1


async def exists(under: Round, conversation_id: str) -> bool:
    """Whether the chat's subject is there, by its own answer; what that tells is stored."""
    mirror = under.mirror
    kind, id_ = parse_chat_id(conversation_id)
    fetch = mirror.source.fetch_job if kind == "job" else mirror.source.fetch_candidate
    try:
        subject = await under.ask(lambda: fetch(id_))
    except NotFoundError as error:
        await under.make_sure_it_is_well()
        missing = SubjectMissing(
            account=mirror.account, now=under.now, conversation_id=conversation_id, pace=under.pace
        )
        if not await under.apply(missing):  # there never was such a job or candidate, yet it is configured
            await under.doubt("conversation", conversation_id, error)
        under.answered += 1
        return False
    under.answered += 1
    chats = frozenset({conversation_id})
    await under.apply(RosterRead(account=mirror.account, now=under.now, subjects=(subject,), chats=chats, single=True))
    return True


async def _read_chat(under: Round, due: Due) -> None:
    source, id_ = under.mirror.source, due.conversation_id
    kind, subject_id = parse_chat_id(id_)
    try:
        answer = await under.ask(lambda: source.fetch_chat(kind, subject_id, due.etag))
    except NotFoundError:  # not what this server says, but what its documents do
        if await exists(under, id_):
            raise
        return
    under.answered += 1
    if isinstance(answer, NotModified):
        under.unchanged.append(id_)
    elif isinstance(await _compare(under, id_, answer, confirmed=False), Doubtful) and await exists(under, id_):
        await _compare(under, id_, answer, confirmed=True)


async def _compare(under: Round, conversation_id: str, snapshot: Snapshot, *, confirmed: bool) -> object:
    read = SnapshotRead(
        account=under.mirror.account,
        now=under.now,
        conversation_id=conversation_id,
        snapshot=snapshot,
        pace=under.pace,
        confirmed=confirmed,
    )
    answer = await under.apply(read)
    under.changed += answer is True
    under.mirror.tally.messages += len(snapshot.messages)
    return answer
