"""Which jobs and candidates there are, and so which chats."""

from syncd.core.answers import Identity
from syncd.core.held import HeldAccount
from syncd.core.observations import Identified
from syncd.core.snapshot import Roster, Subject
from syncd.core.snapshot_seen import ListsRead, RosterRead
from syncd.engine.snapshot_chats import exists
from syncd.engine.snapshot_round import Round
from syncd.errors import FetchError


async def read_lists(under: Round, held: HeldAccount) -> None:
    """Read every list, take up the chats it shows, and ask for those that are held and not listed."""
    mirror = under.mirror
    jobs = await under.ask(mirror.source.fetch_jobs)
    under.note_well()
    if held.account is not None and held.account.first_started_at is None:
        nobody = Identity(user_id=None, scopes=None, server_time=jobs.server_time)
        await under.apply(Identified(account=mirror.account, now=under.now, identity=nobody))
    listed = await _note(under, jobs)
    unread: set[str] = set()
    if mirror.wanted.candidates is None:
        await under.each(jobs.subjects, lambda job: _read_candidates(under, job, listed, unread))
    read = ListsRead(
        account=mirror.account,
        now=under.now,
        wanted=mirror.wanted,
        listed=frozenset(listed),
        unread_jobs=frozenset(unread),
        server_time=jobs.server_time,
    )
    unlisted: tuple[str, ...] = await mirror.store.apply(read)
    await under.each(unlisted, lambda conversation_id: _ask_for(under, conversation_id))


async def _note(under: Round, roster: Roster, list_of: str | None = None) -> set[str]:
    """Store what a list names; the chats in it that are mirrored."""
    mirror = under.mirror
    ids = {subject.conversation_id for subject in roster.subjects}
    chats = frozenset(id_ for id_ in ids if mirror.wanted.includes(id_))
    await under.apply(
        RosterRead(account=mirror.account, now=under.now, subjects=roster.subjects, chats=chats, list_of=list_of)
    )
    return set(chats)


async def _read_candidates(under: Round, job: Subject, listed: set[str], unread: set[str]) -> None:
    source, job_id = under.mirror.source, job.row.id
    try:
        roster = await under.ask(lambda: source.fetch_candidates(job_id))
    except FetchError as error:
        unread.add(job_id)
        await under.doubt("candidates", job_id, error)
    else:
        listed |= await _note(under, roster, list_of=job_id)


async def _ask_for(under: Round, conversation_id: str) -> None:
    try:
        await exists(under, conversation_id)
    except FetchError as error:
        await under.doubt("conversation", conversation_id, error)
