"""Which rows each observation is planned against, and by which planner."""

from collections.abc import Callable
from typing import Any

from syncd.core import entries, health, messages, proposals, reconcile, setbacks
from syncd.core import observations as seen
from syncd.core.plan import Plan
from syncd.store import held, held_subjects, held_thread, outbox_planning, snapshot
from syncd.store.apply import Applied, Transaction, write
from syncd.store.erased import plan_without_erased

Planner = Callable[[Transaction, Any], Plan]


def _of_account(planner: Callable[[Any, Any], Plan]) -> Planner:
    return lambda tx, o: planner(held.load_account(tx.connection, o.account, tx.before), o)


def _of_thread(planner: Callable[[Any, Any], Plan], ids: Callable[[Any], list[str]] = lambda _: []) -> Planner:
    def plan(tx: Transaction, o: Any) -> Plan:
        conversation_id = o.page.conversation_id if isinstance(o, seen.PageRead) else o.conversation_id
        return planner(held_thread.load_thread(tx.connection, o.account, tx.before, conversation_id, ids(o)), o)

    return plan


def _plan_failed(tx: Transaction, o: seen.Failed) -> Plan:
    if o.kind == "conversation":
        thread = held_thread.load_thread(tx.connection, o.account, tx.before, o.subject_id, [])
        return setbacks.plan_conversation_failed(thread, o)
    return proposals.plan_subject_failed(
        held_subjects.load_proposal(tx.connection, o.account, o.kind, o.subject_id, None), o
    )


def _plan_proposal(tx: Transaction, o: seen.ProposalRead) -> Plan:
    proposal = o.dossier.proposal
    about = held_subjects.load_proposal(tx.connection, o.account, "proposal", proposal.id, proposal.candidate_id)
    return proposals.plan_proposal(about, o)


def _plan_feed(tx: Transaction, o: seen.FeedRead) -> Plan:
    named = [(conversation_id, message_id) for conversation_id, message_id, _ in o.messages]
    known = held.load_named(tx.connection, o.account, named, [id_ for id_, _ in o.proposals])
    return entries.plan_feed(known, o)


_PLANNERS: dict[type[seen.Observation], Planner] = {
    **snapshot.PLANNERS,
    **outbox_planning.PLANNERS,
    seen.Opened: _of_account(health.plan_opened),
    seen.Accepted: _of_account(health.plan_accepted),
    seen.Removed: _of_account(health.plan_removed),
    seen.Identified: _of_account(health.plan_identified),
    seen.Waiting: _of_account(health.plan_waiting),
    seen.PollEnded: _of_account(health.plan_poll_ended),
    seen.RunBegun: _of_account(health.plan_run_begun),
    seen.RunEnded: _of_account(health.plan_run_ended),
    seen.ListWalked: lambda tx, o: entries.plan_list_walked(held.load_listing(tx.connection, o.account, o.listed), o),
    seen.ReconcileBegun: _of_account(reconcile.plan_reconcile_begun),
    seen.Entries: lambda tx, o: entries.plan_entries(held.load_entries(tx.connection, o.account, o.entries), o),
    seen.UnreadList: lambda tx, o: entries.plan_unread(held.load_unread(tx.connection, o.account, o.entries), o),
    seen.FeedRead: _plan_feed,
    seen.Look: _of_thread(messages.plan_look),
    seen.PageRead: _of_thread(messages.plan_page, lambda o: [message.id for message in o.page.messages]),
    seen.CursorDied: _of_thread(setbacks.plan_dead_cursor),
    seen.ConversationGone: _of_thread(setbacks.plan_conversation_gone),
    seen.Failed: _plan_failed,
    seen.ProposalRead: _plan_proposal,
    seen.ProposalMissing: lambda tx, o: proposals.plan_proposal_missing(
        held_subjects.load_proposal(tx.connection, o.account, "proposal", o.proposal_id, None), o
    ),
    seen.TranscriptRead: lambda tx, o: proposals.plan_transcript(
        held_subjects.load_proposal(tx.connection, o.account, "interview", o.transcript.interview.proposal_id, None), o
    ),
    seen.InterviewMissing: lambda tx, o: proposals.plan_interview_missing(
        held_subjects.load_proposal(tx.connection, o.account, "interview", o.proposal_id, None), o
    ),
    seen.JobsRead: lambda tx, o: proposals.plan_jobs(
        held_subjects.load_jobs(tx.connection, o.account, [job.id for job in o.jobs]), o
    ),
    seen.SuspectsSettled: lambda tx, o: reconcile.plan_suspects_settled(
        held_subjects.load_suspects(tx.connection, o.account), o
    ),
    seen.Overdue: lambda tx, o: reconcile.plan_overdue(
        held_thread.load_turn(tx.connection, o.account, o.conversation_id), o
    ),
}


def apply(transaction: Transaction, observation: seen.Observation) -> Applied:
    """Plan the observation against the rows held, and write the plan."""
    planner = _PLANNERS[type(observation)]
    plan = plan_without_erased(transaction, observation, lambda kept: planner(transaction, kept))
    applied = write(transaction, observation.account, observation.now, plan)
    if isinstance(observation, seen.PageRead):
        outbox_planning.join(transaction, observation)
    return applied
