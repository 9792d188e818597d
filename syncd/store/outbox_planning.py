"""Which rows the observations of outgoing messages are planned against."""

from collections.abc import Callable
from typing import Any

from syncd.core import outbox
from syncd.core import outbox_seen as seen
from syncd.core.model import Conversation
from syncd.core.observations import Observation, PageRead
from syncd.core.plan import Plan
from syncd.store.apply import Transaction, write
from syncd.store.held import load_entries
from syncd.store.outbox import has_open, load_row, load_settling, load_wish

Planner = Callable[[Transaction, Any], Plan]


def _of_row(planner: Callable[[Any, Any], Plan]) -> Planner:
    return lambda tx, o: planner(load_row(tx.connection, o.account, tx.before, o.id), o)


def _plan_queued(tx: Transaction, o: seen.Queued) -> Plan:
    return outbox.plan_queued(load_wish(tx.connection, o.account, tx.before, o.conversation_id, o.key), o)


def _plan_answered(tx: Transaction, o: seen.Answered) -> Plan:
    return outbox.plan_answered(load_row(tx.connection, o.account, tx.before, o.id, [o.message.id]), o)


def _plan_looked(tx: Transaction, o: seen.Looked) -> Plan:
    ids = [message.id for message in o.messages]
    return outbox.plan_looked(load_settling(tx.connection, o.account, tx.before, o.conversation_id, ids), o)


def _plan_found(tx: Transaction, o: seen.Found) -> Plan:
    named = o.entry or Conversation(id=o.conversation_id, proposal_id=o.proposal_id)
    return outbox.plan_found(load_entries(tx.connection, o.account, [named]), o)


PLANNERS: dict[type[Observation], Planner] = {
    seen.Queued: _plan_queued,
    seen.Attempted: _of_row(outbox.plan_attempted),
    seen.Answered: _plan_answered,
    seen.Unanswered: _of_row(outbox.plan_unanswered),
    seen.Looked: _plan_looked,
    seen.Ordered: _of_row(outbox.plan_ordered),
    seen.Found: _plan_found,
}


def join(tx: Transaction, read: PageRead) -> None:
    """Join unconfirmed messages to what the page, which is stored by now, brought after all."""
    conversation_id = read.page.conversation_id
    if has_open(tx.connection, read.account, conversation_id):
        held = load_settling(tx.connection, read.account, tx.before, conversation_id)
        write(tx, read.account, read.now, outbox.plan_met(held, read.now, read.page.server_time))
