"""Read what plans for proposals, jobs and suspicions need to know."""

from collections.abc import Iterable
from sqlite3 import Connection
from typing import Any

from syncd.core import held
from syncd.core.model import Candidate, Conversation, Interview, InterviewMessage, Job, Message, Proposal
from syncd.store import rows
from syncd.store.held import fetch_one, first, known_account, listed, load_failure, load_memo, load_owed, load_suspected

_SETTLED = """
SELECT kind, subject_id, since FROM _suspects AS s WHERE account = :account AND NOT EXISTS (
  SELECT 1 FROM _owed AS o WHERE o.account = :account AND o.kind = 'conversation' AND o.subject_id = s.conversation_id
    AND json_extract(o.payload, '$.verify'))
"""


def load_proposal(
    connection: Connection, account: str, kind: str, proposal_id: str, candidate_id: str | None
) -> held.HeldProposal:
    """One proposal with everything that hangs on it; `kind` says whose debt is being paid."""
    proposal = first(rows.select(connection, Proposal, "account = ? AND id = ?", (account, proposal_id)))
    about = (account, proposal_id)
    messages = rows.select(connection, InterviewMessage, "account = ? AND proposal_id = ?", about)
    active = fetch_one(
        connection,
        "SELECT MAX(COALESCE(last_message_at, updated_at)) FROM conversations WHERE account = ? AND proposal_id = ?",
        *about,
    )
    erasure = fetch_one(
        connection,
        "SELECT since FROM _suspects WHERE account = ? AND kind = 'erasure' AND subject_id = ?",
        *about,
    )
    return held.HeldProposal(
        account=known_account(connection, account),
        proposal=proposal,
        candidate=first(rows.select(connection, Candidate, "account = ? AND id = ?", (account, candidate_id or ""))),
        interview=first(rows.select(connection, Interview, "account = ? AND proposal_id = ?", about)),
        messages={message.id: message for message in messages},
        owed=load_owed(connection, account, kind, [proposal_id]).get(proposal_id),
        failure=load_failure(connection, account, kind, proposal_id),
        active_at=active[0],
        nameless=bool(load_suspected(connection, account, "nameless", [candidate_id or ""])),
        erasure_since=None if erasure is None else erasure[0],
    )


def load_jobs(connection: Connection, account: str, ids: Iterable[str]) -> held.HeldJobs:
    """Those of the jobs that are held, and whether they failed before."""
    where = "account = ? AND id IN (SELECT value FROM json_each(?))"
    return held.HeldJobs(
        jobs={job.id: job for job in rows.select(connection, Job, where, (account, listed(ids)))},
        owed=load_owed(connection, account, "jobs", ["mine"]).get("mine"),
        failure=load_failure(connection, account, "jobs", "mine"),
    )


def load_suspects(connection: Connection, account: str) -> held.HeldSuspects:
    """What is suspected to be deleted upstream, where no other look is owed."""
    found = connection.execute(_SETTLED, {"account": account})
    since = {(kind, subject_id): at for kind, subject_id, at in found}
    suspected = "account = ? AND gone_at IS NULL AND id IN (SELECT value FROM json_each(?))"
    totals = "SELECT COUNT(*) FROM {} WHERE account = ? AND gone_at IS NULL"

    def select(kind: type[Any], name: str) -> tuple[Any, ...]:
        ids = listed(id_ for of, id_ in since if of == name)
        return tuple(rows.select(connection, kind, suspected, (account, ids)))

    return held.HeldSuspects(
        account=known_account(connection, account),
        memo=load_memo(connection, account),
        conversations=select(Conversation, "conversation"),
        messages=select(Message, "message"),
        all_conversations=fetch_one(connection, totals.format("conversations"), account)[0],
        all_messages=fetch_one(connection, totals.format("messages"), account)[0],
        since=since,
        deferred=fetch_one(connection, "SELECT COUNT(*) FROM _suspects WHERE account = ?", account)[0] - len(since),
    )
