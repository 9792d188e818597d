"""Plan an observation so that nothing comes back that was erased."""

import json
import sqlite3
from collections.abc import Callable, Iterable

from syncd.core.erasing import Erased, find_returning, named_ids, without_entries, without_erased
from syncd.core.observations import Observation
from syncd.core.plan import Plan
from syncd.store.apply import Transaction
from syncd.store.erase import Scope, erase_rows


def plan_without_erased(
    transaction: Transaction, observation: Observation, planner: Callable[[Observation], Plan]
) -> Plan:
    """What the planner says of the observation, both without what was erased; inside the writing transaction.

    A proposal that an erased person made since goes the way of the others.
    """
    database, account = transaction.connection, observation.account
    if not database.execute("SELECT 1 FROM _erased WHERE account = ? LIMIT 1", (account,)).fetchone():
        return planner(observation)
    listed = without_entries(observation, load_erased(database, account, named_ids(observation)))
    plan = planner(listed)
    erased = load_erased(database, account, named_ids(plan))
    returning = find_returning(plan, erased)
    if returning:
        transaction.index()
        erase_rows(database, _scope_of(database, account, returning), observation.now)
    return without_erased(plan, erased)


def load_erased(database: sqlite3.Connection, account: str, ids: Iterable[str]) -> Erased:
    """What of these ids was erased, and the age from which nothing is kept."""
    query = (
        "SELECT kind, id FROM _erased WHERE account = ? AND (kind = 'before' OR id IN (SELECT value FROM json_each(?)))"
    )
    found = database.execute(query, (account, json.dumps(list(ids)))).fetchall()
    before = next((id for kind, id in found if kind == "before"), None)
    return Erased(ids=frozenset((kind, id) for kind, id in found), before=before)


def _scope_of(database: sqlite3.Connection, account: str, proposals: tuple[str, ...]) -> Scope:
    query = "SELECT id FROM conversations WHERE account = ? AND proposal_id IN (SELECT value FROM json_each(?))"
    conversations = tuple(row[0] for row in database.execute(query, (account, json.dumps(proposals))))
    return Scope(account=account, proposals=proposals, conversations=conversations)
